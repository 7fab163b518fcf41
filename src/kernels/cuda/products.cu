// Products with many rows of activations on tensor cores, in float32 all the same: a float32 number
// is the sum of three bfloat16 numbers, and tensor cores add products of bfloat16 numbers up in
// float32. Weights in bfloat16 are taken as they are. Two numbers would do most of the work of
// three in less time, at four times the error (docs/performance).

#include "kernels/cuda/products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPlanes = 3;     // bfloat16 numbers of a float32
constexpr int kRowTile = 128;  // weight rows of a block
constexpr int kTokenTile = 64;
constexpr int kDepth = 32;  // of the stretches of K that are loaded at once
constexpr int kStages = 3;  // stretches in flight; a fourth would not fit every card
constexpr int kChunk = 8;   // elements of one load: sixteen bytes
constexpr int kChunks = kDepth / kChunk;
constexpr int64_t kMostParts = 8;
// Tiles up to this many are shared by blocks, a part of K each: so many blocks fill their last wave
// over the card worse than it costs to add the parts up.
constexpr unsigned kFewTiles = 400;
constexpr unsigned kMostBlocks = 1700;  // that share tiles

// x [n] -> planes [kPlanes, n], whose sum is x to the last bit unless that is a denormal
__global__ void split_kernel(const float* x, __nv_bfloat16* planes, int64_t n) {
  begin();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float rest = x[i];
#pragma unroll
  for (int p = 0; p < kPlanes; ++p) {
    const __nv_bfloat16 part = __float2bfloat16_rn(rest);
    planes[p * n + i] = part;
    rest -= __bfloat162float(part);
  }
}

struct Product {
  const __nv_bfloat16* planes;  // [kPlanes, T, K]
  const __nv_bfloat16* weight;  // [N, K]
  float* out;                   // [T, N]
  const float* multiplier;      // of kMultiplied: rows `multiplier_stride` elements apart
  int64_t multiplier_stride;
  int tokens;          // T
  int rows;            // N
  int64_t depth;       // K, a multiple of kDepth
  int parts;           // of K, each summed by itself, then added in order
  float4* partial;     // [parts, tiles, vectors of a thread, threads], where blocks share a tile
  unsigned* finished;  // [tiles], zero between launches
};

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Sixteen bytes to shared memory, later; zeros where `valid` is false.
__device__ inline void copy_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0));
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;"); }
template <int kPending>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending));
}

// Four 8 x 8 matrices, one row address per lane
__device__ inline void load_matrices(uint32_t (&out)[4], const __nv_bfloat16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row)));
}

// sum [16 weight rows, 8 tokens] += a [16, 16] · b [16, 8]
__device__ inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Rows of kDepth elements in shared memory. Chunks of two rows fill all banks; from one pair of
// rows to the next they change places, so that eight rows of one column of chunks are read at once.
__device__ inline __nv_bfloat16* chunk_at(__nv_bfloat16* tile, int row, int chunk) {
  return tile + row * kDepth + ((chunk ^ (row >> 1)) & (kChunks - 1)) * kChunk;
}

// The block's tile of weight rows and tokens, and this warp's part of it
struct Shape {
  static constexpr int kWarpTokens = 32;
  static constexpr int kTokenWarps = kTokenTile / kWarpTokens;
  static constexpr int kRowWarps = kThreads / kWarp / kTokenWarps;
  static constexpr int kWarpRows = kRowTile / kRowWarps;
  static constexpr int kRowSteps = kWarpRows / 16;
  static constexpr int kTokenSteps = kWarpTokens / 8;
  static constexpr int kStageElements = (kRowTile + kPlanes * kTokenTile) * kDepth;
  static constexpr size_t kSharedBytes = kStages * kStageElements * sizeof(__nv_bfloat16);
};

using Sums = float[Shape::kRowSteps][Shape::kTokenSteps][4];

__device__ inline void load_weights(const Product& a, __nv_bfloat16* stage, int64_t k, int row) {
  for (int i = threadIdx.x; i < kRowTile * kChunks; i += kThreads) {
    const int r = i / kChunks;
    const int c = i % kChunks;
    const bool valid = row + r < a.rows;
    copy_async(chunk_at(stage, r, c), a.weight + (valid ? row + r : 0) * a.depth + k + c * kChunk,
               valid);
  }
}

__device__ inline void load_tokens(const Product& a, __nv_bfloat16* stage, int64_t k, int token) {
  __nv_bfloat16* const tiles = stage + kRowTile * kDepth;
  for (int i = threadIdx.x; i < kPlanes * kTokenTile * kChunks; i += kThreads) {
    const int plane = i / (kTokenTile * kChunks);
    const int t = i / kChunks % kTokenTile;
    const int c = i % kChunks;
    const bool valid = token + t < a.tokens;
    const int64_t from = static_cast<int64_t>(plane) * a.tokens + (valid ? token + t : 0);
    copy_async(chunk_at(tiles + plane * kTokenTile * kDepth, t, c),
               a.planes + from * a.depth + k + c * kChunk, valid);
  }
}

// Adds one stretch of K to the warp's sums, the small planes first.
__device__ inline void add_stretch(Sums& sums, __nv_bfloat16* stage) {
  using S = Shape;
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int row = warp / S::kTokenWarps * S::kWarpRows;
  const int token = warp % S::kTokenWarps * S::kWarpTokens;
#pragma unroll
  for (int step = 0; step < kDepth / 16; ++step) {
    uint32_t weights[S::kRowSteps][4];
#pragma unroll
    for (int i = 0; i < S::kRowSteps; ++i)
      load_matrices(weights[i], chunk_at(stage, row + i * 16 + lane % 16, step * 2 + lane / 16));
#pragma unroll
    for (int plane = kPlanes - 1; plane >= 0; --plane) {
      __nv_bfloat16* const tile = stage + (kRowTile + plane * kTokenTile) * kDepth;
#pragma unroll
      for (int j = 0; j < S::kTokenSteps; j += 2) {
        uint32_t tokens[4];  // two steps of eight tokens, two halves of sixteen elements each
        load_matrices(tokens, chunk_at(tile, token + j * 8 + lane % 8 + lane / 16 * 8,
                                       step * 2 + lane / 8 % 2));
#pragma unroll
        for (int i = 0; i < S::kRowSteps; ++i) {
          multiply_add(sums[i][j], weights[i], tokens[0], tokens[1]);
          multiply_add(sums[i][j + 1], weights[i], tokens[2], tokens[3]);
        }
      }
    }
  }
}

__device__ inline void clear(Sums& sums) {
#pragma unroll
  for (auto& row : sums)
#pragma unroll
    for (auto& four : row)
#pragma unroll
      for (float& sum : four) sum = 0;
}

// The sums of parts [begin, end) of K, added in order, each part by itself.
__device__ inline void sum_parts(const Product& a, __nv_bfloat16* shared, int begin_part,
                                 int end_part, Sums& total) {
  using S = Shape;
  const int row = blockIdx.x * kRowTile;
  const int token = blockIdx.y * kTokenTile;
  const int stretches = static_cast<int>(a.depth / kDepth);
  const int first = begin_part * stretches / a.parts;
  const int last = end_part * stretches / a.parts;
  const auto stage = [&](int stretch) {
    return shared + (stretch - first) % kStages * S::kStageElements;
  };
  // Weights are there before the kernel ahead has ended; all of them count to the first group.
  for (int s = first; s < first + kStages - 1 && s < last; ++s)
    load_weights(a, stage(s), static_cast<int64_t>(s) * kDepth, row);
  wait_for_inputs();
  for (int s = first; s < first + kStages - 1; ++s) {
    if (s < last) load_tokens(a, stage(s), static_cast<int64_t>(s) * kDepth, token);
    commit_copies();
  }
  Sums sums;
  clear(sums);
  clear(total);
  int part = begin_part;
  for (int s = first; s < last; ++s) {
    wait_copies<kStages - 2>();
    __syncthreads();
    const int next = s + kStages - 1;  // into the stage that was read in the turn before
    if (next < last) {
      load_weights(a, stage(next), static_cast<int64_t>(next) * kDepth, row);
      load_tokens(a, stage(next), static_cast<int64_t>(next) * kDepth, token);
    }
    commit_copies();
    add_stretch(sums, stage(s));
    if (s + 1 < (part + 1) * stretches / a.parts) continue;
    ++part;
#pragma unroll
    for (int i = 0; i < S::kRowSteps; ++i)
#pragma unroll
      for (int j = 0; j < S::kTokenSteps; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) total[i][j][e] += sums[i][j][e];
    clear(sums);
  }
}

template <Form kForm>
__device__ inline float finish(const Product& a, float sum, int64_t token, int64_t row) {
  if constexpr (kForm == Form::kGated) return gelu_tanh(a.out[token * a.rows + row]) * sum;
  if constexpr (kForm == Form::kMultiplied)
    return gelu_tanh(sum) * a.multiplier[token * a.multiplier_stride + row];
  return sum;
}

template <Form kForm>
__device__ inline void store(const Product& a, const Sums& sums) {
  using S = Shape;
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int first_row = blockIdx.x * kRowTile + warp / S::kTokenWarps * S::kWarpRows + lane / 4;
  const int first_token =
      blockIdx.y * kTokenTile + warp % S::kTokenWarps * S::kWarpTokens + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < S::kRowSteps; ++i)
#pragma unroll
    for (int j = 0; j < S::kTokenSteps; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t row = first_row + i * 16 + e / 2 * 8;
        const int64_t token = first_token + j * 8 + e % 2;
        if (row < a.rows && token < a.tokens)
          a.out[token * a.rows + row] = finish<kForm>(a, sums[i][j][e], token, row);
      }
}

// Where each block has one part: leaves it for the last block of the tile, which adds them up in
// order. -> whether this is that block, and then the total in `sums`.
__device__ inline bool add_up(const Product& a, Sums& sums) {
  using S = Shape;
  __shared__ bool is_last;
  const int64_t tile = blockIdx.y * gridDim.x + blockIdx.x;
  const int64_t tiles = static_cast<int64_t>(gridDim.x) * gridDim.y;
  const auto place = [&](int64_t part, int i, int j) {
    const int64_t vector = (part * tiles + tile) * S::kRowSteps * S::kTokenSteps;
    return a.partial + (vector + i * S::kTokenSteps + j) * kThreads + threadIdx.x;
  };
#pragma unroll
  for (int i = 0; i < S::kRowSteps; ++i)
#pragma unroll
    for (int j = 0; j < S::kTokenSteps; ++j)
      *place(blockIdx.z, i, j) = {sums[i][j][0], sums[i][j][1], sums[i][j][2], sums[i][j][3]};
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(a.finished + tile, 1) + 1 == static_cast<unsigned>(a.parts);
    if (is_last) a.finished[tile] = 0;
  }
  __syncthreads();
  if (!is_last) return false;
  __threadfence();
  clear(sums);
  for (int part = 0; part < a.parts; ++part)
#pragma unroll
    for (int i = 0; i < S::kRowSteps; ++i)
#pragma unroll
      for (int j = 0; j < S::kTokenSteps; ++j) {
        const float4 other = __ldcg(place(part, i, j));
        sums[i][j][0] += other.x;
        sums[i][j][1] += other.y;
        sums[i][j][2] += other.z;
        sums[i][j][3] += other.w;
      }
  return true;
}

template <Form kForm>
__global__ void __launch_bounds__(kThreads, 2) product_kernel(Product a) {
  extern __shared__ __align__(128) __nv_bfloat16 stages[];
  allow_next();
  Sums sums;
  if (gridDim.z == 1) {
    sum_parts(a, stages, 0, a.parts, sums);
  } else {
    const int part = static_cast<int>(blockIdx.z);
    sum_parts(a, stages, part, part + 1, sums);
    if (!add_up(a, sums)) return;
  }
  store<kForm>(a, sums);
}

// How K is cut follows from the weight's shape alone: into as many parts as give every
// multiprocessor of a large card a block when there are few tokens.
int parts_of(const Matrix& weight) {
  constexpr int64_t kBlocks = 128;
  constexpr int64_t kLeastDepth = 8 * kDepth;
  int64_t parts = 1;
  while (parts < kMostParts && ceil_div<int64_t>(weight.rows, kRowTile) * parts * 2 <= kBlocks &&
         weight.cols / (parts * 2) >= kLeastDepth)
    parts *= 2;
  return static_cast<int>(parts);
}

template <Form kForm>
void run(Queue queue, Product a) {
  static const cudaError_t allowed =
      cudaFuncSetAttribute(product_kernel<kForm>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(Shape::kSharedBytes));
  (void)allowed;  // where it failed, so does the launch
  dim3 grid(static_cast<unsigned>(ceil_div(a.rows, kRowTile)),
            static_cast<unsigned>(ceil_div(a.tokens, kTokenTile)));
  const unsigned tiles = grid.x * grid.y;
  if (tiles <= kFewTiles && tiles * a.parts <= kMostBlocks) grid.z = static_cast<unsigned>(a.parts);
  launch(queue, grid, kThreads, Shape::kSharedBytes, product_kernel<kForm>, a);
}

}  // namespace

bool can_multiply(const Matrix& weight, int64_t tokens) {
  return weight.dtype == DType::kBF16 && tokens > kMostFewTokens && weight.cols % kDepth == 0 &&
         reinterpret_cast<uintptr_t>(weight.data) % 16 == 0;
}

int64_t most_tokens(int64_t depth) {
  // What the planes leave of the scratch memory holds the parts.
  static_assert(kMostBlocks * kRowTile * kTokenTile * sizeof(float) <=
                kFreeScratchBytes - kPlaneBytes);
  return static_cast<int64_t>(kPlaneBytes) /
         (kPlanes * depth * static_cast<int64_t>(sizeof(__nv_bfloat16)));
}

void split(Queue queue, const float* x, int64_t tokens, int64_t depth) {
  const int64_t n = tokens * depth;
  launch(queue, blocks(ceil_div<int64_t>(n, kThreads)), kThreads, 0, split_kernel, x,
         reinterpret_cast<__nv_bfloat16*>(free_scratch(queue)), n);
}

void multiply(Queue queue, Form form, const Matrix& weight, int64_t tokens, float* out,
              const float* multiplier, int64_t multiplier_stride) {
  const Product a{reinterpret_cast<const __nv_bfloat16*>(free_scratch(queue)),
                  static_cast<const __nv_bfloat16*>(weight.data),
                  out,
                  multiplier,
                  multiplier_stride,
                  static_cast<int>(tokens),
                  static_cast<int>(weight.rows),
                  weight.cols,
                  parts_of(weight),
                  reinterpret_cast<float4*>(free_scratch(queue) + kPlaneBytes),
                  counters(queue)};
  switch (form) {
    case Form::kPlain:
      return run<Form::kPlain>(queue, a);
    case Form::kGated:
      return run<Form::kGated>(queue, a);
    case Form::kMultiplied:
      return run<Form::kMultiplied>(queue, a);
  }
}

}  // namespace gemma4::kernels::cuda

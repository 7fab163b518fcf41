// Products with many rows of activations on tensor cores, in float32 all the same: a float32 number
// is the sum of three bfloat16 numbers, and tensor cores add products of bfloat16 numbers up in
// float32. Weights in bfloat16 are taken as they are. Two numbers would do most of the work of
// three in less time, at four times the error (docs/performance).

#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kExactPlanes = 3;  // bfloat16 numbers of a float32
constexpr int kRowTile = 128;    // weight rows of a block
constexpr int kExactTile = 64;   // tokens of a block, with all planes
constexpr int kMostTokenTile = 128;
constexpr int kDepth = 32;  // of the stretches of K that are loaded at once
constexpr int kChunk = 8;   // elements of one load: sixteen bytes
constexpr int kChunks = kDepth / kChunk;
constexpr int64_t kMostParts = 8;
// Tiles up to this many are shared by blocks, a part of K each: so many blocks fill their last wave
// over the card worse than it costs to add the parts up.
constexpr unsigned kFewTiles = 400;
constexpr unsigned kMostBlocks = 1400;  // that share tiles
constexpr unsigned kCard = 132;         // blocks that fill a large card, one on a multiprocessor

// x [n] -> planes [num_planes, n]: x rounded or, as the sum of three, to the last bit unless that
// is a denormal
__global__ void split_kernel(const float* x, __nv_bfloat16* planes, int num_planes, int64_t n) {
  begin();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float rest = x[i];
  for (int p = 0; p < num_planes; ++p) {
    const __nv_bfloat16 part = __float2bfloat16_rn(rest);
    planes[p * n + i] = part;
    rest -= __bfloat162float(part);
  }
}

struct Product {
  const __nv_bfloat16* planes;  // [planes, T, K]
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

// Rows of kDepth elements in shared memory. Chunks of two rows fill all banks; from one pair of
// rows to the next they change places, so that eight rows of one column of chunks are read at once.
__device__ inline __nv_bfloat16* chunk_at(__nv_bfloat16* tile, int row, int chunk) {
  return tile + row * kDepth + ((chunk ^ (row >> 1)) & (kChunks - 1)) * kChunk;
}

// The block's tile of weight rows and tokens, and this warp's part of it. The fewer tokens, the
// more it is a matter of having enough weights in flight.
template <int kNumPlanes, int kTile>
struct Shape {
  static constexpr int kPlanes = kNumPlanes;
  static constexpr int kTokenTile = kTile;
  // Registers hold the sums of one part beside the total; not those of the largest tile, whose
  // blocks have one part each.
  static constexpr bool kSumsParts = kTile <= 64;
  static constexpr int kStages = kTile <= 16 ? 8 : kTile <= 32 ? 6 : kPlanes == 1 ? 4 : 3;
  static constexpr int kWarpTokens = kTile < 32 ? kTile : 32;
  static constexpr int kTokenWarps = kTokenTile / kWarpTokens;
  static constexpr int kRowWarps = kThreads / kWarp / kTokenWarps;
  static constexpr int kWarpRows = kRowTile / kRowWarps;
  static constexpr int kRowSteps = kWarpRows / 16;
  static constexpr int kTokenSteps = kWarpTokens / 8;
  static constexpr int kStageElements = (kRowTile + kPlanes * kTokenTile) * kDepth;
  static constexpr size_t kSharedBytes = kStages * kStageElements * sizeof(__nv_bfloat16);
};

template <class S>
using Sums = float[S::kRowSteps][S::kTokenSteps][4];

__device__ inline void load_weights(const Product& a, __nv_bfloat16* stage, int64_t k, int row) {
  for (int i = threadIdx.x; i < kRowTile * kChunks; i += kThreads) {
    const int r = i / kChunks;
    const int c = i % kChunks;
    const bool valid = row + r < a.rows;
    copy_async(chunk_at(stage, r, c), a.weight + (valid ? row + r : 0) * a.depth + k + c * kChunk,
               valid);
  }
}

template <class S>
__device__ inline void load_tokens(const Product& a, __nv_bfloat16* stage, int64_t k, int token) {
  __nv_bfloat16* const tiles = stage + kRowTile * kDepth;
  for (int i = threadIdx.x; i < S::kPlanes * S::kTokenTile * kChunks; i += kThreads) {
    const int plane = i / (S::kTokenTile * kChunks);
    const int t = i / kChunks % S::kTokenTile;
    const int c = i % kChunks;
    const bool valid = token + t < a.tokens;
    const int64_t from = static_cast<int64_t>(plane) * a.tokens + (valid ? token + t : 0);
    copy_async(chunk_at(tiles + plane * S::kTokenTile * kDepth, t, c),
               a.planes + from * a.depth + k + c * kChunk, valid);
  }
}

// Adds one stretch of K to the warp's sums, the small planes first.
template <class S>
__device__ inline void add_stretch(Sums<S>& sums, __nv_bfloat16* stage) {
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
    for (int plane = S::kPlanes - 1; plane >= 0; --plane) {
      __nv_bfloat16* const tile = stage + (kRowTile + plane * S::kTokenTile) * kDepth;
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

template <class S>
__device__ inline void clear(Sums<S>& sums) {
#pragma unroll
  for (auto& row : sums)
#pragma unroll
    for (auto& four : row)
#pragma unroll
      for (float& sum : four) sum = 0;
}

// The sums of parts [begin, end) of K, added in order, each part by itself.
template <class S>
__device__ inline void sum_parts(const Product& a, __nv_bfloat16* shared, int begin_part,
                                 int end_part, Sums<S>& total) {
  const int row = blockIdx.x * kRowTile;
  const int token = blockIdx.y * S::kTokenTile;
  const int stretches = static_cast<int>(a.depth / kDepth);
  const int first = begin_part * stretches / a.parts;
  const int last = end_part * stretches / a.parts;
  const auto stage = [&](int stretch) {
    return shared + (stretch - first) % S::kStages * S::kStageElements;
  };
  const auto prepare = [&](int s) {
    wait_copies<S::kStages - 2>();
    __syncthreads();
    const int next = s + S::kStages - 1;  // into the stage that was read in the turn before
    if (next < last) {
      load_weights(a, stage(next), static_cast<int64_t>(next) * kDepth, row);
      load_tokens<S>(a, stage(next), static_cast<int64_t>(next) * kDepth, token);
    }
    commit_copies();
  };
  // Weights are there before the kernel ahead has ended; all of them count to the first group.
  for (int s = first; s < first + S::kStages - 1 && s < last; ++s)
    load_weights(a, stage(s), static_cast<int64_t>(s) * kDepth, row);
  wait_for_inputs();
  for (int s = first; s < first + S::kStages - 1; ++s) {
    if (s < last) load_tokens<S>(a, stage(s), static_cast<int64_t>(s) * kDepth, token);
    commit_copies();
  }
  clear<S>(total);
  if constexpr (!S::kSumsParts) {
    for (int s = first; s < last; ++s) {
      prepare(s);
      add_stretch<S>(total, stage(s));
    }
    return;
  }
  Sums<S> sums;
  clear<S>(sums);
  int part = begin_part;
  for (int s = first; s < last; ++s) {
    prepare(s);
    add_stretch<S>(sums, stage(s));
    if (s + 1 < (part + 1) * stretches / a.parts) continue;
    ++part;
#pragma unroll
    for (int i = 0; i < S::kRowSteps; ++i)
#pragma unroll
      for (int j = 0; j < S::kTokenSteps; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) total[i][j][e] += sums[i][j][e];
    clear<S>(sums);
  }
}

template <Form kForm>
__device__ inline float finish(const Product& a, float sum, int64_t token, int64_t row) {
  if constexpr (kForm == Form::kGated) return gelu_tanh(a.out[token * a.rows + row]) * sum;
  if constexpr (kForm == Form::kMultiplied)
    return gelu_tanh(sum) * a.multiplier[token * a.multiplier_stride + row];
  return sum;
}

template <Form kForm, class S>
__device__ inline void store(const Product& a, const Sums<S>& sums) {
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int first_row = blockIdx.x * kRowTile + warp / S::kTokenWarps * S::kWarpRows + lane / 4;
  const int first_token =
      blockIdx.y * S::kTokenTile + warp % S::kTokenWarps * S::kWarpTokens + lane % 4 * 2;
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
template <class S>
__device__ inline bool add_up(const Product& a, Sums<S>& sums) {
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
  clear<S>(sums);
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

template <Form kForm, class S>
__global__ void __launch_bounds__(kThreads, 2) product_kernel(Product a) {
  extern __shared__ __align__(128) __nv_bfloat16 stages[];
  allow_next();
  Sums<S> sums;
  if (gridDim.z == 1) {
    sum_parts<S>(a, stages, 0, a.parts, sums);
  } else {
    const int part = static_cast<int>(blockIdx.z);
    sum_parts<S>(a, stages, part, part + 1, sums);
    if (!add_up<S>(a, sums)) return;
  }
  store<kForm, S>(a, sums);
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

template <Form kForm, class S>
void run_tile(Queue queue, Product a) {
  static const cudaError_t allowed =
      cudaFuncSetAttribute(product_kernel<kForm, S>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(S::kSharedBytes));
  (void)allowed;  // where it failed, so does the launch
  dim3 grid(static_cast<unsigned>(ceil_div(a.rows, kRowTile)),
            static_cast<unsigned>(ceil_div(a.tokens, S::kTokenTile)));
  const unsigned tiles = grid.x * grid.y;
  if constexpr (!S::kSumsParts)
    while (a.parts > 1 && tiles * a.parts > kCard * 2) a.parts /= 2;
  if (tiles <= kFewTiles && tiles * a.parts <= kMostBlocks) grid.z = static_cast<unsigned>(a.parts);
  launch(queue, grid, kThreads, S::kSharedBytes, product_kernel<kForm, S>, a);
}

template <Form kForm>
void run(Queue queue, const Product& a) {
  if (queue.activations == Activations::kFloat32)
    return run_tile<kForm, Shape<kExactPlanes, kExactTile>>(queue, a);
  if (a.tokens <= 16) return run_tile<kForm, Shape<1, 16>>(queue, a);
  if (a.tokens <= 32) return run_tile<kForm, Shape<1, 32>>(queue, a);
  if (a.tokens <= 64) return run_tile<kForm, Shape<1, 64>>(queue, a);
  run_tile<kForm, Shape<1, kMostTokenTile>>(queue, a);
}

int planes_of(Queue queue) { return queue.activations == Activations::kFloat32 ? kExactPlanes : 1; }

}  // namespace

bool can_multiply(Queue queue, const Matrix& weight, int64_t tokens) {
  const int64_t few = queue.activations == Activations::kFloat32 ? kMostFewTokens : kMostFewRounded;
  return weight.dtype == DType::kBF16 && tokens > few && weight.cols % kDepth == 0 &&
         reinterpret_cast<uintptr_t>(weight.data) % 16 == 0;
}

int64_t most_tokens(Queue queue, int64_t depth) {
  // What the planes leave of the scratch memory holds the parts.
  static_assert(kMostBlocks * kRowTile * kExactTile * sizeof(float) <=
                kFreeScratchBytes - kPlaneBytes);
  return static_cast<int64_t>(kPlaneBytes) /
         (planes_of(queue) * depth * static_cast<int64_t>(sizeof(__nv_bfloat16)));
}

void split(Queue queue, const float* x, int64_t tokens, int64_t depth) {
  const int64_t n = tokens * depth;
  launch(queue, blocks(ceil_div<int64_t>(n, kThreads)), kThreads, 0, split_kernel, x,
         reinterpret_cast<__nv_bfloat16*>(free_scratch(queue)), planes_of(queue), n);
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

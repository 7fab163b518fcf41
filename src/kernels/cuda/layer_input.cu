// What a layer makes of its per-layer input, for a few rows: the sum after the MLP, gate,
// projection, and the sum and norm after that, one cluster of blocks for each row. Its blocks share
// the rows of both weights, which they read before the inputs are there, and tell each other their
// results through shared memory.

#include <cooperative_groups.h>

#include "kernels/cuda/entries.cuh"
#include "kernels/cuda/packed.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kBlocks = 8;  // of a cluster
constexpr int kWarps = 16;
constexpr int kThreads = kWarps * kWarp;
constexpr int kMostVectors = 2;  // of four elements of the row, of a thread
constexpr int kMostShared = 224 << 10;

// Bytes of a block's shared memory, in this order
struct Layout {
  int gate;  // the block's part of the weights
  int project;
  int columns;  // the row, then the gated input, in bfloat16
  int gated;
  int row;  // floats
  __host__ __device__ int bytes() const { return gate + project + columns + gated + row; }
};

struct Launch {
  LayerInputArgs a;
  Layout layout;
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

namespace cg = cooperative_groups;

// Before a block writes into another's shared memory, that one must have started.
__device__ inline void say_started() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
__device__ inline void wait_until_started() {
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
}

__device__ inline int place_of(int k) { return k / 32 * 32 + order_in_32(k % 32); }

// sum += piece · columns, of rows l / 4 and l / 4 + 8, on every lane of the row
template <Packing kPacking>
__device__ inline void add_piece_of(float (&sum)[2], const std::byte* at, const std::byte* columns,
                                    int lane) {
  constexpr int kGroupsOf32 = 32 / group_cols(kPacking);
  Piece<kPacking> piece;
  piece.load(at, lane);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 b = *reinterpret_cast<const uint4*>(columns + half * 64 + lane % 4 * 16);
    uint32_t a[2][4];
    piece.codes_of(2 * half, a[0]);
    piece.codes_of(2 * half + 1, a[1]);
    float parts[kGroupsOf32][4];
    multiply(parts[0], a[0], b.x, b.y);
    if constexpr (kGroupsOf32 == 1)
      multiply_add(parts[0], a[1], b.z, b.w);
    else
      multiply(parts[kGroupsOf32 - 1], a[1], b.z, b.w);
#pragma unroll
    for (int g = 0; g < kGroupsOf32; ++g) {
      const float2 scale = piece.scales_of(half * kGroupsOf32 + g);
      sum[0] = fmaf(scale.x, parts[g][0], sum[0]);
      sum[1] = fmaf(scale.y, parts[g][2], sum[1]);
    }
  }
}

__device__ inline void copy_all(std::byte* to, const std::byte* from, int bytes) {
  for (int at = static_cast<int>(threadIdx.x) * 16; at < bytes; at += kThreads * 16)
    copy_async(to + at, from + at, true);
}

__device__ inline float squares(float4 v) { return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w; }

// The sum over the threads of a cluster; slots [kBlocks] are each block's own, used once.
__device__ inline float cluster_sum(float x, float* scratch, float* slots) {
  cg::cluster_group cluster = cg::this_cluster();
  x = block_sum(x, scratch);
  if (threadIdx.x < kBlocks) cluster.map_shared_rank(slots, threadIdx.x)[cluster.block_rank()] = x;
  cluster.sync();
  float sum = 0;
  for (int b = 0; b < kBlocks; ++b) sum += slots[b];
  return sum;
}

#endif

template <Packing kPacking>
__global__ void __launch_bounds__(kThreads) layer_input_kernel(const __grid_constant__ Launch l) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) std::byte shared[];
  __shared__ float scratch[kWarp];
  __shared__ float sums[kWarps][kTileRows];
  __shared__ float slots[2][kBlocks];
  const LayerInputArgs& a = l.a;
  cg::cluster_group cluster = cg::this_cluster();
  const auto rank = static_cast<int>(cluster.block_rank());
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto hidden = static_cast<int>(a.gate.cols);
  const auto width = static_cast<int>(a.gate.rows);
  const int own_width = width / kBlocks;
  const int own_hidden = hidden / kBlocks;
  const int64_t start = static_cast<int64_t>(blockIdx.y) * hidden;
  std::byte* const gate = shared;
  std::byte* const project = gate + l.layout.gate;
  std::byte* const columns = project + l.layout.project;
  std::byte* const gated = columns + l.layout.columns;
  auto* const row = reinterpret_cast<float*>(gated + l.layout.gated);

  say_started();
  copy_all(gate, static_cast<const std::byte*>(a.gate.packed) + rank * l.layout.gate,
           l.layout.gate);
  copy_all(project, static_cast<const std::byte*>(a.projection.packed) + rank * l.layout.project,
           l.layout.project);
  commit_copies();
  const int vectors = hidden / 4;
  float4 weight[kMostVectors], h[kMostVectors];
#pragma unroll
  for (int v = 0; v < kMostVectors; ++v) {
    const int i = static_cast<int>(threadIdx.x) + v * kThreads;
    if (i < vectors) weight[v] = __ldg(reinterpret_cast<const float4*>(a.post_mlp) + i);
  }
  // Of the elements that this block finishes, one or two a thread
  float post[2], next[2];
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    const int i = static_cast<int>(threadIdx.x) + n * kThreads;
    post[n] = i < own_hidden ? __ldg(a.post_input + rank * own_hidden + i) : 0.0f;
    next[n] = i < own_hidden && a.next_norm != nullptr ? __ldg(a.next_norm + rank * own_hidden + i)
                                                       : 0.0f;
  }
  wait_for_inputs();
  float sum = 0;
#pragma unroll
  for (int v = 0; v < kMostVectors; ++v) {
    const int i = static_cast<int>(threadIdx.x) + v * kThreads;
    h[v] = {0, 0, 0, 0};
    if (i < vectors) h[v] = reinterpret_cast<const float4*>(a.h + start)[i];
    sum += squares(h[v]);
  }
  const float inverse = 1.0f / sqrtf(block_sum(sum, scratch) / static_cast<float>(hidden) + a.eps);
#pragma unroll
  for (int v = 0; v < kMostVectors; ++v) {
    const int i = static_cast<int>(threadIdx.x) + v * kThreads;
    if (i >= vectors) continue;
    float4 x = reinterpret_cast<const float4*>(a.x + start)[i];
    x = {x.x + h[v].x * inverse * weight[v].x, x.y + h[v].y * inverse * weight[v].y,
         x.z + h[v].z * inverse * weight[v].z, x.w + h[v].w * inverse * weight[v].w};
    reinterpret_cast<float4*>(row)[i] = x;
    *reinterpret_cast<uint2*>(columns + place_of(4 * i) * 2) = {to_pair(x.x, x.y),
                                                                to_pair(x.z, x.w)};
  }
  wait_copies<0>();
  __syncthreads();
  allow_next();

  // Gate: all warps share the block's tiles
  const int tiles = own_width / kTileRows;
  const int sharing = kWarps / tiles;
  const int pieces = hidden / kPieceCols;
  float part[2] = {};
  if (warp < tiles * sharing)
    for (int p = warp % sharing; p < pieces; p += sharing)
      add_piece_of<kPacking>(part, gate + (warp / sharing * pieces + p) * piece_bytes(kPacking),
                             columns + p * kPieceCols * 2, lane);
  if (lane % 4 == 0) sums[warp][lane / 4] = part[0], sums[warp][lane / 4 + 8] = part[1];
  __syncthreads();
  wait_until_started();
  for (int i = static_cast<int>(threadIdx.x); i < own_width * kBlocks; i += kThreads) {
    const int r = i % own_width;
    float value = 0;
    for (int w = 0; w < sharing; ++w) value += sums[r / kTileRows * sharing + w][r % kTileRows];
    const int k = rank * own_width + r;
    value = gelu_tanh(value) * a.per_layer[blockIdx.y * a.per_layer_stride + k];
    auto* const to =
        reinterpret_cast<__nv_bfloat16*>(cluster.map_shared_rank(gated, i / own_width));
    to[place_of(k)] = __float2bfloat16_rn(value);
  }
  cluster.sync();

  // Projection: a warp sums whole tiles, into the place of `columns`, which nobody reads any more
  auto* const projected = reinterpret_cast<float*>(columns);
  const int inputs = width / kPieceCols;
  for (int t = warp; t < own_hidden / kTileRows; t += kWarps) {
    float total[2] = {};
    for (int p = 0; p < inputs; ++p)
      add_piece_of<kPacking>(total, project + (t * inputs + p) * piece_bytes(kPacking),
                             gated + p * kPieceCols * 2, lane);
    if (lane % 4 == 0)
      projected[t * kTileRows + lane / 4] = total[0],
                                       projected[t * kTileRows + lane / 4 + 8] = total[1];
  }
  __syncthreads();
  float own[2];
  sum = 0;
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    const int i = static_cast<int>(threadIdx.x) + n * kThreads;
    own[n] = i < own_hidden ? projected[i] : 0.0f;
    sum += own[n] * own[n];
  }
  const auto inverse_of = [&](float x, float* slot) {
    return 1.0f / sqrtf(cluster_sum(x, scratch, slot) / static_cast<float>(hidden) + a.eps);
  };
  const float second = inverse_of(sum, slots[0]);
  sum = 0;
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    const int i = static_cast<int>(threadIdx.x) + n * kThreads;
    if (i >= own_hidden) continue;
    own[n] = (row[rank * own_hidden + i] + own[n] * second * post[n]) * a.scale;
    a.sum[start + rank * own_hidden + i] = own[n];
    sum += own[n] * own[n];
  }
  if (a.normed == nullptr) return;
  const float third = inverse_of(sum, slots[1]);
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    const int i = static_cast<int>(threadIdx.x) + n * kThreads;
    if (i < own_hidden) a.normed[start + rank * own_hidden + i] = own[n] * third * next[n];
  }
#endif
}

Layout layout_of(const LayerInputArgs& a, Packing packing) {
  const int64_t tile_rows = int64_t{kTileRows} * kBlocks;
  return {static_cast<int>(a.gate.rows / tile_rows * tile_bytes(packing, a.gate.cols)),
          static_cast<int>(a.projection.rows / tile_rows * tile_bytes(packing, a.projection.cols)),
          static_cast<int>(a.gate.cols * 2), static_cast<int>(a.gate.rows * 2),
          static_cast<int>(a.gate.cols * 4)};
}

bool suits(const Matrix& weight) {
  constexpr int64_t kShare = int64_t{kTileRows} * kBlocks;
  return weight.packed != nullptr && weight.rows % kShare == 0 && weight.cols % kPieceCols == 0;
}

template <Packing kPacking>
void run(Queue queue, const LayerInputArgs& a) {
  const auto kernel = layer_input_kernel<kPacking>;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostShared);
  (void)allowed;  // where it failed, so does the launch
  const Launch l{a, layout_of(a, kPacking)};
  launch_clusters(queue, kBlocks, dim3(kBlocks, static_cast<unsigned>(a.rows)), kThreads,
                  static_cast<size_t>(l.layout.bytes()), kernel, l);
}

}  // namespace

bool can_add_layer_input(Queue queue, const LayerInputArgs& a) {
  constexpr int64_t kMostRows = 16;  // whose clusters run all at once on an H100
  return can_overlap() && queue.activations == Activations::kBFloat16 && a.rows <= kMostRows &&
         suits(a.gate) && suits(a.projection) && a.gate.dtype == a.projection.dtype &&
         !has_offset(packing_of(a.gate.dtype)) && a.gate.rows <= kWarps * kTileRows * kBlocks &&
         a.gate.cols <= int64_t{4} * kMostVectors * kThreads &&
         layout_of(a, packing_of(a.gate.dtype)).bytes() <= kMostShared;
}

void add_layer_input(Queue queue, const LayerInputArgs& a) {
  dispatch_packing(a.gate.dtype, [&]<Packing kPacking>() {
    if constexpr (!has_offset(kPacking)) run<kPacking>(queue, a);
  });
}

}  // namespace gemma4::kernels::cuda

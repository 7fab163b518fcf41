// Routing and the mixture of experts, in float32: every (token, choice) pair by itself.

#include "kernels/cuda/dot.cuh"
#include "kernels/cuda/entries.cuh"
#include "kernels/cuda/half_columns.cuh"
#include "kernels/cuda/packed_columns.cuh"
#include "kernels/cuda/packed_products.cuh"
#include "kernels/cuda/packed_wide.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kWarps = 8;

// One warp per token. `shared` [E]: the probabilities; a chosen one becomes negative.
__global__ void route_kernel(RouteArgs a) {
  extern __shared__ float chance[];
  begin();
  const int lane = threadIdx.x;
  const float* logits = a.logits + blockIdx.x * a.num_experts;
  float max = -INFINITY;
  for (int64_t e = lane; e < a.num_experts; e += kWarp) max = fmaxf(max, logits[e]);
  max = warp_max(max);
  float total = 0;
  for (int64_t e = lane; e < a.num_experts; e += kWarp) total += chance[e] = expf(logits[e] - max);
  total = warp_sum(total);
  for (int64_t e = lane; e < a.num_experts; e += kWarp) chance[e] /= total;
  __syncwarp();

  float chosen = 0;
  for (int64_t k = 0; k < a.top_k; ++k) {
    float best = -2.0f;
    int best_idx = 0;
    for (int64_t e = lane; e < a.num_experts; e += kWarp)
      if (chance[e] > best) {
        best = chance[e];
        best_idx = static_cast<int>(e);
      }
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      const float other = __shfl_xor_sync(~0u, best, offset);
      const int other_idx = __shfl_xor_sync(~0u, best_idx, offset);
      if (other > best || (other == best && other_idx < best_idx)) {  // ties: lower index
        best = other;
        best_idx = other_idx;
      }
    }
    chosen += best;
    if (lane == 0) {
      a.experts[blockIdx.x * a.top_k + k] = best_idx;
      a.weights[blockIdx.x * a.top_k + k] = best;
      chance[best_idx] = -1.0f;
    }
    __syncwarp();
  }
  for (int64_t k = lane; k < a.top_k; k += kWarp) {
    const int64_t i = blockIdx.x * a.top_k + k;
    a.weights[i] = a.weights[i] / chosen * a.expert_scale[a.experts[i]];
  }
}

// out[pair, n] = weight[expert of the pair · rows + n] · x[pair / x_per_row]
template <typename T>
__global__ void expert_linear_kernel(float* out, const float* x, int64_t x_stride, int pairs_per_x,
                                     const int32_t* experts, const T* weight, int64_t rows,
                                     int64_t cols) {
  begin();  // which weights to read is only known now
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (row >= rows) return;
  const int64_t pair = blockIdx.y;
  const T* const w[1] = {weight + (experts[pair] * rows + row) * cols};
  float sum[1][1];
  warp_dot<1, 1, 4>(w, x + pair / pairs_per_x * x_stride, x_stride, cols, 1, sum,
                    Activations::kFloat32);
  if (threadIdx.x % kWarp == 0) out[pair * rows + row] = sum[0][0];
}

// out[t] = Σ_k weights[t, k] · result of pair (t, k), in the order of the choices; pair p is row
// places[p] of `result`, or row p if that is null
__global__ void combine_kernel(ExpertsArgs a, const float* result, const int32_t* places) {
  begin();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= a.tokens * a.hidden) return;
  const int64_t token = i / a.hidden;
  float sum = 0;
  for (int64_t k = 0; k < a.top_k; ++k) {
    const int64_t pair = token * a.top_k + k;
    const int64_t row = places != nullptr ? places[pair] : pair;
    sum += a.weights[pair] * result[row * a.hidden + i % a.hidden];
  }
  a.out[i] = sum;
}

void expert_linear(Queue queue, float* out, const float* x, int64_t x_stride, int64_t pairs_per_x,
                   const ExpertsArgs& a, const Matrix& weight, int64_t rows) {
  const dim3 grid(static_cast<unsigned>(ceil_div<int64_t>(rows, kWarps)),
                  static_cast<unsigned>(a.tokens * a.top_k));
  dispatch(weight, [&]<typename T>(const T* elements) {
    launch(queue, grid, kWarps * kWarp, 0, expert_linear_kernel<T>, out, x, x_stride,
           static_cast<int>(pairs_per_x), a.experts, elements, rows, weight.cols);
  });
}

void combine(Queue queue, const ExpertsArgs& a, const float* result,
             const int32_t* places = nullptr) {
  constexpr int kThreads = 256;
  launch(queue, blocks(ceil_div<int64_t>(a.tokens * a.hidden, kThreads)), kThreads, 0,
         combine_kernel, a, result, places);
}

// Sorts pairs by expert, and cuts each expert's into tiles. One block. An expert's rows begin at a
// multiple of `align`.
struct Sorting {
  const int32_t* experts;  // [pairs]
  int pairs;
  int top_k;
  int num_experts;
  int tile_tokens;
  int num_tiles;
  int align;
  int rows;           // pairs, or more where they are aligned
  ExpertTile* tiles;  // [num_tiles]
  int32_t* sources;   // [rows] token of each row, or -1
  int32_t* places;    // [pairs] row of each pair
};

__host__ __device__ constexpr int padded_experts(int experts) { return ceil_div(experts, 8) * 8; }

__global__ void sort_kernel(Sorting a) {
  extern __shared__ int shared[];
  int* const counts = shared;  // [E], and what is read beyond it in one go
  int* const starts = shared + padded_experts(a.num_experts);  // [E]
  begin();
  for (int e = threadIdx.x; e < a.num_experts; e += blockDim.x) counts[e] = 0;
  for (int i = threadIdx.x; i < a.num_tiles; i += blockDim.x) a.tiles[i] = {0, 0, 0};
  for (int i = threadIdx.x; i < a.rows; i += blockDim.x) a.sources[i] = -1;
  __syncthreads();
  for (int p = threadIdx.x; p < a.pairs; p += blockDim.x) atomicAdd(counts + a.experts[p], 1);
  __syncthreads();
  for (int e = threadIdx.x; e < a.num_experts; e += blockDim.x) {
    int next = 0;
    int tile = 0;
#pragma unroll 8
    for (int before = 0; before < e; ++before) {
      next += ceil_div(counts[before], a.align) * a.align;
      tile += ceil_div(counts[before], a.tile_tokens);
    }
    starts[e] = next;
    for (int done = 0; done < counts[e]; done += a.tile_tokens)
      a.tiles[tile++] = {e, next + done, min(a.tile_tokens, counts[e] - done)};
  }
  __syncthreads();
  // Rows of an expert come in any order: no product depends on it.
  for (int p = threadIdx.x; p < a.pairs; p += blockDim.x) {
    const int row = atomicAdd(starts + a.experts[p], 1);
    a.sources[row] = p / a.top_k;
    a.places[p] = row;
  }
}

// Rows that `pairs` take up where every expert's begin at a multiple of kBrickTokens
int64_t aligned_rows(int64_t pairs, const ExpertsArgs& a) {
  return ceil_div<int64_t>(pairs, kBrickTokens) * kBrickTokens +
         std::min(pairs, a.num_experts) * (kBrickTokens - 1);
}

// Whether wide products pay: enough pairs that aligning them adds little, which also has room in
// the workspace.
bool can_group_wide(Queue queue, int64_t pairs, const ExpertsArgs& a) {
  return pairs >= 8 * a.num_experts && can_multiply_wide(queue, std::max(a.hidden, a.width));
}

// Pairs of the same expert together
void packed_groups(Queue queue, const ExpertsArgs& a) {
  const int64_t pairs = a.tokens * a.top_k;
  const bool wide = can_group_wide(queue, pairs, a);
  const int64_t rows = wide ? aligned_rows(pairs, a) : pairs;
  const int64_t row = a.gate_up.packed_row_bytes;
  float* active = a.workspace;              // [rows, F]
  float* result = active + rows * a.width;  // [rows, D]
  Sorting sorting{};
  sorting.experts = a.experts;
  sorting.pairs = static_cast<int>(pairs);
  sorting.top_k = static_cast<int>(a.top_k);
  sorting.num_experts = static_cast<int>(a.num_experts);
  sorting.tile_tokens = wide ? 64 : expert_tile_tokens(queue, pairs, a.num_experts);
  sorting.num_tiles =
      static_cast<int>(pairs / sorting.tile_tokens + std::min(a.num_experts, pairs));
  sorting.align = wide ? kBrickTokens : 1;
  sorting.rows = static_cast<int>(rows);
  sorting.sources = reinterpret_cast<int32_t*>(result + rows * a.hidden);
  sorting.places = sorting.sources + rows;
  sorting.tiles = reinterpret_cast<ExpertTile*>(sorting.places + pairs);
  launch(queue, dim3(1), 1024,
         static_cast<size_t>(2 * padded_experts(sorting.num_experts)) * sizeof(int), sort_kernel,
         sorting);
  const auto multiply = [&](DType dtype, const PackedLaunch& product, int64_t x_rows,
                            const ExpertGroups& groups) {
    if (wide) return multiply_wide_grouped(queue, dtype, product, groups);
    multiply_grouped(queue, dtype, product, x_rows, groups);
  };
  ExpertGroups groups{sorting.tiles, sorting.sources, sorting.num_tiles, sorting.tile_tokens};
  const auto* gate = static_cast<const std::byte*>(a.gate_up.packed);
  PackedLaunch product{};
  product.x = a.x;
  product.tokens = rows;
  product.depth = static_cast<int>(a.hidden);
  product.expert_bytes = 2 * a.width * row;
  product.form = Form::kGated;
  product.count = 1;
  product.parts[0] = {gate, gate + a.width * row, active, static_cast<int>(a.width), 0};
  multiply(a.gate_up.dtype, product, a.tokens, groups);
  groups.sources = nullptr;  // sorted already
  product.x = active;
  product.depth = static_cast<int>(a.width);
  product.expert_bytes = a.hidden * a.down.packed_row_bytes;
  product.form = Form::kPlain;
  product.parts[0] = {static_cast<const std::byte*>(a.down.packed), nullptr, result,
                      static_cast<int>(a.hidden), 0};
  multiply(a.down.dtype, product, rows, groups);
  combine(queue, a, result, sorting.places);
}

// Every pair by itself, with packed weights: those of an expert that several pairs chose come from
// the cache.
void packed_pairs(Queue queue, const ExpertsArgs& a) {
  const auto multiply = [queue](DType dtype, const PackedLaunch& launch) {
    return fits_single(queue, launch) ? multiply_single(queue, dtype, launch)
                                      : multiply_few(queue, dtype, launch);
  };
  float* active = a.workspace;                            // [pairs, F]
  float* result = active + a.tokens * a.top_k * a.width;  // [pairs, D]
  const int64_t row = a.gate_up.packed_row_bytes;
  PackedLaunch launch{};
  launch.x = a.x;
  launch.tokens = a.tokens * a.top_k;
  launch.depth = static_cast<int>(a.hidden);
  launch.rows_per_x = static_cast<int>(a.top_k);
  launch.experts = a.experts;
  launch.expert_bytes = 2 * a.width * row;
  launch.form = Form::kGated;
  const auto* gate = static_cast<const std::byte*>(a.gate_up.packed);
  launch.parts[launch.count++] = {gate, gate + a.width * row, active, static_cast<int>(a.width), 0};
  multiply(a.gate_up.dtype, launch);
  launch.x = active;
  launch.depth = static_cast<int>(a.width);
  launch.rows_per_x = 1;
  launch.expert_bytes = a.hidden * a.down.packed_row_bytes;
  launch.form = Form::kPlain;
  launch.parts[0] = {static_cast<const std::byte*>(a.down.packed), nullptr, result,
                     static_cast<int>(a.hidden), 0};
  multiply(a.down.dtype, launch);
  combine(queue, a, result);
}

}  // namespace

void route(Queue queue, const RouteArgs& a) {
  launch(queue, blocks(a.tokens), kWarp, static_cast<size_t>(a.num_experts) * sizeof(float),
         route_kernel, a);
}

void experts(Queue queue, const ExpertsArgs& a) {
  if (a.gate_up.packed != nullptr) {
    constexpr int64_t kFewPairs = 64;
    if (a.tokens * a.top_k <= kFewPairs) return packed_pairs(queue, a);
    const int64_t most_wide =
        (most_half_tokens(std::max(a.hidden, a.width)) - kBrickTokens * (a.num_experts + 1)) /
        a.top_k;
    const int64_t at_once =
        std::max<int64_t>(1, std::min({most_packed_tokens(queue, a.hidden),
                                       most_packed_tokens(queue, a.width) / a.top_k, most_wide}));
    for (int64_t first = 0; first < a.tokens; first += at_once) {
      ExpertsArgs part = a;
      part.tokens = std::min(at_once, a.tokens - first);
      part.out += first * a.hidden;
      part.x += first * a.hidden;
      part.experts += first * a.top_k;
      part.weights += first * a.top_k;
      packed_groups(queue, part);
    }
    return;
  }
  const int64_t pairs = a.tokens * a.top_k;
  float* inner = a.workspace;                   // [pairs, 2F] gate and up
  float* result = inner + pairs * 2 * a.width;  // [pairs, D]
  float* active = result + pairs * a.hidden;    // [pairs, F]; hidden more floats are there
  expert_linear(queue, inner, a.x, a.hidden, a.top_k, a, a.gate_up, 2 * a.width);
  gated_gelu(queue, {.out = active,
                     .gate = inner,
                     .up = inner + a.width,
                     .rows = pairs,
                     .cols = a.width,
                     .gate_stride = 2 * a.width,
                     .up_stride = 2 * a.width});
  expert_linear(queue, result, active, a.width, 1, a, a.down, a.hidden);
  combine(queue, a, result);
}

}  // namespace gemma4::kernels::cuda

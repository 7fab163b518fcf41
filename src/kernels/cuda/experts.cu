// Routing and the mixture of experts, in float32: every (token, choice) pair by itself.

#include "kernels/cuda/dot.cuh"
#include "kernels/cuda/entries.cuh"

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
  warp_dot<1, 1, 4>(w, x + pair / pairs_per_x * x_stride, x_stride, cols, 1, sum);
  if (threadIdx.x % kWarp == 0) out[pair * rows + row] = sum[0][0];
}

// out[t] = Σ_k weights[t, k] · result[t, k], in the order of the choices
__global__ void combine_kernel(ExpertsArgs a, const float* result) {
  begin();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= a.tokens * a.hidden) return;
  const int64_t token = i / a.hidden;
  float sum = 0;
  for (int64_t k = 0; k < a.top_k; ++k) {
    const int64_t pair = token * a.top_k + k;
    sum += a.weights[pair] * result[pair * a.hidden + i % a.hidden];
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

}  // namespace

void route(Queue queue, const RouteArgs& a) {
  launch(queue, blocks(a.tokens), kWarp, static_cast<size_t>(a.num_experts) * sizeof(float),
         route_kernel, a);
}

void experts(Queue queue, const ExpertsArgs& a) {
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
  constexpr int kThreads = 256;
  launch(queue, blocks(ceil_div<int64_t>(a.tokens * a.hidden, kThreads)), kThreads, 0,
         combine_kernel, a, result);
}

}  // namespace gemma4::kernels::cuda

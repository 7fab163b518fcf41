// Linear layers in float32: a warp per weight row and up to eight rows of activations.

#include "kernels/cuda/dot.cuh"
#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kWarps = 8;

template <int kTokens, typename T>
__global__ void linear_kernel(LinearArgs a, const T* weight) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (row >= a.weight.rows) return;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kTokens;
  const int tokens = static_cast<int>(min(static_cast<int64_t>(kTokens), a.tokens - first));
  const int64_t cols = a.weight.cols;
  float sum[kTokens];
  warp_dot<kTokens>(weight + row * cols, a.x + first * cols, cols, cols, tokens, sum);
#pragma unroll
  for (int t = 0; t < kTokens; ++t)
    if (t < tokens && threadIdx.x % kWarp == t) a.out[(first + t) * a.weight.rows + row] = sum[t];
}

template <int kTokens>
void launch(Queue queue, const LinearArgs& a) {
  const dim3 grid(static_cast<unsigned>(ceil_div<int64_t>(a.weight.rows, kWarps)),
                  static_cast<unsigned>(ceil_div<int64_t>(a.tokens, kTokens)));
  dispatch(a.weight, [&](auto* weight) {
    linear_kernel<kTokens><<<grid, kWarps * kWarp, 0, stream_of(queue)>>>(a, weight);
  });
}

}  // namespace

void linear(Queue queue, const LinearArgs& a) {
  if (a.tokens == 1) return launch<1>(queue, a);
  if (a.tokens <= 4) return launch<4>(queue, a);
  launch<8>(queue, a);
}

}  // namespace gemma4::kernels::cuda

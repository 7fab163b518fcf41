// Linear layers in float32: one or four warps per weight row, up to eight rows of activations.

#include "kernels/cuda/dot.cuh"
#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kWarps = 8;

// Up to this many rows, four warps share one: a warp each would not fill the card, and long rows
// would be read with too few loads in flight. Measured on an H100 (docs/performance): 1536 x 12288
// 23.8 to 14.8 us, 256 x 1536 4.1 to 2.3 us; with 6144 rows nothing is gained.
constexpr int64_t kMostSharedRows = 4096;
constexpr int kSharing = 4;

// The order of a sum follows from the weight's shape alone, whatever the batch.
template <int kTokens, int kWarpsPerRow, typename T>
__global__ void linear_kernel(LinearArgs a, const T* weight) {
  constexpr int kRows = kWarps / kWarpsPerRow;  // per block
  __shared__ float partial[kWarps][kTokens];
  const int warp = threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + warp / kWarpsPerRow;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kTokens;
  const int tokens = static_cast<int>(min(static_cast<int64_t>(kTokens), a.tokens - first));
  const int64_t cols = a.weight.cols;
  const bool is_row = row < a.weight.rows;
  float sum[kTokens];
  if (is_row)
    warp_dot<kTokens>(weight + row * cols, a.x + first * cols, cols, cols, tokens, sum,
                      warp % kWarpsPerRow, kWarpsPerRow);
  if constexpr (kWarpsPerRow > 1) {
#pragma unroll
    for (int t = 0; t < kTokens; ++t)
      if (lane == t) partial[warp][t] = is_row ? sum[t] : 0.0f;
    __syncthreads();
    if (warp % kWarpsPerRow != 0) return;
#pragma unroll
    for (int t = 0; t < kTokens; ++t)
      for (int i = 1; i < kWarpsPerRow; ++i) sum[t] += partial[warp + i][t];
  }
#pragma unroll
  for (int t = 0; t < kTokens; ++t)
    if (is_row && t < tokens && lane == t) a.out[(first + t) * a.weight.rows + row] = sum[t];
}

template <int kTokens, int kWarpsPerRow>
void launch_shared(Queue queue, const LinearArgs& a) {
  const dim3 grid(static_cast<unsigned>(ceil_div<int64_t>(a.weight.rows, kWarps / kWarpsPerRow)),
                  static_cast<unsigned>(ceil_div<int64_t>(a.tokens, kTokens)));
  dispatch(a.weight, [&](auto* weight) {
    linear_kernel<kTokens, kWarpsPerRow><<<grid, kWarps * kWarp, 0, stream_of(queue)>>>(a, weight);
  });
}

template <int kTokens>
void launch(Queue queue, const LinearArgs& a) {
  if (a.weight.rows <= kMostSharedRows) return launch_shared<kTokens, kSharing>(queue, a);
  launch_shared<kTokens, 1>(queue, a);
}

}  // namespace

void linear(Queue queue, const LinearArgs& a) {
  if (a.tokens == 1) return launch<1>(queue, a);
  if (a.tokens <= 4) return launch<4>(queue, a);
  launch<8>(queue, a);
}

}  // namespace gemma4::kernels::cuda

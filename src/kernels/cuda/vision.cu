// The vision tower's kernels beside its matrix products and its attention, in float32.

#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 256;

dim3 blocks_for(int64_t elements) { return blocks(ceil_div<int64_t>(elements, kThreads)); }

__device__ int64_t thread_index() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

__global__ void rope_axes_kernel(RopeAxesArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i >= a.tokens * a.heads * a.axes * a.half) return;
  const int64_t part = i / a.half;  // of the heads of all rows
  const int64_t j = i % a.half;
  const int64_t token = part / (a.heads * a.axes);
  const int64_t angle = (part % a.axes * a.tokens + token) * a.half + j;
  float* const x = a.x + part * 2 * a.half + j;
  const float low = x[0];
  const float high = x[a.half];
  x[0] = low * a.cos[angle] - high * a.sin[angle];
  x[a.half] = high * a.cos[angle] + low * a.sin[angle];
}

__global__ void pool_kernel(PoolArgs a) {
  begin();
  const int64_t i = thread_index();
  const int64_t out_cols = a.cols / a.side;
  if (i >= a.rows / a.side * out_cols * a.width) return;
  const int64_t square = i / a.width;
  const int64_t j = i % a.width;
  const int64_t first = square / out_cols * a.side * a.cols + square % out_cols * a.side;
  float sum = 0;
  for (int64_t y = 0; y < a.side; ++y)
    for (int64_t x = 0; x < a.side; ++x) sum += a.x[(first + y * a.cols + x) * a.width + j];
  const float mean = sum / static_cast<float>(a.side * a.side);
  a.out[i] = (mean * a.scale - (a.bias != nullptr ? a.bias[j] : 0.0f)) *
             (a.weight != nullptr ? a.weight[j] : 1.0f);
}

// One block per row. Two passes: the variance of what is far from zero would vanish in a difference
// of sums. Every element is read and written by one thread, so that `out` may be x.
__global__ void layer_norm_kernel(LayerNormArgs a) {
  __shared__ float scratch[kWarp];
  begin();
  const float* const x = a.x + blockIdx.x * a.cols;
  float sum = 0;
  for (int64_t j = threadIdx.x; j < a.cols; j += kThreads) sum += x[j];
  const float mean = block_sum(sum, scratch) / static_cast<float>(a.cols);
  float squares = 0;
  for (int64_t j = threadIdx.x; j < a.cols; j += kThreads) squares += (x[j] - mean) * (x[j] - mean);
  const float variance = block_sum(squares, scratch) / static_cast<float>(a.cols);
  const float inverse = 1.0f / sqrtf(variance + a.eps);
  for (int64_t j = threadIdx.x; j < a.cols; j += kThreads)
    a.out[blockIdx.x * a.cols + j] = (x[j] - mean) * inverse * a.weight[j] + a.bias[j];
}

}  // namespace

void rope_axes(Queue queue, const RopeAxesArgs& a) {
  launch(queue, blocks_for(a.tokens * a.heads * a.axes * a.half), kThreads, 0, rope_axes_kernel, a);
}

void pool(Queue queue, const PoolArgs& a) {
  launch(queue, blocks_for(a.rows / a.side * (a.cols / a.side) * a.width), kThreads, 0, pool_kernel,
         a);
}

void layer_norm(Queue queue, const LayerNormArgs& a) {
  launch(queue, blocks(a.rows), kThreads, 0, layer_norm_kernel, a);
}

}  // namespace gemma4::kernels::cuda

// What the CUDA kernels share: loads of weights in their storage types, reductions, launching.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "base/dtype.h"
#include "kernels/table.h"

namespace gemma4::kernels::cuda {

constexpr int kWarp = 32;

inline cudaStream_t stream_of(Queue queue) { return static_cast<cudaStream_t>(queue.stream); }

template <typename T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ inline float warp_sum(float x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
  return x;
}

__device__ inline float warp_max(float x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    x = fmaxf(x, __shfl_xor_sync(~0u, x, offset));
  return x;
}

// The sum over all threads of a block, known to all of them. `scratch` [32] is shared memory.
__device__ inline float block_sum(float x, float* scratch) {
  const int warp = threadIdx.x / kWarp;
  x = warp_sum(x);
  __syncthreads();  // an earlier sum may still be read
  if (threadIdx.x % kWarp == 0) scratch[warp] = x;
  __syncthreads();
  float total = 0;
  for (int w = 0; w < static_cast<int>(ceil_div(blockDim.x, 32u)); ++w) total += scratch[w];
  return total;
}

__device__ inline float gelu_tanh(float x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  return 0.5f * x * (1.0f + tanhf(kSqrt2OverPi * (x + 0.044715f * x * x * x)));
}

// Calls f(pointer) with the weight's elements in their own type.
template <typename F>
void dispatch(const Matrix& weight, F&& f) {
  switch (weight.dtype) {
    case DType::kBF16:
      return f(static_cast<const __nv_bfloat16*>(weight.data));
    case DType::kF16:
      return f(static_cast<const __half*>(weight.data));
    default:
      return f(static_cast<const float*>(weight.data));
  }
}

}  // namespace gemma4::kernels::cuda

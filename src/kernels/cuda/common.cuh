// What the CUDA kernels share: loads of weights in their storage types, reductions, launching.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/dtype.h"
#include "kernels/table.h"

namespace gemma4::kernels::cuda {

constexpr int kWarp = 32;

// A queue's scratch memory: counters that every kernel leaves at zero, then room whose contents end
// with the kernels of one entry.
constexpr size_t kCounterBytes = 64 << 10;
constexpr size_t kFreeScratchBytes = 192 << 20;
inline unsigned* counters(Queue queue) { return static_cast<unsigned*>(queue.scratch); }
inline std::byte* free_scratch(Queue queue) {
  return static_cast<std::byte*>(queue.scratch) + kCounterBytes;
}

inline cudaStream_t stream_of(Queue queue) { return static_cast<cudaStream_t>(queue.stream); }

// Lets the next kernel of the stream take free places on the card, where it may read weights ahead
// until its own wait_for_inputs().
__device__ inline void allow_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Waits until everything that earlier kernels wrote can be read. Every kernel must pass it before
// it touches anything but weights, what the step was given, and what earlier steps left.
__device__ inline void wait_for_inputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ inline void begin() {
  allow_next();
  wait_for_inputs();
}

// Whether a kernel may be placed on the card before the one ahead of it has ended.
inline bool can_overlap() {
  static const bool can = [] {
    int device = 0;
    int major = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) ==
               cudaSuccess &&
           major >= 9;
  }();
  return can;
}

// kernel<<<grid, threads, shared_bytes>>>(args…) on the queue's stream, each `cluster` neighbouring
// blocks together (compute capability 9). Errors are sticky: the device reports them.
template <typename... Params, typename... Args>
void launch_clusters(Queue queue, unsigned cluster, dim3 grid, int64_t threads, size_t shared_bytes,
                     void (*kernel)(Params...), Args&&... args) {
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = cluster;
  attributes[1].val.clusterDim.y = 1;
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream_of(queue);
  config.attrs = attributes;
  config.numAttrs = !can_overlap() ? 0 : cluster > 1 ? 2 : 1;
  (void)cudaLaunchKernelEx(&config, kernel, static_cast<Params>(std::forward<Args>(args))...);
}
template <typename... Params, typename... Args>
void launch(Queue queue, dim3 grid, int64_t threads, size_t shared_bytes, void (*kernel)(Params...),
            Args&&... args) {
  launch_clusters(queue, 1, grid, threads, shared_bytes, kernel, std::forward<Args>(args)...);
}

inline dim3 blocks(int64_t count) { return dim3(static_cast<unsigned>(count)); }

template <typename T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

// Element `at` of a cache becomes x, rounded to its type.
__device__ inline void put(void* cache, DType dtype, int64_t at, float x) {
  switch (dtype) {
    case DType::kBF16:
      static_cast<__nv_bfloat16*>(cache)[at] = __float2bfloat16_rn(x);
      return;
    case DType::kF16:
      static_cast<__half*>(cache)[at] = __float2half_rn(x);
      return;
    default:
      static_cast<float*>(cache)[at] = x;
  }
}

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
  const int lane = threadIdx.x % kWarp;
  return warp_sum(lane < static_cast<int>(ceil_div(blockDim.x, 32u)) ? scratch[lane] : 0.0f);
}

// 0.5 · (1 + tanh(u)) is the logistic function of 2 u, which loses nothing where x is negative.
__device__ inline float gelu_tanh(float x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  const float u = kSqrt2OverPi * (x + 0.044715f * x * x * x);
  return __fdividef(x, 1.0f + __expf(-2.0f * u));
}

// Calls f(pointer) with the elements of a weight that is not quantised in their own type.
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

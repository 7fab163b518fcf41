// Products of one weight row with a few rows of activations by one warp. The order of the sum
// depends on the launch's share of the row, which follows from the shape of the weight, and on
// nothing else.
#pragma once

#include "kernels/cuda/common.cuh"

namespace gemma4::kernels::cuda {

// Eight neighbouring weights as float. `w` is aligned to eight elements.
__device__ inline void load8(const float* w, float (&out)[8]) {
  const float4 low = reinterpret_cast<const float4*>(w)[0];
  const float4 high = reinterpret_cast<const float4*>(w)[1];
  out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
  out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
}

__device__ inline void load8(const __nv_bfloat16* w, float (&out)[8]) {
  const uint4 bits = *reinterpret_cast<const uint4*>(w);
  const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = __uint_as_float(words[i] << 16);
    out[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
  }
}

__device__ inline void load8(const __half* w, float (&out)[8]) {
  const uint4 bits = *reinterpret_cast<const uint4*>(w);
  const auto* pairs = reinterpret_cast<const __half2*>(&bits);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    out[2 * i] = pair.x;
    out[2 * i + 1] = pair.y;
  }
}

// sum[t] = Σ_k w[k] · x[t · stride + k] for t < tokens <= kTokens over this warp's share of k:
// every `warps`-th stretch from stretch `warp` on. Known to every lane. Rows must start at a
// multiple of eight elements if `cols` is one.
template <int kTokens, typename T>
__device__ inline void warp_dot(const T* w, const float* x, int64_t stride, int64_t cols,
                                int tokens, float (&sum)[kTokens], int warp = 0, int warps = 1) {
  const int lane = threadIdx.x % kWarp + warp * kWarp;
#pragma unroll
  for (int t = 0; t < kTokens; ++t) sum[t] = 0;
  if (cols % 8 == 0) {
#pragma unroll 4
    for (int64_t k = lane * 8; k < cols; k += warps * kWarp * 8) {
      float weight[8];
      load8(w + k, weight);
#pragma unroll
      for (int t = 0; t < kTokens; ++t) {
        if (t >= tokens) break;
        float value[8];
        load8(x + t * stride + k, value);
#pragma unroll
        for (int i = 0; i < 8; ++i) sum[t] = fmaf(weight[i], value[i], sum[t]);
      }
    }
  } else {
    for (int64_t k = lane; k < cols; k += warps * kWarp)
      for (int t = 0; t < tokens; ++t) sum[t] = fmaf(to_float(w[k]), x[t * stride + k], sum[t]);
  }
#pragma unroll
  for (int t = 0; t < kTokens; ++t) sum[t] = warp_sum(sum[t]);
}

}  // namespace gemma4::kernels::cuda

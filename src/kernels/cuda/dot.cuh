// Products of a few weight rows with a few rows of activations by one warp. The order of the sum
// depends on the launch's share of the row, which follows from the shape of the weight, and on
// nothing else.
#pragma once

#include "kernels/cuda/common.cuh"

namespace gemma4::kernels::cuda {

// Eight neighbouring weights in their storage type, aligned to eight elements
template <typename T>
struct Eight {
  uint4 bits[sizeof(T) / 2];  // sixteen or thirty-two bytes
};

template <typename T>
__device__ inline Eight<T> load8(const T* w) {
  Eight<T> eight;
  const auto* source = reinterpret_cast<const uint4*>(w);
#pragma unroll
  for (int i = 0; i < static_cast<int>(sizeof(T) / 2); ++i) eight.bits[i] = __ldg(source + i);
  return eight;
}

__device__ inline void widen(const Eight<float>& w, float (&out)[8]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    out[4 * i] = __uint_as_float(w.bits[i].x);
    out[4 * i + 1] = __uint_as_float(w.bits[i].y);
    out[4 * i + 2] = __uint_as_float(w.bits[i].z);
    out[4 * i + 3] = __uint_as_float(w.bits[i].w);
  }
}

__device__ inline void widen(const Eight<__nv_bfloat16>& w, float (&out)[8]) {
  const uint32_t words[4] = {w.bits[0].x, w.bits[0].y, w.bits[0].z, w.bits[0].w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = __uint_as_float(words[i] << 16);
    out[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
  }
}

__device__ inline void widen(const Eight<__half>& w, float (&out)[8]) {
  const auto* pairs = reinterpret_cast<const __half2*>(&w);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    out[2 * i] = pair.x;
    out[2 * i + 1] = pair.y;
  }
}

// Two neighbours rounded to bfloat16, in one conversion
__device__ inline void round_pair(float& low, float& high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  const auto bits = *reinterpret_cast<const uint32_t*>(&pair);
  low = __uint_as_float(bits << 16);
  high = __uint_as_float(bits & 0xFFFF0000u);
}

// Activations, which an earlier kernel has just written, as they are or rounded to bfloat16
__device__ inline void load_row8(const float* x, Activations activations, float (&out)[8]) {
  const float4 low = reinterpret_cast<const float4*>(x)[0];
  const float4 high = reinterpret_cast<const float4*>(x)[1];
  out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
  out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
  if (activations == Activations::kFloat32) return;
#pragma unroll
  for (int i = 0; i < 8; i += 2) round_pair(out[i], out[i + 1]);
}

// sum[m][t] = Σ_k w[m][k] · x[t · stride + k] for t < tokens <= kTokens over this warp's share of
// k: every `warps`-th stretch from stretch `warp` on. Known to every lane. Weights are read ahead,
// `kAhead` stretches of each row, before wait_for_inputs(), which every thread passes here. Rows
// must start at a multiple of eight elements if `cols` is one. Null rows count nothing.
template <int kTokens, int kRows, int kAhead, typename T>
__device__ inline void warp_dot(const T* const (&w)[kRows], const float* x, int64_t stride,
                                int64_t cols, int tokens, float (&sum)[kRows][kTokens],
                                Activations activations, int warp = 0, int warps = 1) {
  const int lane = threadIdx.x % kWarp + warp * kWarp;
  const bool is_row = w[0] != nullptr;
#pragma unroll
  for (int m = 0; m < kRows; ++m)
#pragma unroll
    for (int t = 0; t < kTokens; ++t) sum[m][t] = 0;
  const auto accumulate = [&](int64_t k, const Eight<T>(&weights)[kRows]) {
    float weight[kRows][8];
#pragma unroll
    for (int m = 0; m < kRows; ++m) widen(weights[m], weight[m]);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t >= tokens) break;
      float value[8];
      load_row8(x + t * stride + k, activations, value);
#pragma unroll
      for (int m = 0; m < kRows; ++m)
#pragma unroll
        for (int i = 0; i < 8; ++i) sum[m][t] = fmaf(weight[m][i], value[i], sum[m][t]);
    }
  };
  if (cols % 8 == 0) {
    const int64_t step = static_cast<int64_t>(warps) * kWarp * 8;
    Eight<T> ahead[kAhead][kRows];
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      if (is_row && lane * 8 + i * step < cols)
#pragma unroll
        for (int m = 0; m < kRows; ++m) ahead[i][m] = load8(w[m] + lane * 8 + i * step);
    wait_for_inputs();
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      if (is_row && lane * 8 + i * step < cols) accumulate(lane * 8 + i * step, ahead[i]);
    if (is_row)
#pragma unroll 4
      for (int64_t k = lane * 8 + kAhead * step; k < cols; k += step) {
        Eight<T> weights[kRows];
#pragma unroll
        for (int m = 0; m < kRows; ++m) weights[m] = load8(w[m] + k);
        accumulate(k, weights);
      }
  } else {
    wait_for_inputs();
    if (is_row)
      for (int64_t k = lane; k < cols; k += warps * kWarp)
        for (int t = 0; t < tokens; ++t)
#pragma unroll
          for (int m = 0; m < kRows; ++m)
            sum[m][t] = fmaf(to_float(w[m][k]), x[t * stride + k], sum[m][t]);
  }
#pragma unroll
  for (int m = 0; m < kRows; ++m)
#pragma unroll
    for (int t = 0; t < kTokens; ++t) sum[m][t] = warp_sum(sum[m][t]);
}

}  // namespace gemma4::kernels::cuda

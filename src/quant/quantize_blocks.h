// What quantize.cc calls for rows of blocks, and what its callees share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "quant/blocks.h"
#include "quant/lanes.h"

namespace gemma4::quant {

// As quantize_row; `count` is a whole number of blocks.
void quantize_q4_0(const float* row, int64_t count, const float* importance, BlockQ4_0* out);
void quantize_q8_0(const float* row, int64_t count, const float* importance, BlockQ8_0* out);
void quantize_iq4_nl(const float* row, int64_t count, const float* importance, BlockIQ4_NL* out);
void quantize_q4_k(const float* row, int64_t count, const float* importance, BlockQ4_K* out);
void quantize_q5_k(const float* row, int64_t count, const float* importance, BlockQ5_K* out);
void quantize_q6_k(const float* row, int64_t count, const float* importance, BlockQ6_K* out);

inline constexpr float kLargestF16 = 65504;

// The nearest f16 that is a number.
inline uint16_t to_f16_scale(float v) { return f32_to_f16(limit(v, -kLargestF16, kLargestF16)); }

// The number that is written for v.
inline float rounded_to_f16(float v) { return f16_to_f32(to_f16_scale(v)); }

// The f16 number for d where values are d · S · n and the largest d · S has to be `largest` with S
// at `steps`. Subnormals go away from zero: no S could make up for a d that is too small.
inline float d_for(float largest, float steps) {
  const float exact = largest / steps;
  uint16_t bits = to_f16_scale(exact);
  const bool subnormal = (bits & 0x7fffu) < 0x400u;
  if (subnormal && std::abs(f16_to_f32(bits)) < std::abs(exact)) ++bits;
  return f16_to_f32(bits);
}

// NaN as 0, and all else as near as magnitudes up to `largest` come.
inline float tame(float v, float largest) {
  return std::isnan(v) ? 0.0f : limit(v, -largest, largest);
}

// Importance as weights from 2^-20 to 1 of one block; all 1 where there is none.
inline void weights_of(const float* importance, int count, float* w) {
  const auto valid = [](float v) { return v > 0 ? std::min(v, 0x1p127f) : 0.0f; };
  float largest = 0;
  if (importance != nullptr)
    for (int i = 0; i < count; ++i) largest = std::max(largest, valid(importance[i]));
  for (int i = 0; i < count; ++i)
    w[i] = largest > 0 ? std::max(valid(importance[i]) / largest, 0x1p-20f) : 1.0f;
}

}  // namespace gemma4::quant

// Q8_0 for what is written once per token and soon read: keys and values. The scale is that of the
// largest element and every level the nearest; weights, which are made once for good, get the
// search of quantize.h instead.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/dtype.h"
#include "quant/blocks.h"

namespace gemma4::quant {

// The f16 bits of the scale of a block whose largest magnitude is `largest`: largest / 127, at most
// the largest f16.
inline uint16_t nearest_q8_0_scale(float largest) {
  return f32_to_f16(std::min(largest / 127, 65504.0f));
}

// 32 elements. Each is off by at most half the scale, up to magnitudes of 127 · 65504; where the
// scale is no normal f16 (all magnitudes below 0.0078), by at most 127 · 2^-25 more. Elements
// beyond that get the last level of their sign, NaN becomes 0.
inline BlockQ8_0 nearest_q8_0(const float* x) {
  float largest = 0;
  for (int j = 0; j < kSmallBlock; ++j) largest = std::max(largest, std::abs(x[j]));
  BlockQ8_0 block{.d = nearest_q8_0_scale(largest), .q = {}};
  const float d = f16_to_f32(block.d);
  const float inverse = d > 0 ? 1 / d : 0;
  for (int j = 0; j < kSmallBlock; ++j) {
    const float multiple = x[j] * inverse;
    if (std::isnan(multiple)) continue;  // also infinity beside a scale of 0, which cannot be
    block.q[j] = static_cast<int8_t>(std::nearbyint(std::clamp(multiple, -127.0f, 127.0f)));
  }
  return block;
}

}  // namespace gemma4::quant

// Blocks of 256 elements. Element e lies in half a = e / 128, group g = e % 128 / 32, lane
// l = e % 32: the bits of the lanes of a half lie in the same bytes, those of the groups beside
// each other in a byte.

#include "quant/dequantize.h"

namespace gemma4::quant {
namespace {

struct Place {
  int a, g, l;
};

Place place_of(int e) { return {e / 128, e % 128 / 32, e % 32}; }

// Element e's two bits in 64 bytes.
int two_bits(const uint8_t* q, int e) {
  const auto [a, g, l] = place_of(e);
  return (q[32 * a + l] >> 2 * g) & 3;
}

// Element e's nibble in 128 bytes, in which sub-blocks of 32 lie in pairs.
int nibble_of_pair(const uint8_t* q, int e) {
  const int b = e / 32;
  return (q[32 * (b / 2) + e % 32] >> 4 * (b % 2)) & 15;
}

// Element e's nibble in 128 bytes, in which the halves of a sub-block of 32 share bytes.
int nibble_of_sub_block(const uint8_t* q, int e) {
  const int k = e % 32;
  return (q[16 * (e / 32) + k % 16] >> 4 * (k / 16)) & 15;
}

}  // namespace

void dequantize_block(const BlockQ2_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int e = 0; e < kLargeBlock; ++e) {
    const int s = block.s[e / 16];
    const auto n = static_cast<float>(two_bits(block.q, e));
    out[e] = d * static_cast<float>(s & 15) * n - dmin * static_cast<float>(s >> 4);
  }
}

void dequantize_block(const BlockQ3_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int e = 0; e < kLargeBlock; ++e) {
    const bool high = ((block.h[e % 32] >> (e / 32)) & 1) != 0;
    const int n = two_bits(block.q, e) - (high ? 0 : 4);
    out[e] = d * static_cast<float>(unpack_scale_q3(block.sc, e / 16)) * static_cast<float>(n);
  }
}

void dequantize_block(const BlockQ4_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int e = 0; e < kLargeBlock; ++e) {
    const auto [scale, min] = unpack_scale_min(block.sc, e / 32);
    const auto n = static_cast<float>(nibble_of_pair(block.q, e));
    out[e] = d * static_cast<float>(scale) * n - dmin * static_cast<float>(min);
  }
}

void dequantize_block(const BlockQ5_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int e = 0; e < kLargeBlock; ++e) {
    const auto [scale, min] = unpack_scale_min(block.sc, e / 32);
    const int high = (block.h[e % 32] >> (e / 32)) & 1;
    const auto n = static_cast<float>(nibble_of_pair(block.q, e) + 16 * high);
    out[e] = d * static_cast<float>(scale) * n - dmin * static_cast<float>(min);
  }
}

void dequantize_block(const BlockQ6_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int e = 0; e < kLargeBlock; ++e) {
    const auto [a, g, l] = place_of(e);
    const int low = (block.lo[64 * a + 32 * (g % 2) + l] >> 4 * (g / 2)) & 15;
    const int high = two_bits(block.hi, e);
    const int n = (low | high << 4) - 32;
    const int8_t scale = block.s[e / 16];
    out[e] = d * static_cast<float>(scale) * static_cast<float>(n);
  }
}

void dequantize_block(const BlockIQ4_XS& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int e = 0; e < kLargeBlock; ++e) {
    const int scale = unpack_scale_iq4_xs(block, e / 32);
    const int8_t level = kIQ4Levels[nibble_of_sub_block(block.q, e)];
    out[e] = d * static_cast<float>(scale) * static_cast<float>(level);
  }
}

}  // namespace gemma4::quant

// Blocks of 32 elements: element j from its nibble or byte, and the scale of the block.

#include "quant/dequantize.h"

namespace gemma4::quant {
namespace {

int nibble(const uint8_t* s, int j) { return j < 16 ? s[j] & 15 : s[j - 16] >> 4; }

int bit(uint32_t h, int j) { return static_cast<int>((h >> j) & 1u); }

}  // namespace

void dequantize_block(const BlockQ4_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < kSmallBlock; ++j) out[j] = d * static_cast<float>(nibble(block.s, j) - 8);
}

void dequantize_block(const BlockQ4_1& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < kSmallBlock; ++j) out[j] = d * static_cast<float>(nibble(block.s, j)) + m;
}

void dequantize_block(const BlockQ5_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < kSmallBlock; ++j) {
    const int n = nibble(block.s, j) + 16 * bit(block.h, j);
    out[j] = d * static_cast<float>(n - 16);
  }
}

void dequantize_block(const BlockQ5_1& block, float* out) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < kSmallBlock; ++j) {
    const int n = nibble(block.s, j) + 16 * bit(block.h, j);
    out[j] = d * static_cast<float>(n) + m;
  }
}

void dequantize_block(const BlockQ8_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < kSmallBlock; ++j) out[j] = d * static_cast<float>(block.q[j]);
}

void dequantize_block(const BlockIQ4_NL& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < kSmallBlock; ++j)
    out[j] = d * static_cast<float>(kIQ4Levels[nibble(block.s, j)]);
}

void dequantize_block(const BlockMXFP4& block, float* out) {
  const float d = mxfp4_scale(block.e);
  for (int j = 0; j < kSmallBlock; ++j)
    out[j] = d * static_cast<float>(kMXFP4Levels[nibble(block.s, j)]);
}

}  // namespace gemma4::quant

// Byte layouts of the blocks of quantised weights, as GGUF files have them. Little-endian; names of
// fields are those of the formulas in dequantize_32.cc and dequantize_256.cc, which say what the
// bytes mean. Blocks may lie at any address: the structs are packed, so reading a field is safe.
//
//   const auto* blocks = static_cast<const quant::BlockQ4_0*>(row);
//   const float d = f16_to_f32(blocks[3].d);
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace gemma4::quant {

inline constexpr int kSmallBlock = 32;   // elements of the types Q4_0 … Q8_0, IQ4_NL, MXFP4
inline constexpr int kLargeBlock = 256;  // elements of the types …_K and IQ4_XS

#pragma pack(push, 1)

// Blocks of 32. The nibble of element j is the low half of s[j] for j < 16, then the high half of
// s[j - 16].
struct BlockQ4_0 {
  uint16_t d;  // f16
  uint8_t s[16];
};
struct BlockQ4_1 {
  uint16_t d;  // f16
  uint16_t m;  // f16
  uint8_t s[16];
};
struct BlockQ5_0 {
  uint16_t d;  // f16
  uint32_t h;  // bit j: the fifth bit of element j
  uint8_t s[16];
};
struct BlockQ5_1 {
  uint16_t d;  // f16
  uint16_t m;  // f16
  uint32_t h;  // bit j: the fifth bit of element j
  uint8_t s[16];
};
struct BlockQ8_0 {
  uint16_t d;  // f16
  int8_t q[32];
};
struct BlockIQ4_NL {
  uint16_t d;  // f16
  uint8_t s[16];
};
struct BlockMXFP4 {
  uint8_t e;  // exponent of a power of two
  uint8_t s[16];
};

// Blocks of 256, in sub-blocks of 16 or 32 with scales of their own.
struct BlockQ2_K {
  uint8_t s[16];  // scale (low nibble) and min (high nibble) of 16 elements each
  uint8_t q[64];
  uint16_t d;     // f16
  uint16_t dmin;  // f16
};
struct BlockQ3_K {
  uint8_t h[32];
  uint8_t q[64];
  uint8_t sc[12];  // 16 scales of 6 bits
  uint16_t d;      // f16
};
struct BlockQ4_K {
  uint16_t d;      // f16
  uint16_t dmin;   // f16
  uint8_t sc[12];  // 8 scales and 8 mins of 6 bits: unpack_scale_min
  uint8_t q[128];
};
struct BlockQ5_K {
  uint16_t d;      // f16
  uint16_t dmin;   // f16
  uint8_t sc[12];  // as in BlockQ4_K
  uint8_t h[32];
  uint8_t q[128];
};
struct BlockQ6_K {
  uint8_t lo[128];
  uint8_t hi[64];
  int8_t s[16];
  uint16_t d;  // f16
};
struct BlockIQ4_XS {
  uint16_t d;     // f16
  uint16_t sh;    // upper two bits of 8 scales
  uint8_t sl[4];  // their lower four
  uint8_t q[128];
};

#pragma pack(pop)

template <typename Block>
constexpr bool matches(DType type, int elements) {
  const DTypeInfo info = info_of(type);
  return info.block_elements == elements && info.block_bytes == sizeof(Block) &&
         alignof(Block) == 1;
}
static_assert(matches<BlockQ4_0>(DType::kQ4_0, kSmallBlock));
static_assert(matches<BlockQ4_1>(DType::kQ4_1, kSmallBlock));
static_assert(matches<BlockQ5_0>(DType::kQ5_0, kSmallBlock));
static_assert(matches<BlockQ5_1>(DType::kQ5_1, kSmallBlock));
static_assert(matches<BlockQ8_0>(DType::kQ8_0, kSmallBlock));
static_assert(matches<BlockIQ4_NL>(DType::kIQ4_NL, kSmallBlock));
static_assert(matches<BlockMXFP4>(DType::kMXFP4, kSmallBlock));
static_assert(matches<BlockQ2_K>(DType::kQ2_K, kLargeBlock));
static_assert(matches<BlockQ3_K>(DType::kQ3_K, kLargeBlock));
static_assert(matches<BlockQ4_K>(DType::kQ4_K, kLargeBlock));
static_assert(matches<BlockQ5_K>(DType::kQ5_K, kLargeBlock));
static_assert(matches<BlockQ6_K>(DType::kQ6_K, kLargeBlock));
static_assert(matches<BlockIQ4_XS>(DType::kIQ4_XS, kLargeBlock));

// The levels that a nibble of IQ4_NL and IQ4_XS names.
inline constexpr int8_t kIQ4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// The levels of MXFP4: twice the numbers of E2M1.
inline constexpr int8_t kMXFP4Levels[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

// MXFP4's scale, 2^(e - 128): half of what E8M0 means, as the levels are doubled. The two smallest
// are subnormal.
constexpr float mxfp4_scale(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1u) << 23);
}

struct ScaleMin {
  uint8_t scale;  // 0 … 63
  uint8_t min;    // 0 … 63
};

// Scale and min of sub-block b < 8 in the twelve bytes `sc` of Q4_K and Q5_K. Those of the first
// four are the low six bits of a byte each; the upper two bits of these bytes and four more bytes
// hold the rest.
constexpr ScaleMin unpack_scale_min(const uint8_t* sc, int b) {
  if (b < 4) return {static_cast<uint8_t>(sc[b] & 63), static_cast<uint8_t>(sc[b + 4] & 63)};
  return {static_cast<uint8_t>((sc[b + 4] & 15) | (sc[b - 4] >> 6) << 4),
          static_cast<uint8_t>((sc[b + 4] >> 4) | (sc[b] >> 6) << 4)};
}

// Scale of 16 elements t < 16 in the twelve bytes `sc` of Q3_K: -32 … 31.
constexpr int unpack_scale_q3(const uint8_t* sc, int t) {
  const int low = t < 8 ? sc[t] & 15 : sc[t - 8] >> 4;
  const int high = (sc[8 + t % 4] >> 2 * (t / 4)) & 3;
  return (low | high << 4) - 32;
}

// Scale of sub-block b < 8 of IQ4_XS: -32 … 31.
constexpr int unpack_scale_iq4_xs(const BlockIQ4_XS& block, int b) {
  const int low = (block.sl[b / 2] >> 4 * (b % 2)) & 15;
  const int high = (block.sh >> 2 * b) & 3;
  return (low | high << 4) - 32;
}

}  // namespace gemma4::quant

// Single elements of quantised rows, as quant/blocks.h lays them out: what src/quant says of whole
// blocks, for one element, as a whole number with a scale and an offset.
#pragma once

#include "kernels/cuda/common.cuh"
#include "quant/blocks.h"

namespace gemma4::kernels::cuda {

// value = code · scale + offset
struct Coded {
  int code;
  float scale;
  float offset;
};

// As src/quant rounds it: never one fused operation.
__device__ inline float value_of(Coded c) {
  return __fadd_rn(__fmul_rn(static_cast<float>(c.code), c.scale), c.offset);
}

__device__ inline float half_bits(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
__device__ inline int nibble(const uint8_t* s, int j) { return s[j % 16] >> (j / 16 * 4) & 15; }
__device__ inline int two_bits(const uint8_t* q, int e) {
  return q[32 * (e / 128) + e % 32] >> (2 * (e % 128 / 32)) & 3;
}
__device__ inline int nibble_of_pair(const uint8_t* q, int e) {
  return q[32 * (e / 64) + e % 32] >> (4 * (e / 32 % 2)) & 15;
}

template <size_t kCount>
struct Levels {
  int8_t of[kCount];
  constexpr explicit Levels(const int8_t (&levels)[kCount]) : of() {
    for (size_t i = 0; i < kCount; ++i) of[i] = levels[i];
  }
};
__device__ inline int iq4_level(int i) {
  constexpr Levels kLevels(quant::kIQ4Levels);
  return kLevels.of[i];
}
__device__ inline int mxfp4_level(int i) {
  constexpr Levels kLevels(quant::kMXFP4Levels);
  return kLevels.of[i];
}

// Element j of a block
__device__ inline Coded coded(const quant::BlockQ4_0& b, int j) {
  return {nibble(b.s, j) - 8, half_bits(b.d), 0};
}
__device__ inline Coded coded(const quant::BlockQ4_1& b, int j) {
  return {nibble(b.s, j), half_bits(b.d), half_bits(b.m)};
}
__device__ inline Coded coded(const quant::BlockQ5_0& b, int j) {
  return {nibble(b.s, j) + 16 * static_cast<int>(b.h >> j & 1) - 16, half_bits(b.d), 0};
}
__device__ inline Coded coded(const quant::BlockQ5_1& b, int j) {
  return {nibble(b.s, j) + 16 * static_cast<int>(b.h >> j & 1), half_bits(b.d), half_bits(b.m)};
}
__device__ inline Coded coded(const quant::BlockQ8_0& b, int j) {
  return {b.q[j], half_bits(b.d), 0};
}
__device__ inline Coded coded(const quant::BlockIQ4_NL& b, int j) {
  return {iq4_level(nibble(b.s, j)), half_bits(b.d), 0};
}
__device__ inline Coded coded(const quant::BlockMXFP4& b, int j) {
  return {mxfp4_level(nibble(b.s, j)), quant::mxfp4_scale(b.e), 0};
}
__device__ inline Coded coded(const quant::BlockQ2_K& b, int e) {
  const int s = b.s[e / 16];
  return {two_bits(b.q, e), half_bits(b.d) * static_cast<float>(s & 15),
          -(half_bits(b.dmin) * static_cast<float>(s >> 4))};
}
__device__ inline Coded coded(const quant::BlockQ3_K& b, int e) {
  const bool high = (b.h[e % 32] >> (e / 32) & 1) != 0;
  const int scale = quant::unpack_scale_q3(b.sc, e / 16);
  return {two_bits(b.q, e) - (high ? 0 : 4), half_bits(b.d) * static_cast<float>(scale), 0};
}
template <class Block>
__device__ inline Coded with_min(const Block& b, int e, int code) {
  const auto [scale, min] = quant::unpack_scale_min(b.sc, e / 32);
  return {code, half_bits(b.d) * static_cast<float>(scale),
          -(half_bits(b.dmin) * static_cast<float>(min))};
}
__device__ inline Coded coded(const quant::BlockQ4_K& b, int e) {
  return with_min(b, e, nibble_of_pair(b.q, e));
}
__device__ inline Coded coded(const quant::BlockQ5_K& b, int e) {
  return with_min(b, e, nibble_of_pair(b.q, e) + 16 * (b.h[e % 32] >> (e / 32) & 1));
}
__device__ inline Coded coded(const quant::BlockQ6_K& b, int e) {
  const int low = b.lo[64 * (e / 128) + e % 64] >> (4 * (e % 128 / 64)) & 15;
  return {(low | two_bits(b.hi, e) << 4) - 32, half_bits(b.d) * static_cast<float>(b.s[e / 16]), 0};
}
__device__ inline Coded coded(const quant::BlockIQ4_XS& b, int e) {
  const int level = iq4_level(nibble(b.q + 16 * (e / 32), e % 32));
  return {level, half_bits(b.d) * static_cast<float>(quant::unpack_scale_iq4_xs(b, e / 32)), 0};
}

template <class Block>
struct BlockRow {
  static constexpr int kElements = sizeof(Block) < 64 ? quant::kSmallBlock : quant::kLargeBlock;
  const Block* blocks;
  __device__ Coded at(int64_t col) const {
    return coded(blocks[col / kElements], static_cast<int>(col % kElements));
  }
};

// Calls f<dtype>(blocks) with the data of a quantised type.
template <typename F>
void dispatch_blocks(DType dtype, F&& f, const void* data) {
  const auto call = [&]<DType kType, class Block>() {
    f.template operator()<kType>(static_cast<const Block*>(data));
  };
  switch (dtype) {
    case DType::kQ4_0:
      return call.template operator()<DType::kQ4_0, quant::BlockQ4_0>();
    case DType::kQ4_1:
      return call.template operator()<DType::kQ4_1, quant::BlockQ4_1>();
    case DType::kQ5_0:
      return call.template operator()<DType::kQ5_0, quant::BlockQ5_0>();
    case DType::kQ5_1:
      return call.template operator()<DType::kQ5_1, quant::BlockQ5_1>();
    case DType::kQ8_0:
      return call.template operator()<DType::kQ8_0, quant::BlockQ8_0>();
    case DType::kIQ4_NL:
      return call.template operator()<DType::kIQ4_NL, quant::BlockIQ4_NL>();
    case DType::kMXFP4:
      return call.template operator()<DType::kMXFP4, quant::BlockMXFP4>();
    case DType::kQ2_K:
      return call.template operator()<DType::kQ2_K, quant::BlockQ2_K>();
    case DType::kQ3_K:
      return call.template operator()<DType::kQ3_K, quant::BlockQ3_K>();
    case DType::kQ4_K:
      return call.template operator()<DType::kQ4_K, quant::BlockQ4_K>();
    case DType::kQ5_K:
      return call.template operator()<DType::kQ5_K, quant::BlockQ5_K>();
    case DType::kQ6_K:
      return call.template operator()<DType::kQ6_K, quant::BlockQ6_K>();
    case DType::kIQ4_XS:
      return call.template operator()<DType::kIQ4_XS, quant::BlockIQ4_XS>();
    default:
      return;  // not quantised
  }
}

}  // namespace gemma4::kernels::cuda

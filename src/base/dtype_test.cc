// Every one of the 65,536 patterns of both 16-bit floats against their IEEE definition.

#include "base/dtype.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>

namespace gemma4 {
namespace {

// The definition, in double: (-1)^s · 2^e · m.
double decode(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int exponent_mask = (1 << exponent_bits) - 1;
  const int bias = exponent_mask / 2;
  const double sign = (bits >> (exponent_bits + mantissa_bits)) & 1 ? -1 : 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & exponent_mask;
  const double fraction = std::ldexp(bits & ((1u << mantissa_bits) - 1), -mantissa_bits);
  if (exponent == exponent_mask)
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
  return sign * std::ldexp(1 + fraction, exponent - bias);
}

void expect_same(float value, double definition, uint32_t bits) {
  if (std::isnan(definition)) {
    EXPECT_TRUE(std::isnan(value)) << std::hex << bits;
    return;
  }
  EXPECT_EQ(static_cast<double>(value), definition) << std::hex << bits;
  EXPECT_EQ(std::signbit(value), std::signbit(definition)) << std::hex << bits;
}

TEST(Dtype, EveryBf16PatternDecodesAsDefined) {
  for (uint32_t bits = 0; bits < 65536; ++bits)
    expect_same(bf16_to_f32(static_cast<uint16_t>(bits)), decode(bits, 8, 7), bits);
}

TEST(Dtype, EveryF16PatternDecodesAsDefined) {
  for (uint32_t bits = 0; bits < 65536; ++bits)
    expect_same(f16_to_f32(static_cast<uint16_t>(bits)), decode(bits, 5, 10), bits);
}

TEST(Dtype, EveryBf16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bf16_to_f32(static_cast<uint16_t>(bits));
    const uint16_t back = f32_to_bf16(value);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(bf16_to_f32(back))) << std::hex << bits;
    else
      EXPECT_EQ(back, bits);
  }
}

TEST(Dtype, RoundingGoesToTheNearestAndTiesToEven) {
  for (uint32_t low = 0; low < 0x7f80; ++low) {  // every finite step of the positive half
    const uint32_t half = (low << 16) + 0x8000u;
    for (const uint32_t sign : {0u, 0x8000u}) {
      const auto round = [&](uint32_t bits) {
        return f32_to_bf16(std::bit_cast<float>(bits | sign << 16)) & 0xffffu;
      };
      EXPECT_EQ(round(half - 1), low | sign);
      EXPECT_EQ(round(half + 1), (low + 1) | sign);
      EXPECT_EQ(round(half), (low % 2 == 0 ? low : low + 1) | sign);
    }
  }
}

TEST(Dtype, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f16_to_f32(static_cast<uint16_t>(bits));
    const uint16_t back = f32_to_f16(value);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(f16_to_f32(back))) << std::hex << bits;
    else
      EXPECT_EQ(back, bits);
  }
}

TEST(Dtype, RoundingToF16GoesToTheNearestAndTiesToEven) {
  for (uint32_t low = 0; low < 0x7c00; ++low) {  // every finite half; above the last: 65536
    const float below = f16_to_f32(static_cast<uint16_t>(low));
    const float above = low == 0x7bff ? 65536.0f : f16_to_f32(static_cast<uint16_t>(low + 1));
    const float half = (below + above) / 2;  // exact: one bit more than a half has
    const uint32_t even = low % 2 == 0 ? low : low + 1;
    for (const bool negative : {false, true}) {
      const auto round = [&](float magnitude) {
        return f32_to_f16(negative ? -magnitude : magnitude);
      };
      const uint32_t sign = negative ? 0x8000u : 0u;
      EXPECT_EQ(round(std::nextafter(half, 0.0f)), low | sign);
      EXPECT_EQ(round(std::nextafter(half, 1e9f)), (low + 1) | sign);
      EXPECT_EQ(round(half), even | sign);
    }
  }
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::denorm_min()), 0x8000);
}

TEST(Dtype, NanStaysNanEvenWhenItsPayloadIsCutOff) {
  for (const uint32_t bits : {0x7f800001u, 0xff800001u, 0x7fc00000u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(bits)))));
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(std::bit_cast<float>(bits)))));
  }
}

TEST(Dtype, LoadFloatReadsUnalignedElements) {
  std::array<std::byte, 64> buffer{};
  for (size_t offset = 0; offset < 5; ++offset) {
    const std::array<float, 3> f32 = {1.5f, -0.0f, 3e-39f};
    std::memcpy(buffer.data() + offset, f32.data(), sizeof f32);
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(std::bit_cast<uint32_t>(load_float(buffer.data() + offset, DType::kF32, i)),
                std::bit_cast<uint32_t>(f32[static_cast<size_t>(i)]));
    const std::array<uint16_t, 3> halves = {0x3c00, 0xc500, 0x0001};
    std::memcpy(buffer.data() + offset, halves.data(), sizeof halves);
    for (int i = 0; i < 3; ++i) {
      const uint16_t bits = halves[static_cast<size_t>(i)];
      EXPECT_EQ(load_float(buffer.data() + offset, DType::kF16, i), f16_to_f32(bits));
      EXPECT_EQ(load_float(buffer.data() + offset, DType::kBF16, i), bf16_to_f32(bits));
    }
  }
}

TEST(Dtype, NamesAreDistinctAndSizesAreThoseInTheName) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_TRUE(names.insert(name_of(dtype)).second);
    const std::string_view name = name_of(dtype);
    const int64_t bits = name == "BOOL"             ? 8
                         : name.starts_with("F8")   ? 8
                         : name.starts_with("BF16") ? 16
                                                    : std::stoi(std::string(name.substr(1)));
    EXPECT_EQ(size_of(dtype) * 8, bits) << name;
  }
}

TEST(Dtype, RowsOfBlocksHaveTheSizesOfGgmlsBlocks) {
  EXPECT_EQ(row_bytes(DType::kBF16, 7), 14);
  EXPECT_EQ(row_bytes(DType::kQ4_0, 96), 3 * 18);
  EXPECT_EQ(row_bytes(DType::kQ8_0, 32), 34);
  EXPECT_EQ(row_bytes(DType::kQ4_K, 512), 2 * 144);
  EXPECT_EQ(row_bytes(DType::kQ6_K, 256), 210);
  EXPECT_EQ(name_of(DType::kIQ4_XS), "IQ4_XS");
  EXPECT_EQ(row_bytes(DType::kIQ4_XS, 256), 136);  // the last one: the table is whole
  EXPECT_FALSE(is_block_dtype(DType::kF8E5M2));
  EXPECT_TRUE(is_block_dtype(DType::kQ4_0));
}

}  // namespace
}  // namespace gemma4

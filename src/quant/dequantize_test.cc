// Every block type against ggml's own dequantisation, bit for bit, and the formulas' corner cases.

#include "quant/dequantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace gemma4::quant {
namespace {

constexpr DType kBlockTypes[] = {DType::kQ4_0,  DType::kQ4_1,   DType::kQ5_0,  DType::kQ5_1,
                                 DType::kQ8_0,  DType::kIQ4_NL, DType::kMXFP4, DType::kQ2_K,
                                 DType::kQ3_K,  DType::kQ4_K,   DType::kQ5_K,  DType::kQ6_K,
                                 DType::kIQ4_XS};

std::vector<char> read_golden(const std::string& name) {
  std::ifstream file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/quant/" + name,
                     std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> dequantized(DType type, const void* row, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  dequantize_row(type, row, count, values.data());
  return values;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), 4 * values.size());
  return bits;
}

class BlockType : public testing::TestWithParam<DType> {};

// tools/golden/make_quant.py: blocks, then ggml's values.
TEST_P(BlockType, HasGgmlsValuesToTheLastBit) {
  const DTypeInfo info = info_of(GetParam());
  const std::vector<char> golden = read_golden(std::string(info.name) + ".blocks");
  const int64_t num_blocks =
      static_cast<int64_t>(golden.size()) / (info.block_bytes + 4 * info.block_elements);
  ASSERT_GE(num_blocks, 5);
  const int64_t count = num_blocks * info.block_elements;
  const std::vector<float> values = dequantized(GetParam(), golden.data(), count);
  const char* expected = golden.data() + num_blocks * info.block_bytes;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, expected + 4 * i, sizeof bits);
    ASSERT_EQ(std::bit_cast<uint32_t>(values[static_cast<size_t>(i)]), bits) << "element " << i;
  }
}

TEST_P(BlockType, MayLieAtAnyAddress) {
  const DTypeInfo info = info_of(GetParam());
  std::vector<char> bytes(static_cast<size_t>(3 * info.block_bytes), 0x35);
  const std::vector<float> expected =
      dequantized(GetParam(), bytes.data(), 3 * info.block_elements);
  for (const size_t shift : {1, 2, 3, 5}) {
    std::vector<char> moved(shift, 0x7f);
    moved.insert(moved.end(), bytes.begin(), bytes.end());
    EXPECT_EQ(dequantized(GetParam(), moved.data() + shift, 3 * info.block_elements), expected);
  }
}

// A byte belongs to one block only, and every bit of it means something; not in every block, as a
// scale may be zero.
TEST_P(BlockType, EveryBitChangesItsBlockAndNoOther) {
  const DTypeInfo info = info_of(GetParam());
  const auto elements = info.block_elements;
  std::vector<bool> mattered(8 * static_cast<size_t>(info.block_bytes));
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<uint8_t> bytes(static_cast<size_t>(2 * info.block_bytes));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const std::vector<uint32_t> before =
        bits_of(dequantized(GetParam(), bytes.data(), 2 * elements));
    for (size_t bit = 0; bit < mattered.size(); ++bit) {
      std::vector<uint8_t> changed = bytes;
      changed[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      const std::vector<uint32_t> after =
          bits_of(dequantized(GetParam(), changed.data(), 2 * elements));
      if (!std::equal(before.begin(), before.begin() + elements, after.begin()))
        mattered[bit] = true;
      EXPECT_TRUE(std::equal(before.begin() + elements, before.end(), after.begin() + elements))
          << bit;
    }
  }
  EXPECT_THAT(mattered, testing::Each(true));
}

TEST_P(BlockType, AnyBytesAreValid) {
  const DTypeInfo info = info_of(GetParam());
  std::mt19937 random(2);
  std::vector<uint8_t> bytes(static_cast<size_t>(64 * info.block_bytes));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  dequantized(GetParam(), bytes.data(), 64 * info.block_elements);
}

INSTANTIATE_TEST_SUITE_P(All, BlockType, testing::ValuesIn(kBlockTypes),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(Dequantize, PlainFloatsAreWidenedExactly) {
  const float f32[] = {1.5f, -0.0f, 1e-40f};
  EXPECT_EQ(dequantized(DType::kF32, f32, 3), std::vector<float>(f32, f32 + 3));
  const uint16_t halves[] = {0x3c00, 0x0001, 0xc500};
  EXPECT_EQ(dequantized(DType::kF16, halves, 3), (std::vector<float>{1, 0x1p-24f, -5}));
  EXPECT_EQ(dequantized(DType::kBF16, halves, 3), (std::vector<float>{0x1p-7f, 0x1p-133f, -2048}));
}

// Element 0 and the last one of a block written by hand, from the tables of the format.
TEST(Dequantize, FirstAndLastElementFollowTheFormula) {
  BlockQ4_0 q4_0 = {.d = 0x4000, .s = {}};  // 2
  q4_0.s[0] = 0x03;
  q4_0.s[15] = 0xf0;
  float values[kLargeBlock];
  dequantize_block(q4_0, values);
  EXPECT_EQ(values[0], 2 * (3 - 8));
  EXPECT_EQ(values[31], 2 * (15 - 8));
  EXPECT_EQ(values[1], 2 * -8);

  BlockQ4_K q4_k = {.d = 0x3c00, .dmin = 0x3800, .sc = {}, .q = {}};  // 1 and 1/2
  q4_k.sc[0] = 63;                                                    // scale 0
  q4_k.sc[11] = 0x21;  // scale 7 is 1, min 7 is 2 …
  q4_k.sc[3] = 0x80;   // … + 2 · 16
  q4_k.sc[7] = 0x40;   // … + 1 · 16
  q4_k.q[0] = 0x05;
  q4_k.q[127] = 0x90;
  dequantize_block(q4_k, values);
  EXPECT_EQ(values[0], 63 * 5);
  EXPECT_EQ(values[255], (1 + 32) * 9 - 0.5f * (2 + 16));

  BlockQ6_K q6_k = {.lo = {}, .hi = {}, .s = {}, .d = 0x3c00};
  q6_k.s[0] = -3;
  q6_k.s[15] = 127;
  q6_k.lo[127] = 0xf0;
  q6_k.hi[63] = 0xc0;
  dequantize_block(q6_k, values);
  EXPECT_EQ(values[0], -3 * -32);
  EXPECT_EQ(values[255], 127 * 31);
}

TEST(Dequantize, ScalesThatAreNoNumbersGiveValuesThatAreNone) {
  BlockQ8_0 block = {.d = 0x7e00, .q = {}};
  float values[kSmallBlock];
  dequantize_block(block, values);
  EXPECT_TRUE(std::isnan(values[0]));
  block = {.d = 0x7c00, .q = {1}};
  dequantize_block(block, values);
  EXPECT_TRUE(std::isinf(values[0]));
}

}  // namespace
}  // namespace gemma4::quant

// What quantisers promise: ggml's bytes, trained grids, errors, and a result for any input.

#include "quant/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "quant/dequantize.h"

namespace gemma4::quant {
namespace {

using Bytes = std::vector<char>;
using Floats = std::vector<float>;

Bytes quantized(DType type, const Floats& row, const float* importance = nullptr) {
  const auto count = static_cast<int64_t>(row.size());
  Bytes bytes(static_cast<size_t>(row_bytes(type, count)));
  quantize_row(type, row.data(), count, importance, bytes.data());
  return bytes;
}

Floats dequantized(DType type, const Bytes& bytes) {
  const DTypeInfo info = info_of(type);
  const int64_t count = static_cast<int64_t>(bytes.size()) / info.block_bytes * info.block_elements;
  Floats row(static_cast<size_t>(count));
  dequantize_row(type, bytes.data(), count, row.data());
  return row;
}

// Through the type and back.
Floats passed(DType type, const Floats& row, const float* importance = nullptr) {
  return dequantized(type, quantized(type, row, importance));
}

double squared_error(const Floats& a, const Floats& b, const float* importance = nullptr) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = double{a[i]} - double{b[i]};
    sum += error * error * (importance == nullptr ? 1.0 : double{importance[i]});
  }
  return sum;
}

// Of the error to the row, root mean squares.
double relative_error(DType type, const Floats& row) {
  return std::sqrt(squared_error(row, passed(type, row)) /
                   squared_error(row, Floats(row.size(), 0.0f)));
}

Floats gaussian(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  Floats row(count);
  for (float& v : row) v = normal(random);
  return row;
}

// Student's t with three degrees of freedom: an outlier now and then.
Floats heavy_tailed(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::student_t_distribution<float> heavy(3);
  Floats row(count);
  for (float& v : row) v = 0.02f * heavy(random);
  return row;
}

Floats some_importance(size_t count, unsigned seed) {
  Floats importance = heavy_tailed(count, seed);
  for (float& v : importance) v = v * v;
  return importance;
}

Bytes read_golden(const std::string& name) {
  std::ifstream file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/quant/" + name,
                     std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string name_of_test(const testing::TestParamInfo<DType>& test) {
  return std::string(name_of(test.param));
}

constexpr DType kBlockTypes[] = {DType::kQ4_0, DType::kQ8_0, DType::kIQ4_NL,
                                 DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

TEST(Quantize, MakesTheTypesItNames) {
  for (const DType type : kBlockTypes) EXPECT_TRUE(can_quantize(type));
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) EXPECT_TRUE(can_quantize(type));
  for (const DType type : {DType::kQ2_K, DType::kMXFP4, DType::kI8, DType::kF8E4M3})
    EXPECT_FALSE(can_quantize(type));
}

TEST(Quantize, PlainFloatsAreRoundedOnce) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Floats row = {1, 1.0f + 0x1p-9f, 65519.9f, 65520, -infinity, 1e-8f};
  EXPECT_EQ(passed(DType::kF32, row), row);
  EXPECT_EQ(passed(DType::kF16, row), (Floats{1, 1.0f + 0x1p-9f, 65504, infinity, -infinity, 0}));
  EXPECT_EQ(passed(DType::kBF16, row),
            (Floats{1, 1, 65536, 65536, -infinity, bf16_to_f32(f32_to_bf16(1e-8f))}));
}

class PlainType : public testing::TestWithParam<DType> {};

// tools/golden/make_quant.py: rows of 32, then the blocks that ggml's reference quantiser makes of
// them. Where these lose something that the type could have kept, nothing is lost here.
TEST_P(PlainType, HasTheBytesOfGgmlsReferenceQuantiser) {
  const Bytes golden = read_golden(std::string(name_of(GetParam())) + ".rows");
  const size_t block_bytes = static_cast<size_t>(info_of(GetParam()).block_bytes);
  const size_t num_blocks = golden.size() / (block_bytes + 4 * kSmallBlock);
  ASSERT_GE(num_blocks, 20u);
  size_t num_equal = 0;
  for (size_t i = 0; i < num_blocks; ++i) {
    Floats row(kSmallBlock);
    std::memcpy(row.data(), golden.data() + 4 * kSmallBlock * i, 4 * kSmallBlock);
    const char* expected = golden.data() + 4 * kSmallBlock * num_blocks + block_bytes * i;
    const Bytes ggmls(expected, expected + block_bytes);
    if (quantized(GetParam(), row) == ggmls) {
      ++num_equal;
    } else {
      EXPECT_EQ(passed(GetParam(), row), row) << "block " << i;
      EXPECT_NE(dequantized(GetParam(), ggmls), row) << "block " << i;
    }
  }
  EXPECT_GE(3 * num_equal, 2 * num_blocks);  // the others are constant, or ramps
}

INSTANTIATE_TEST_SUITE_P(All, PlainType, testing::Values(DType::kQ4_0, DType::kQ8_0), name_of_test);

class GridType : public testing::TestWithParam<DType> {
 protected:
  // A block with a random f16 scale and random levels, `mask` taken from their bits.
  Bytes random_block(std::mt19937& random, unsigned mask) const {
    Bytes bytes(static_cast<size_t>(info_of(GetParam()).block_bytes));
    for (char& byte : bytes) byte = static_cast<char>(random() & mask);
    const auto d = static_cast<uint16_t>(random() % 0x7c00 | (random() & 1) << 15);
    std::memcpy(bytes.data(), &d, sizeof d);
    return bytes;
  }
};

// Blocks of all levels, and of few: the extreme ones do not occur then, nor 1, or only zeros do.
TEST_P(GridType, TrainedBlocksKeepTheirValues) {
  std::mt19937 random(3);
  const Floats importance = some_importance(kSmallBlock, 4);
  for (const unsigned mask : {0xffu, 0x77u, 0xeeu, 0xbbu, 0xccu, 0x66u, 0x88u, 0x00u})
    for (int i = 0; i < 2000; ++i) {
      const Floats trained = dequantized(GetParam(), random_block(random, mask));
      ASSERT_EQ(passed(GetParam(), trained), trained) << mask << ", block " << i;
      ASSERT_EQ(passed(GetParam(), trained, importance.data()), trained) << mask << ", block " << i;
    }
}

// Checkpoints are stored as bf16, whose eight bits round the products of a scale and a level: two
// such roundings, and those of the scale, are all that may be lost.
TEST(Quantize, TrainedBlocksOfQ4_0SurviveBf16) {
  std::mt19937 random(21);
  const Floats importance = some_importance(kSmallBlock, 22);
  for (const unsigned mask : {15u, 7u, 14u, 11u, 6u, 3u})
    for (int i = 0; i < 2000; ++i) {
      const float scale = std::ldexp(1.0f + static_cast<float>(random() % 4096) / 4096, -7) *
                          (i % 2 == 0 ? 1.0f : -1.0f);
      Floats row(kSmallBlock);
      for (float& v : row) {
        const auto level = static_cast<float>(static_cast<int>(random() & mask) - 8);
        v = bf16_to_f32(f32_to_bf16(scale * level));
      }
      for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
        const Floats result = passed(DType::kQ4_0, row, weights);
        for (size_t j = 0; j < row.size(); ++j)
          ASSERT_NEAR(result[j], row[j], std::abs(row[j]) * (2 * 0x1p-8f + 2 * 0x1p-12f))
              << mask << ", block " << i;
      }
    }
}

// One element off the grid, and nothing is kept at the price of that element.
TEST_P(GridType, BlocksBesideAGridAreQuantisedAsAnyOther) {
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    Floats row = dequantized(GetParam(), random_block(random, 0xff));
    const float largest = std::abs(*std::max_element(
        row.begin(), row.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
    row[7] += largest / 5;
    const Floats result = passed(GetParam(), row);
    EXPECT_NEAR(result[7], row[7], largest / 4);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GridType, testing::Values(DType::kQ4_0, DType::kQ8_0, DType::kIQ4_NL),
                         name_of_test);

class Quantizer : public testing::TestWithParam<DType> {};

// The largest step between levels, as a part of the largest magnitude, bounds every error where one
// scale serves the block: half a step, a whole one where 7 has to do for 8, and a scale rounded to
// 11 bits. Where sub-blocks have scales, the search minimises the sum over the block, so the sum is
// bounded: by that of an even grid over the range with S and M half a step off.
TEST_P(Quantizer, ErrorsStayWithinTheStepsOfTheType) {
  const auto bound = [](DType type) {
    constexpr double kRounding = 0x1p-11;
    switch (type) {
      case DType::kQ4_0:
        return 1 / 8.0 + kRounding;
      case DType::kQ8_0:
        return 0.5 / 127 + kRounding;
      case DType::kIQ4_NL:  // from -127 to -104, beside a largest positive level of 113
        return 23 / 2.0 / 113 + 14 / 113.0 + kRounding;
      case DType::kQ4_K:
        return 2 * (0.5 / 15 + 2 * 0.5 / 63 + kRounding);  // the range is twice the magnitude
      case DType::kQ5_K:
        return 2 * (0.5 / 31 + 2 * 0.5 / 63 + kRounding);
      default:
        return 0.5 / 31 + 0.5 / 127 + kRounding;
    }
  };
  for (const Floats& row : {gaussian(4096, 6), heavy_tailed(4096, 7)}) {
    const Floats result = passed(GetParam(), row);
    for (size_t first = 0; first < row.size(); first += kLargeBlock) {
      const size_t elements = static_cast<size_t>(info_of(GetParam()).block_elements);
      for (size_t begin = first; begin < first + kLargeBlock; begin += elements) {
        double largest = 0, worst = 0, sum = 0;
        for (size_t i = begin; i < begin + elements; ++i) {
          const double error = std::abs(double{row[i]} - double{result[i]});
          largest = std::max(largest, std::abs(double{row[i]}));
          worst = std::max(worst, error);
          sum += error * error;
        }
        EXPECT_LE(std::sqrt(sum / static_cast<double>(elements)), bound(GetParam()) * largest);
        const bool one_scale = GetParam() == DType::kQ4_0 || GetParam() == DType::kQ8_0;
        EXPECT_TRUE(!one_scale || worst <= bound(GetParam()) * largest) << worst / largest;
      }
    }
  }
}

struct Errors {
  double gaussian, heavy_tailed;
};

// Relative errors of ggml's quantisers (llama.cpp v0.5.0) on the rows below.
Errors errors_of_ggml(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return {0.0858, 0.1295};
    case DType::kQ8_0:
      return {0.00536, 0.00851};
    case DType::kIQ4_NL:
      return {0.07608, 0.10276};
    case DType::kQ4_K:
      return {0.07129, 0.09321};
    case DType::kQ5_K:
      return {0.03609, 0.04725};
    default:
      return {0.01771, 0.02577};
  }
}

TEST_P(Quantizer, ErrorsAreNoLargerThanGgmls) {
  const Errors ggmls = errors_of_ggml(GetParam());
  EXPECT_LE(relative_error(GetParam(), gaussian(1 << 18, 8)), ggmls.gaussian);
  EXPECT_LE(relative_error(GetParam(), heavy_tailed(1 << 18, 9)), ggmls.heavy_tailed);
}

TEST_P(Quantizer, ImportanceMovesTheErrorToWhereItCountsLess) {
  const Floats row = gaussian(8192, 10);
  const Floats importance = some_importance(row.size(), 11);
  EXPECT_LT(squared_error(row, passed(GetParam(), row, importance.data()), importance.data()),
            0.97 * squared_error(row, passed(GetParam(), row), importance.data()));
}

TEST_P(Quantizer, ImportanceHasNoScale) {
  const Floats row = gaussian(1024, 12);
  Floats importance = some_importance(row.size(), 13);
  const Bytes once = quantized(GetParam(), row, importance.data());
  for (float& v : importance) v *= 0x1p-60f;
  EXPECT_EQ(quantized(GetParam(), row, importance.data()), once);
}

// No state, and no block looks at its neighbours; every number of blocks is possible.
TEST_P(Quantizer, ABlockDependsOnItsOwnElementsOnly) {
  const DTypeInfo info = info_of(GetParam());
  const auto elements = static_cast<size_t>(info.block_elements);
  const Floats row = heavy_tailed(7 * elements, 14);
  const Floats importance = some_importance(row.size(), 15);
  for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
    const Bytes whole = quantized(GetParam(), row, weights);
    EXPECT_EQ(quantized(GetParam(), row, weights), whole);
    Bytes parts;
    for (size_t begin = 0; begin < row.size(); begin += elements) {
      const auto first = row.begin() + static_cast<ptrdiff_t>(begin);
      const Bytes part =
          quantized(GetParam(), Floats(first, first + static_cast<ptrdiff_t>(elements)),
                    weights == nullptr ? nullptr : weights + begin);
      parts.insert(parts.end(), part.begin(), part.end());
    }
    EXPECT_EQ(parts, whole);
  }
}

TEST_P(Quantizer, TheResultMayLieAtAnyAddress) {
  const Floats row = gaussian(512, 16);
  const Bytes expected = quantized(GetParam(), row);
  Bytes moved(expected.size() + 2, 0x55);
  quantize_row(GetParam(), row.data(), 512, nullptr, moved.data() + 1);
  EXPECT_EQ(Bytes(moved.begin() + 1, moved.end() - 1), expected);
  EXPECT_EQ(moved.front(), 0x55);
  EXPECT_EQ(moved.back(), 0x55);
}

TEST_P(Quantizer, EqualElementsAreMet) {
  for (const float value : {0.0f, 1.0f, -1.0f, 300.0f, -0.01f}) {
    const Floats result = passed(GetParam(), Floats(256, value));
    for (const float v : result) EXPECT_NEAR(v, value, std::abs(value) / 100);
  }
}

// Scales that are subnormal or too small for an f16: at worst as wrong as zeros would be.
TEST_P(Quantizer, TinyElementsBecomeZerosOrStayNear) {
  const Floats zeros(256, 0.0f);
  for (const float size : {1e-4f, 1e-5f, 1e-6f, 1e-7f, 1e-8f, 1e-12f, 1e-30f, 1e-41f}) {
    Floats row = gaussian(256, 17);
    for (float& v : row) v *= size / 0.02f;
    EXPECT_LE(squared_error(row, passed(GetParam(), row)), squared_error(row, zeros)) << size;
  }
}

TEST_P(Quantizer, AnyInputHasAFiniteResult) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float most = std::numeric_limits<float>::max();
  for (const float odd : {nan, infinity, -infinity, most, -most, 1e30f}) {
    Floats row = gaussian(512, 18);
    row[3] = row[300] = odd;
    for (const float v : passed(GetParam(), row)) EXPECT_TRUE(std::isfinite(v));
    const Floats result = passed(GetParam(), Floats(256, odd));
    for (const float v : result) {
      EXPECT_TRUE(std::isfinite(v));
      EXPECT_TRUE(std::isnan(odd) ? v == 0 : v * std::copysign(1.0f, odd) >= 65504.0f) << v;
    }
    Floats importance(512, 1.0f);
    importance[5] = odd;
    importance[6] = -1;
    for (const float v : passed(GetParam(), gaussian(512, 19), importance.data()))
      EXPECT_LT(std::abs(v), 0.2f);
  }
}

// Importance that is zero throughout says nothing.
TEST_P(Quantizer, ImportanceOfZerosCountsAllAlike) {
  const Floats row = gaussian(256, 20);
  const Floats zeros(256, 0.0f), ones(256, 1.0f);
  EXPECT_EQ(quantized(GetParam(), row, zeros.data()), quantized(GetParam(), row, ones.data()));
}

INSTANTIATE_TEST_SUITE_P(All, Quantizer, testing::ValuesIn(kBlockTypes), name_of_test);

}  // namespace
}  // namespace gemma4::quant

#include "quant/nearest_q8_0.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/splitmix.h"
#include "quant/dequantize.h"

namespace gemma4::quant {
namespace {

using Row = std::array<float, kSmallBlock>;

Row stored(const Row& row) {
  Row out;
  dequantize_block(nearest_q8_0(row.data()), out.data());
  return out;
}

Row random_row(uint64_t seed, float size) {
  Row row;
  for (float& x : row)
    x = size * (static_cast<float>(splitmix(seed += kSplitMixStep) >> 40) * 0x1p-23f - 1);
  return row;
}

TEST(NearestQ8_0, EveryElementIsWithinHalfAScale) {
  for (const float size : {1e-7f, 1e-4f, 0.01f, 1.0f, 300.0f, 8e6f})
    for (uint64_t seed = 0; seed < 200; ++seed) {
      const Row row = random_row(seed, size);
      const BlockQ8_0 block = nearest_q8_0(row.data());
      const Row out = stored(row);
      const double bound = 0.5 * f16_to_f32(block.d) * (1 + 1e-6) + 127 * 0x1p-25;
      for (size_t i = 0; i < row.size(); ++i)
        ASSERT_NEAR(out[i], row[i], bound) << "of a row up to " << size;
    }
}

TEST(NearestQ8_0, TheLargestElementHasTheLastLevel) {
  Row row = random_row(1, 1);
  row[17] = -3;
  const BlockQ8_0 block = nearest_q8_0(row.data());
  EXPECT_EQ(block.d, f32_to_f16(3.0f / 127));
  EXPECT_EQ(block.q[17], -127);
}

TEST(NearestQ8_0, ZerosAndWhatIsNoNumber) {
  EXPECT_EQ(stored(Row{}), Row{});
  Row row{};
  row[0] = std::numeric_limits<float>::quiet_NaN();
  row[1] = 1;
  row[2] = -1e30f;
  row[3] = std::numeric_limits<float>::infinity();
  const Row out = stored(row);
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(out[1], 0);
  EXPECT_EQ(out[2], -127 * 65504.0f);
  EXPECT_EQ(out[3], 127 * 65504.0f);
}

}  // namespace
}  // namespace gemma4::quant

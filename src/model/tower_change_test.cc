#include "model/tower_change.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/dtype.h"

namespace gemma4::model {
namespace {

std::vector<int16_t> elements(const std::vector<std::byte>& bytes) {
  std::vector<int16_t> values(bytes.size() / sizeof(int16_t));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<int16_t> counted(size_t count) {
  std::vector<int16_t> values(count);
  std::iota(values.begin(), values.end(), int16_t{0});
  return values;
}

// Two outputs, a patch of 2 x 2 pixels: in the checkpoint r g b of each pixel, in the file all r,
// then all g, then all b.
TEST(TowerChange, PixelOrder) {
  const std::vector<int64_t> shape = {2, 12};
  const std::vector<int16_t> checkpoint = counted(24);
  const std::vector<int16_t> file = {0,  3,  6,  9,  1,  4,  7,  10, 2,  5,  8,  11,
                                     12, 15, 18, 21, 13, 16, 19, 22, 14, 17, 20, 23};
  EXPECT_EQ(elements(to_file_order(TowerChange::kPixelOrder, shape,
                                   std::as_bytes(std::span(checkpoint)), 2)),
            file);
  EXPECT_EQ(elements(to_checkpoint_order(TowerChange::kPixelOrder, shape,
                                         std::as_bytes(std::span(file)), 2)),
            checkpoint);
}

// Vectors are permuted like one row.
TEST(TowerChange, PixelOrderOfVectors) {
  const std::vector<int64_t> shape = {12};
  const std::vector<int16_t> checkpoint = counted(12);
  const std::vector<int16_t> file = {0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11};
  EXPECT_EQ(elements(to_file_order(TowerChange::kPixelOrder, shape,
                                   std::as_bytes(std::span(checkpoint)), 2)),
            file);
}

// [3 positions, x and y, 2]: first all rows of x, then all of y.
TEST(TowerChange, SwapAxes) {
  const std::vector<int64_t> shape = {3, 2, 2};
  const std::vector<int16_t> checkpoint = counted(12);
  const std::vector<int16_t> file = {0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11};
  EXPECT_EQ(elements(to_file_order(TowerChange::kSwapAxes, shape,
                                   std::as_bytes(std::span(checkpoint)), 2)),
            file);
  EXPECT_EQ(elements(to_checkpoint_order(TowerChange::kSwapAxes, shape,
                                         std::as_bytes(std::span(file)), 2)),
            checkpoint);
}

TEST(Softplus, KnownValues) {
  EXPECT_EQ(softplus(0), 0.69314718056f);
  EXPECT_EQ(softplus(1), 1.31326168752f);
  EXPECT_EQ(softplus(-10), 4.5398899216870535e-5f);
  EXPECT_EQ(softplus(100), 100.0f);
  EXPECT_EQ(softplus(-1000), 0.0f);
}

// Every bfloat16 between -80 and 80 comes back, also from a softplus that was computed in float32
// throughout. Below 2^-13 several share one softplus, and any of them will do.
TEST(InverseSoftplus, GivesBackEveryBfloat16) {
  int num_checked = 0;
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const float x = bf16_to_f32(static_cast<uint16_t>(bits));
    if (!(std::abs(x) < 80)) continue;
    for (const float y : {softplus(x), std::log1p(std::exp(x))}) {
      const float found = inverse_softplus(y);
      if (x == 0 || std::abs(x) >= 0x1p-13f)
        ASSERT_EQ(found, x) << y;
      else
        ASSERT_NEAR(softplus(found), y, 5e-7) << x;
    }
    ++num_checked;
  }
  EXPECT_GT(num_checked, 30000);
}

TEST(InverseSoftplus, GivesOtherFloatsToTheirPrecision) {
  for (const float x : {0.1234567f, -3.3333333f, 19.876543f, 65.4321f}) {
    const float y = softplus(x);
    EXPECT_EQ(softplus(inverse_softplus(y)), y) << x;
    EXPECT_NEAR(inverse_softplus(y), x, std::abs(x) * 1e-6) << x;
  }
  EXPECT_EQ(inverse_softplus(0), -INFINITY);  // whose softplus it is
}

}  // namespace
}  // namespace gemma4::model

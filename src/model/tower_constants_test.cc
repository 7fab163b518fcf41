// The numbers of vision.md, section 9, and audio.md, section 9.

#include "model/tower_constants.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace gemma4::model {
namespace {

void expect_near(const std::vector<float>& values, const std::vector<double>& published) {
  ASSERT_EQ(values.size(), published.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], published[i], 6e-9 + 6e-8) << i;
}

TEST(TowerConstants, FrequenciesOfBothHeadSizes) {
  expect_near(axis_frequencies(64),
              {1, .74989421, .56234133, .4216965, .31622777, .23713737, .17782794, .13335214, .1,
               .07498942, .05623413, .04216965, .03162278, .02371374, .01778279, .01333521});
  expect_near(
      axis_frequencies(72),
      {1, .77426368, .59948425, .46415888, .35938137, .27825594, .21544347, .16681005, .12915497,
       .1, .07742637, .05994843, .04641589, .03593814, .02782559, .02154435, .01668101, .0129155});
}

TEST(TowerConstants, SinusoidsOfADistance) {
  const std::vector<float> rows = distance_sinusoids(13, 1024);
  ASSERT_EQ(rows.size(), 13u * 1024);
  const float* const one = rows.data() + 1024;
  for (const auto& [i, tau] :
       {std::pair(0, 1.0), {1, .98213731}, {2, .96459370}, {255, .01009053}, {511, 1e-4}}) {
    EXPECT_NEAR(std::asin(one[i]), i == 0 ? 1 : tau, 1e-6) << i;
    EXPECT_NEAR(one[512 + i], std::cos(tau), 1e-6) << i;
  }
  const float* const five = rows.data() + 5 * 1024;
  EXPECT_NEAR(five[0], -0.95892427, 1e-7);
  EXPECT_NEAR(five[1], -0.98040337, 1e-7);
  EXPECT_NEAR(five[512], 0.28366219, 1e-7);
  EXPECT_NEAR(five[513], 0.19700057, 1e-7);
}

TEST(TowerConstants, ScalesOfQueriesAndKeys) {
  std::array<float, 128> scale{};
  scale[1] = 1, scale[2] = -1;
  const std::vector<float> scales = query_scales(scale);
  ASSERT_EQ(scales.size(), 128u);
  EXPECT_NEAR(scales[0], 0.08838835, 1e-8);  // 128^-1/2
  EXPECT_NEAR(scales[1], 0.16746376, 2e-8);
  EXPECT_NEAR(scales[2], 0.03994633, 1e-8);
  EXPECT_NEAR(scales[0] / std::log(2.0), 0.1275174308, 1e-8);
  EXPECT_NEAR(key_scale(), 1.8946361240, 1e-7);
}

}  // namespace
}  // namespace gemma4::model

// The layer tables and rotary frequencies that the family publishes (spec/text-model.md 3, 4, 6.3).

#include "model/layer_plan.h"

#include <gtest/gtest.h>

#include <map>

#include "io/mapped_file.h"

namespace gemma4::model {
namespace {

TextConfig published(const std::string& name) {
  const auto json = io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/spec/configs/" +
                                  name + ".json");
  EXPECT_TRUE(json.ok()) << json.error().message;
  return parse_config(json.value()).value().text;
}

struct Published {
  const char* name;
  int64_t period;  // every so many layers one is full
  int first_shared, layers;
  int sliding_donor, full_donor;
  int64_t kv_heads_sliding, kv_heads_full;
  int64_t width, shared_width;
  bool value_is_key;
};

class PublishedPlan : public ::testing::TestWithParam<Published> {};
INSTANTIATE_TEST_SUITE_P(
    All, PublishedPlan,
    ::testing::Values(Published{"e2b", 5, 15, 35, 13, 14, 1, 1, 6144, 12288, false},
                      Published{"e4b", 6, 24, 42, 22, 23, 2, 2, 10240, 10240, false},
                      Published{"12b", 6, 48, 48, -1, -1, 8, 1, 15360, 0, true},
                      Published{"26b-a4b", 6, 30, 30, -1, -1, 8, 2, 2112, 0, true},
                      Published{"31b", 6, 60, 60, -1, -1, 16, 4, 21504, 0, true}),
    [](const auto& test) {
      std::string name = test.param.name;
      for (char& c : name) c = c == '-' ? '_' : c;
      return name;
    });

TEST_P(PublishedPlan, MatchesTheLayerTable) {
  const Published& expected = GetParam();
  const TextConfig text = published(expected.name);
  const std::vector<LayerPlan> plans = plan_layers(text);
  ASSERT_EQ(static_cast<int>(plans.size()), expected.layers);
  EXPECT_EQ(first_shared_layer(text), expected.first_shared);
  for (const LayerPlan& plan : plans) {
    SCOPED_TRACE(plan.index);
    const bool full = (plan.index + 1) % expected.period == 0;
    const bool shared = plan.index >= expected.first_shared;
    EXPECT_EQ(plan.kind, full ? AttentionKind::kFull : AttentionKind::kSliding);
    EXPECT_EQ(plan.head_dim, full ? 512 : 256);
    EXPECT_EQ(plan.num_kv_heads, full ? expected.kv_heads_full : expected.kv_heads_sliding);
    EXPECT_EQ(plan.owns_kv, !shared);
    const int donor = full ? expected.full_donor : expected.sliding_donor;
    EXPECT_EQ(plan.kv_layer, shared ? donor : plan.index);
    EXPECT_EQ(plan.value_is_key, full && expected.value_is_key);
    EXPECT_EQ(plan.intermediate_size, shared ? expected.shared_width : expected.width);
  }
}

TEST(InverseFrequencies, HaveTheirPublishedValues) {
  const TextConfig text = published("e2b");
  const auto sliding = inverse_frequencies(text.rope_parameters[0], 256);
  ASSERT_EQ(sliding.size(), 128u);
  for (const auto& [i, f] : std::map<size_t, double>{
           {0, 1}, {1, 0.930572041}, {2, 0.865964323}, {64, 0.01}, {127, 1.07460783e-4}})
    EXPECT_NEAR(sliding[i], f, 2e-7 * f) << i;
  const auto full = inverse_frequencies(text.rope_parameters[1], 512);
  ASSERT_EQ(full.size(), 256u);
  for (const auto& [i, f] : std::map<size_t, double>{
           {0, 1}, {1, 0.947463526}, {2, 0.897687132}, {32, 0.177827941}, {63, 0.0333762469}})
    EXPECT_NEAR(full[i], f, 2e-7 * f) << i;
  for (size_t i = 64; i < 256; ++i) EXPECT_EQ(full[i], 0.0f) << i;
}

TEST(InverseFrequencies, FactorDividesAndAQuarterRoundsDown) {
  RopeParameters rope{.proportional = true, .rope_theta = 100, .partial_rotary_factor = 0.25};
  const auto plain = inverse_frequencies(rope, 36);  // int(9) div 2 = 4 pairs
  EXPECT_GT(plain[3], 0.0f);
  EXPECT_EQ(plain[4], 0.0f);
  rope.factor = 8;
  const auto scaled = inverse_frequencies(rope, 36);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(scaled[i], plain[i] / 8);
}

}  // namespace
}  // namespace gemma4::model

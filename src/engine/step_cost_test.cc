#include "engine/step_cost.h"

#include <gtest/gtest.h>

namespace gemma4::engine {
namespace {

TEST(StepCost, LearnsWhatAStepAndATokenCost) {
  StepCost cost;
  EXPECT_GT(cost.prompt_tokens(0.1), 0);
  for (int i = 0; i < 100; ++i) {
    cost.observe(0, 0.020);
    cost.observe(100, 0.020 + 100 * 0.001);
  }
  EXPECT_NEAR(static_cast<double>(cost.prompt_tokens(0.120)), 100, 1);
  EXPECT_NEAR(static_cast<double>(cost.prompt_tokens(0.070)), 50, 1);
  EXPECT_GT(cost.prompt_tokens(0.001), 0) << "prompts get on, however slow the machine";
}

TEST(StepCost, FollowsAMachineThatBecomesSlower) {
  StepCost cost;
  for (int i = 0; i < 50; ++i) cost.observe(100, 0.1);
  const int64_t before = cost.prompt_tokens(0.2);
  for (int i = 0; i < 50; ++i) cost.observe(100, 0.4);
  EXPECT_NEAR(static_cast<double>(cost.prompt_tokens(0.2)), static_cast<double>(before) / 4, 3);
}

}  // namespace
}  // namespace gemma4::engine

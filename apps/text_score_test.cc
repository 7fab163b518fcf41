#include "apps/text_score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace gemma4::apps {
namespace {

TEST(TextScore, LikelihoodOfLogitsThatAreLogarithms) {
  // Probabilities 1/8, 5/8, 2/8, whatever is added to all logits.
  for (const float shift : {0.0f, 40.0f, -3000.0f}) {
    const float logits[] = {std::log(1.0f) + shift, std::log(5.0f) + shift, std::log(2.0f) + shift};
    EXPECT_NEAR(negative_log_likelihood(logits, 0), std::log(8.0), 2e-4);
    EXPECT_NEAR(negative_log_likelihood(logits, 1), std::log(8.0 / 5), 2e-4);
  }
}

TEST(TextScore, LogitsThatAreNoNumbersAreNotFinite) {
  const float logits[] = {1, std::numeric_limits<float>::quiet_NaN(), 2};
  EXPECT_FALSE(std::isfinite(negative_log_likelihood(logits, 0)));
}

TEST(TextScore, DivergenceIsThatOfTheDefinition) {
  const double p[] = {0.5, 0.25, 0.125, 0.125};
  const double q[] = {0.125, 0.5, 0.25, 0.125};
  float baseline[4], logits[4];
  double expected = 0;
  for (size_t i = 0; i < 4; ++i) {
    baseline[i] = static_cast<float>(std::log(p[i])) + 7;
    logits[i] = static_cast<float>(std::log(q[i])) - 20;
    expected += p[i] * std::log(p[i] / q[i]);
  }
  const PairScore pair = score_pair(logits, baseline, 2);
  EXPECT_NEAR(pair.divergence, expected, 1e-5);
  EXPECT_NEAR(pair.nll, -std::log(0.25), 1e-5);
  EXPECT_NEAR(pair.baseline_nll, -std::log(0.125), 1e-5);
  EXPECT_FALSE(pair.same_best);
  EXPECT_DOUBLE_EQ(pair.nll, negative_log_likelihood(logits, 2));
  EXPECT_DOUBLE_EQ(pair.baseline_nll, negative_log_likelihood(baseline, 2));
  // The other way round it is another number.
  EXPECT_GT(std::abs(score_pair(baseline, logits, 2).divergence - expected), 0.01);
}

TEST(TextScore, EqualLogitsDivergeByNothing) {
  float logits[1000];
  for (int i = 0; i < 1000; ++i) logits[i] = 30 * std::sin(static_cast<float>(i * i));
  const PairScore pair = score_pair(logits, logits, 17);
  EXPECT_EQ(pair.divergence, 0.0);
  EXPECT_EQ(pair.nll, pair.baseline_nll);
  EXPECT_TRUE(pair.same_best);
}

TEST(TextScore, WhatTheBaselineRulesOutDoesNotCount) {
  const float none = -std::numeric_limits<float>::infinity();
  const float baseline[] = {1, none, 1};
  const float logits[] = {1, none, 2};
  const PairScore pair = score_pair(logits, baseline, 0);
  const double q = 1 / (1 + std::exp(1.0));
  EXPECT_NEAR(pair.divergence, 0.5 * std::log(0.5 / q) + 0.5 * std::log(0.5 / (1 - q)), 1e-6);
}

TEST(TextScore, MeanAndItsError) {
  const double values[] = {1, 2, 3, 6};
  const Mean mean = mean_of(values);
  EXPECT_DOUBLE_EQ(mean.value, 3);
  EXPECT_DOUBLE_EQ(mean.standard_error, std::sqrt((4 + 1 + 0 + 9) / 3.0 / 4));
  EXPECT_EQ(mean_of(std::span(values).first(1)).standard_error, 0);
}

TEST(TextScore, Quantiles) {
  std::vector<double> values(200);
  std::iota(values.rbegin(), values.rend(), 1.0);  // 1 … 200
  EXPECT_EQ(quantile(values, 0.5), 100);
  EXPECT_EQ(quantile(values, 0.99), 198);
  EXPECT_EQ(quantile(values, 1), 200);
  EXPECT_EQ(quantile(values, 0.001), 1);
}

}  // namespace
}  // namespace gemma4::apps

// The sampler against a brute-force definition of each processor, and its randomness against what
// the probabilities say.

#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

namespace gemma4::engine {
namespace {

using ::testing::HasSubstr;

std::vector<float> random_logits(uint32_t seed, size_t count, float spread = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

std::vector<double> softmax(const std::vector<double>& logits) {
  const double max = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double total = 0;
  for (const double logit : logits) total += p.emplace_back(std::exp(logit - max));
  for (double& value : p) value /= total;
  return p;
}

// The definition: bias, penalties, suppression, temperature, top-k, top-p, min-p, renormalise.
std::vector<double> definition(const std::vector<float>& logits, const SamplingParams& params,
                               const std::vector<int32_t>& prompt = {},
                               const std::vector<int32_t>& generated = {}) {
  std::vector<double> z(logits.begin(), logits.end());
  for (const auto& [id, bias] : params.logit_bias) z[static_cast<size_t>(id)] += bias;
  for (size_t id = 0; id < z.size(); ++id) {
    const auto count = std::count(generated.begin(), generated.end(), static_cast<int32_t>(id));
    const bool seen =
        count > 0 || std::count(prompt.begin(), prompt.end(), static_cast<int32_t>(id)) > 0;
    if (seen)
      z[id] = z[id] > 0 ? z[id] / params.repetition_penalty : z[id] * params.repetition_penalty;
    if (count > 0)
      z[id] -= params.presence_penalty + params.frequency_penalty * static_cast<double>(count);
  }
  for (const int32_t id : params.suppress_tokens)
    z[static_cast<size_t>(id)] = -std::numeric_limits<double>::infinity();
  for (double& value : z) value /= params.temperature;

  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  if (params.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(params.top_k)));
  std::vector<double> kept;
  for (const size_t id : order) kept.push_back(z[id]);
  std::vector<double> p = softmax(kept);
  std::vector<double> result(z.size(), 0.0);
  double mass = 0, total = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const bool reached = i > 0 && mass >= params.top_p;
    mass += p[i];
    if (reached && params.top_p < 1) break;
    if (p[i] < params.min_p * p[0]) break;
    result[order[i]] = p[i];
    total += p[i];
  }
  for (double& value : result) value /= total;
  return result;
}

// Pearson's statistic of `draws` samples against `p`, as a number of standard deviations.
double surprise(const std::vector<float>& logits, const SamplingParams& params,
                const std::vector<double>& p, int draws, const std::vector<int32_t>& prompt = {},
                const std::vector<int32_t>& generated = {}) {
  std::vector<int> counts(p.size());
  for (int i = 0; i < draws; ++i) {
    const int32_t id = sample(logits, params, prompt, generated, i).id;
    ++counts[static_cast<size_t>(id)];
    if (p[static_cast<size_t>(id)] == 0) return INFINITY;  // must never be drawn
  }
  double statistic = 0, degrees = -1, rare_expected = 0, rare = 0;
  for (size_t id = 0; id < p.size(); ++id) {
    const double expected = p[id] * draws;
    if (expected < 5) {  // the usual rule: pool the small cells
      rare_expected += expected;
      rare += counts[id];
      continue;
    }
    statistic += (counts[id] - expected) * (counts[id] - expected) / expected;
    ++degrees;
  }
  if (rare_expected > 5) {
    statistic += (rare - rare_expected) * (rare - rare_expected) / rare_expected;
    ++degrees;
  }
  return degrees < 1 ? 0 : (statistic - degrees) / std::sqrt(2 * degrees);
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestIdOfEquals) {
  const SamplingParams greedy{.temperature = 0};
  EXPECT_EQ(sample(std::vector<float>{1, 3, 2}, greedy, {}, {}, 0).id, 1);
  EXPECT_EQ(sample(std::vector<float>{1, 3, 3}, greedy, {}, {}, 7).id, 1);
  EXPECT_EQ(sample(std::vector<float>{-5}, greedy, {}, {}, 0).id, 0);
}

TEST(Sampler, TopKOneIsGreedyWhateverTheSeed) {
  for (uint64_t seed = 0; seed < 50; ++seed)
    EXPECT_EQ(sample(std::vector<float>{1, 5, 5, 2}, {.top_k = 1, .seed = seed}, {}, {}, 3).id, 1);
}

TEST(Sampler, DistributionIsTheOneDefined) {
  const std::vector<float> logits = random_logits(1, 40, 2);
  const std::vector<int32_t> prompt = {1, 2, 3}, generated = {5, 5, 7, 30};
  std::vector<SamplingParams> cases(1);
  cases.push_back({.top_k = 0, .top_p = 1});
  cases.push_back({.temperature = 2.5f, .top_k = 0, .top_p = 1});
  cases.push_back({.temperature = 0.3f, .top_k = 7, .top_p = 1});
  cases.push_back({.top_k = 39, .top_p = 0.5f});
  cases.push_back({.top_k = 100, .top_p = 0.999f});
  cases.push_back({.top_k = 0, .top_p = 1, .min_p = 0.2f});
  cases.push_back({.top_k = 10, .top_p = 0.8f, .min_p = 0.1f});
  cases.push_back({.top_k = 0, .top_p = 1, .repetition_penalty = 1.7f});
  cases.push_back({.top_k = 0, .top_p = 1, .presence_penalty = 1.5f});
  cases.push_back({.top_k = 0, .top_p = 1, .frequency_penalty = -0.8f});
  cases.push_back({.top_k = 0,
                   .top_p = 1,
                   .repetition_penalty = 1.4f,
                   .logit_bias = {{5, 4.0f}, {7, -2.0f}},
                   .suppress_tokens = {0, 9, 12}});
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    cases[i].seed = i;
    const auto p = definition(logits, cases[i], prompt, generated);
    EXPECT_LT(surprise(logits, cases[i], p, 20'000, prompt, generated), 5);
  }
}

TEST(Sampler, OnlyTokensOfTheDefinedSetAreDrawn) {
  std::mt19937 random(4);
  for (uint32_t round = 0; round < 200; ++round) {
    const std::vector<float> logits = random_logits(round, 1 + random() % 300, 4);
    SamplingParams params{.temperature = 0.2f + static_cast<float>(random() % 30) * 0.1f,
                          .top_k = static_cast<int32_t>(random() % 80),
                          .top_p = static_cast<float>(1 + random() % 100) * 0.01f,
                          .min_p = static_cast<float>(random() % 3) * 0.05f,
                          .seed = round};
    const auto p = definition(logits, params);
    for (int64_t position = 0; position < 20; ++position) {
      const int32_t id = sample(logits, params, {}, {}, position).id;
      ASSERT_GT(p[static_cast<size_t>(id)], 0) << "round " << round;
    }
  }
}

TEST(Sampler, LargeVocabulariesSelectTheSameCandidates) {
  // More logits than the selection keeps at a time, with many ties.
  std::vector<float> logits = random_logits(5, 20'000, 2);
  for (float& logit : logits) logit = std::round(logit);
  for (const int32_t top_k : {1, 3, 64, 500}) {
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    const SampledToken token =
        sample(logits, {.temperature = 0, .num_logprobs = std::min(top_k, 100)}, {}, {}, 0);
    for (size_t i = 0; i < token.top.size(); ++i) ASSERT_EQ(token.top[i].id, order[i]);
    const auto p = definition(logits, {.top_k = top_k, .top_p = 1});
    for (int64_t position = 0; position < 200; ++position)
      ASSERT_GT(
          p[static_cast<size_t>(sample(logits, {.top_k = top_k, .top_p = 1}, {}, {}, position).id)],
          0);
  }
}

std::vector<kernels::RankedLogit> best_of(const std::vector<float>& logits) {
  std::vector<kernels::RankedLogit> best;
  for (size_t i = 0; i < logits.size(); ++i) best.push_back({logits[i], static_cast<int32_t>(i)});
  std::stable_sort(best.begin(), best.end(),
                   [](const auto& a, const auto& b) { return a.logit > b.logit; });
  best.resize(kernels::BestLogitsArgs::kCount, {-std::numeric_limits<float>::infinity(), -1});
  return best;
}

TEST(Sampler, TheBestLogitsDecideTheSameTokenOrNone) {
  std::mt19937 random(6);
  int decided = 0;
  for (uint32_t round = 0; round < 500; ++round) {
    std::vector<float> logits = random_logits(round, 1 + random() % 400, 4);
    if (round % 2 == 0)
      for (float& logit : logits) logit = std::round(logit);  // ties
    SamplingParams params{.temperature = static_cast<float>(random() % 5) * 0.4f,
                          .top_k = static_cast<int32_t>(random() % 80),
                          .top_p = static_cast<float>(1 + random() % 100) * 0.01f,
                          .min_p = static_cast<float>(random() % 3) * 0.05f,
                          .seed = round};
    std::vector<uint32_t> allowed;
    if (round % 3 == 0) {
      for (size_t i = 0; i < logits.size(); i += 32)
        allowed.push_back(static_cast<uint32_t>(random()));
      allowed[0] |= 1;
    }
    if (round % 5 == 0) params.suppress_tokens = {static_cast<int32_t>(logits.size()) - 1};
    if (params.suppress_tokens == std::vector<int32_t>{0}) continue;
    const auto token = sample_among(best_of(logits), params, round, allowed);
    if (!token) continue;
    ++decided;
    ASSERT_EQ(token->id, sample(logits, params, {}, {}, round, allowed).id) << "round " << round;
  }
  EXPECT_GT(decided, 300);
}

TEST(Sampler, TheBestLogitsDoNotDecideWhatNeedsAll) {
  const std::vector<float> logits = random_logits(1, 1000);
  const auto best = best_of(logits);
  EXPECT_TRUE(sample_among(best, {}, 0));
  EXPECT_TRUE(sample_among(best, {.top_k = 128}, 0));
  EXPECT_FALSE(sample_among(best, {.top_k = 129}, 0));
  EXPECT_FALSE(sample_among(best, {.top_k = 0}, 0));
  EXPECT_FALSE(sample_among(best, {.repetition_penalty = 1.1f}, 0));
  EXPECT_FALSE(sample_among(best, {.presence_penalty = 0.1f}, 0));
  EXPECT_FALSE(sample_among(best, {.logit_bias = {{3, 1.0f}}}, 0));
  EXPECT_FALSE(sample_among(best, {.num_logprobs = 0}, 0));
  EXPECT_FALSE(sample_among({}, {.temperature = 0}, 0));
  EXPECT_FALSE(sample_among(best_of({}), {.temperature = 0}, 0));
}

TEST(Sampler, BiasAndPenaltiesAlsoSteerGreedy) {
  const std::vector<float> logits = {5, 4, 3, -1};
  const std::vector<int32_t> prompt = {0}, generated = {1, 1};
  const auto greedy = [&](SamplingParams params) {
    params.temperature = 0;
    return sample(logits, params, prompt, generated, 0).id;
  };
  EXPECT_EQ(greedy({}), 0);
  EXPECT_EQ(greedy({.suppress_tokens = {0}}), 1);
  EXPECT_EQ(greedy({.suppress_tokens = {0, 1, 2}}), 3);
  EXPECT_EQ(greedy({.logit_bias = {{3, 7.0f}}}), 3);
  EXPECT_EQ(greedy({.repetition_penalty = 2.0f}), 2);                         // 5 -> 2.5, 4 -> 2
  EXPECT_EQ(greedy({.presence_penalty = 2.0f, .suppress_tokens = {0}}), 2);   // 4 -> 2
  EXPECT_EQ(greedy({.presence_penalty = 0.9f, .suppress_tokens = {0}}), 1);   // once, not per use
  EXPECT_EQ(greedy({.frequency_penalty = 0.6f, .suppress_tokens = {0}}), 2);  // 4 -> 2.8
  // Bias comes before the repetition penalty: (5 - 9) · 2 = -8, not 5 / 2 - 9 = -6.5.
  EXPECT_EQ(greedy({.repetition_penalty = 2.0f,
                    .logit_bias = {{0, -9.0f}, {2, -20.0f}, {3, -6.0f}, {1, -20.0f}}}),
            3);
}

TEST(Sampler, LogprobsAreTheModelsOwnWhateverTheProcessing) {
  const std::vector<float> logits = random_logits(6, 50);
  const std::vector<double> p = softmax(std::vector<double>(logits.begin(), logits.end()));
  const SamplingParams params{.temperature = 0.5f,
                              .top_k = 3,
                              .repetition_penalty = 1.5f,
                              .suppress_tokens = {1},
                              .num_logprobs = 5};
  const SampledToken token = sample(logits, params, std::vector<int32_t>{2}, {}, 0);
  EXPECT_NEAR(token.logprob, std::log(p[static_cast<size_t>(token.id)]), 1e-5);
  ASSERT_EQ(token.top.size(), 5u);
  std::vector<double> sorted = p;
  std::sort(sorted.rbegin(), sorted.rend());
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(token.top[i].logprob, std::log(sorted[i]), 1e-5);
    EXPECT_NEAR(token.top[i].logprob, std::log(p[static_cast<size_t>(token.top[i].id)]), 1e-5);
  }
  EXPECT_TRUE(sample(logits, {.num_logprobs = 0}, {}, {}, 0).top.empty());
  EXPECT_EQ(sample(std::vector<float>{1, 2}, {.num_logprobs = 9}, {}, {}, 0).top.size(), 2u);
}

TEST(Sampler, RandomnessIsKeyedBySeedAndPositionAlone) {
  const std::vector<float> logits(1000, 0.0f);
  const SamplingParams params{.top_k = 0, .top_p = 1, .seed = 1};
  std::map<int32_t, int> ids;
  for (int64_t position = 0; position < 100; ++position) {
    const int32_t id = sample(logits, params, {}, {}, position).id;
    EXPECT_EQ(sample(logits, params, std::vector<int32_t>{5}, {}, position).id, id);
    ++ids[id];
  }
  EXPECT_GT(ids.size(), 80u);
  int same = 0;
  for (int64_t position = 0; position < 100; ++position) {
    SamplingParams other = params;
    other.seed = 2;
    same +=
        sample(logits, params, {}, {}, position).id == sample(logits, other, {}, {}, position).id;
  }
  EXPECT_LT(same, 5);
}

TEST(Sampler, UniformIsUniformOverPositionsAndOverSeeds) {
  for (const bool over_seeds : {false, true}) {
    std::vector<int> cells(100);
    double previous = 0, correlation = 0;
    for (uint64_t i = 0; i < 100'000; ++i) {
      const double x = over_seeds ? uniform(i, 3) : uniform(3, i);
      ASSERT_GE(x, 0);
      ASSERT_LT(x, 1);
      ++cells[static_cast<size_t>(x * 100)];
      correlation += (x - 0.5) * (previous - 0.5);
      previous = x;
    }
    double statistic = 0;
    for (const int n : cells) statistic += (n - 1000.0) * (n - 1000.0) / 1000;
    EXPECT_LT(statistic, 99 + 5 * std::sqrt(2 * 99.0));
    EXPECT_LT(std::abs(correlation) / 100'000 * 12, 0.02);
  }
}

TEST(Sampler, DamagedLogitsStillGiveATokenOfTheVocabulary) {
  std::mt19937 random(8);
  const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f};
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits = random_logits(static_cast<uint32_t>(round), 1 + random() % 400);
    for (float& logit : logits)
      if (random() % 3 == 0) logit = odd[random() % 4];
    for (const int32_t top_k : {0, 1, 5, 64})
      for (const float temperature : {0.0f, 1.0f}) {
        const SampledToken token = sample(
            logits, {.temperature = temperature, .top_k = top_k, .num_logprobs = 5}, {}, {}, round);
        ASSERT_GE(token.id, 0);
        ASSERT_LT(token.id, static_cast<int32_t>(logits.size()));
      }
  }
}

struct BadParams {
  SamplingParams params;
  const char* message;
};

TEST(SamplerValidation, NamesTheParameterItsRangeAndTheValue) {
  const std::vector<BadParams> cases = {
      {{.temperature = -0.5f}, "temperature must be from 0 to 100, got -0.5"},
      {{.temperature = 101}, "temperature must be from 0 to 100, got 101"},
      {{.temperature = NAN}, "temperature"},
      {{.temperature = INFINITY}, "temperature"},
      {{.top_k = -1}, "top_k must be 0 (off) or more, got -1"},
      {{.top_p = 0}, "top_p must be above 0 and at most 1, got 0"},
      {{.top_p = 1.5f}, "top_p must be above 0 and at most 1, got 1.5"},
      {{.top_p = NAN}, "top_p"},
      {{.min_p = 1}, "min_p must be at least 0 and below 1, got 1"},
      {{.min_p = -0.5f}, "min_p"},
      {{.min_p = NAN}, "min_p"},
      {{.repetition_penalty = 0}, "repetition_penalty must be above 0 and at most 100, got 0"},
      {{.repetition_penalty = NAN}, "repetition_penalty"},
      {{.presence_penalty = 101}, "presence_penalty must be from -100 to 100, got 101"},
      {{.frequency_penalty = NAN}, "frequency_penalty"},
      {{.logit_bias = {{50, 1.0f}}}, "logit_bias must be below 50, got 50"},
      {{.logit_bias = {{-1, 1.0f}}}, "logit_bias"},
      {{.logit_bias = {{3, INFINITY}}}, "a value of logit_bias must be from -1000 to 1000"},
      {{.logit_bias = {{3, NAN}}}, "a value of logit_bias"},
      {{.suppress_tokens = {50}}, "a suppressed token id must be below 50, got 50"},
      {{.suppress_tokens = {-1}}, "a suppressed token id"},
      {{.num_logprobs = 101}, "logprobs must be from 0 to 100, got 101"},
      {{.num_logprobs = -2}, "logprobs"},
  };
  for (const BadParams& bad : cases) {
    const Status status = validate(bad.params, 50);
    ASSERT_FALSE(status.ok()) << bad.message;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(status.error().message, HasSubstr(bad.message));
  }
  EXPECT_TRUE(validate({}, 50).ok());
  EXPECT_TRUE(validate({.temperature = 0, .top_k = 0, .top_p = 1}, 50).ok());
  SamplingParams none;
  for (int32_t id = 0; id < 50; ++id) none.suppress_tokens.push_back(id);
  EXPECT_THAT(validate(none, 50).error().message, HasSubstr("leaves no token"));
}

// Only allowed ids come, at any temperature, also from weights that are damaged.
TEST(Sampler, AMaskIsNeverLeft) {
  constexpr size_t kVocab = 70;
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits = random_logits(static_cast<uint32_t>(round), kVocab, 20);
    if (round % 3 == 0) logits[random() % kVocab] = std::numeric_limits<float>::quiet_NaN();
    if (round % 5 == 0) std::fill(logits.begin(), logits.end(), NAN);
    std::vector<uint32_t> allowed((kVocab + 31) / 32);
    for (size_t count = random() % 4 + 1; count > 0; --count) {
      const size_t id = random() % kVocab;
      allowed[id / 32] |= 1u << (id % 32);
    }
    for (const float temperature : {0.0f, 0.3f, 100.0f}) {
      const SamplingParams params{.temperature = temperature,
                                  .top_k = round % 2 == 0 ? 0 : 64,
                                  .top_p = 1.0f,
                                  .seed = static_cast<uint64_t>(round)};
      const auto id = static_cast<size_t>(sample(logits, params, {}, {}, round, allowed).id);
      ASSERT_TRUE((allowed[id / 32] >> (id % 32) & 1) != 0) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace gemma4::engine

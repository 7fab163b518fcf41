// The prefix cache and memory pressure change no tokens: on or off, cold or warm, with room for
// everyone or for hardly more than one. And the cache saves what it should, counted in tokens.

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "engine/engine.h"
#include "tests/tiny_models.h"

namespace gemma4::engine {
namespace {

using Tokens = std::vector<int32_t>;

Tokens prompt(uint64_t seed, int64_t count) { return testing::random_tokens(seed, count, 512); }

Request greedy(Tokens ids, int64_t max_tokens) {
  Request request{.prompt = std::move(ids), .max_tokens = max_tokens};
  request.sampling.temperature = 0;
  return request;
}

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class MetamorphicCache : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Engine> make(EngineOptions options) const {
    if (options.context_tokens == EngineOptions().context_tokens) options.context_tokens = 800;
    options.cpu.num_threads = 2;
    auto engine = Engine::create(testing::load_tiny(GetParam()), options);
    G4_CHECK(engine.ok());
    return std::move(engine).value();
  }
  Tokens without_cache(const Request& request) const;
};
INSTANTIATE_TEST_SUITE_P(Tiny, MetamorphicCache, testing::tiny_models(), testing::tiny_case_name);

std::vector<Tokens> run_all(Engine& engine, const std::vector<Request>& requests) {
  std::map<SequenceId, size_t> order;
  std::vector<Tokens> tokens(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) order[engine.submit(requests[i]).value()] = i;
  while (engine.has_work())
    for (const Event& event : engine.step().value())
      if (event.token) tokens[order[event.sequence]].push_back(event.token->id);
  return tokens;
}

Tokens run(Engine& engine, const Request& request) { return run_all(engine, {request})[0]; }

Tokens MetamorphicCache::without_cache(const Request& request) const {
  return run(*make({.prefix_cache = false}), request);
}

// Prompt tokens that running `request` finds in the cache.
int64_t cached(Engine& engine, const Request& request) {
  const int64_t before = engine.stats().cached_prompt_tokens;
  run(engine, request);
  return engine.stats().cached_prompt_tokens - before;
}

TEST_P(MetamorphicCache, EachTurnOfAConversationComputesOnlyItsNewTokens) {
  const auto engine = make({.chunk_tokens = 64});
  Tokens history;
  int64_t known = 0;  // all but the last token of the answer, which was never fed back
  for (uint64_t turn = 0; turn < 20; ++turn) {
    history = joined(history, prompt(turn, static_cast<int64_t>(5 + 2 * turn)));
    const Request request = greedy(history, static_cast<int64_t>(4 + turn % 7));
    const Engine::Stats before = engine->stats();
    const Tokens answer = run(*engine, request);
    EXPECT_EQ(answer, without_cache(request)) << turn;
    const Engine::Stats after = engine->stats();
    EXPECT_EQ(after.cached_prompt_tokens - before.cached_prompt_tokens, known) << turn;
    EXPECT_EQ(after.computed_tokens - before.computed_tokens,
              static_cast<int64_t>(history.size() + answer.size()) - 1 - known);
    history = joined(history, answer);
    known = static_cast<int64_t>(history.size()) - 1;
  }
}

// A prompt that parts with an earlier one continues from the very place, as far as the cache still
// has the window before it: that of the first's end begins behind 64, and a snapshot is at 64.
TEST_P(MetamorphicCache, APrefixThatPartsIsReused) {
  for (const int64_t common : {1, 5, 63, 64, 65, 119, 120}) {
    const auto engine = make({.chunk_tokens = 32, .prefix_windows = 2});
    const Request first = greedy(prompt(10, 120), 10);
    run(*engine, first);
    Request second = greedy(first.prompt, 12);
    if (common < 120) {
      second.prompt.resize(static_cast<size_t>(common));
      second.prompt.push_back((first.prompt[static_cast<size_t>(common)] + 1) % 512);
      second.prompt = joined(second.prompt, prompt(11, 30));
    }
    const int64_t expected = common >= 119 ? 119 : std::min<int64_t>(common, 64);
    EXPECT_EQ(cached(*engine, second), expected) << common;
    EXPECT_EQ(run(*engine, second), without_cache(second)) << common;
  }
}

// Many requests begin with the same system text: from the second on, it is known where they part.
TEST_P(MetamorphicCache, ASharedBeginningIsComputedTwiceAtMost) {
  const auto engine = make({.prefix_windows = 8});
  const Tokens system = prompt(20, 150);
  for (uint64_t i = 0; i < 5; ++i) {
    const Request request = greedy(joined(system, prompt(30 + i, 250)), 5);
    const int64_t before = engine->stats().cached_prompt_tokens;
    EXPECT_EQ(run(*engine, request), without_cache(request)) << i;
    EXPECT_EQ(engine->stats().cached_prompt_tokens - before, i < 2 ? 0 : 128) << i;
  }
}

// The same request several times at once: one computes the prompt, the others wait for it.
TEST_P(MetamorphicCache, EqualPromptsAtOnceAreComputedOnce) {
  const auto engine = make({.max_sequences = 4, .chunk_tokens = 50, .prefix_windows = 4});
  const Request request = greedy(prompt(60, 200), 8);
  const std::vector<Tokens> expected(4, without_cache(request));
  EXPECT_EQ(run_all(*engine, {4, request}), expected);
  EXPECT_EQ(engine->stats().cached_prompt_tokens, 3 * 192);
  EXPECT_EQ(engine->stats().computed_tokens, 200 + 3 * 8 + 4 * 7);
}

// Interrupted in the prompt or in the answer: what the cache holds by then is still good.
TEST_P(MetamorphicCache, ACancelledSequenceIsContinuedLikeAFreshOne) {
  for (const int steps : {1, 2, 4, 60}) {
    const auto engine = make({.chunk_tokens = 20});
    const SequenceId id = engine->submit(greedy(prompt(12, 50), 100)).value();
    for (int i = 0; i < steps; ++i) engine->step().value();
    engine->cancel(id);
    engine->step().value();
    ASSERT_FALSE(engine->has_work());
    const Request second = greedy(prompt(12, 70), 20);
    const int64_t before = engine->stats().cached_prompt_tokens;
    EXPECT_EQ(run(*engine, second), without_cache(second)) << steps << " steps";
    // By the 60th step more would be destroyed than saved.
    EXPECT_EQ(engine->stats().cached_prompt_tokens > before, steps < 60);
  }
}

// Arrivals, cancellations and a cache that does not hold everybody: each gets the tokens that it
// gets alone, or the first of them if it was cancelled.
TEST_P(MetamorphicCache, NeitherPressureNorArrivalsChangeAnyonesTokens) {
  std::mt19937 random(7);
  std::vector<Request> requests;
  std::vector<Tokens> alone;
  const Tokens system = prompt(40, 100);
  for (uint64_t i = 0; i < 14; ++i) {
    const Tokens own = prompt(50 + i, static_cast<int64_t>(1 + random() % 150));
    Request request =
        greedy(i % 2 == 0 ? joined(system, own) : own, static_cast<int64_t>(1 + random() % 60));
    if (i % 3 == 0) request.sampling = {.temperature = 0.8f, .top_k = 20, .seed = i};
    if (i % 5 == 0) request.sampling.repetition_penalty = 1.2f;
    alone.push_back(without_cache(request));
    requests.push_back(std::move(request));
  }
  int64_t preemptions = 0, hits = 0;
  for (int round = 0; round < 4; ++round) {
    const auto engine = make({.context_tokens = 320,
                              .max_sequences = 4,
                              .chunk_tokens = 48,
                              .cache_tokens = 320 + 64 * round,
                              .prefix_cache = round != 1,
                              .prefix_windows = round,
                              .step_target_seconds = round == 2 ? 0.001 : 0});
    std::map<SequenceId, size_t> order;
    std::map<SequenceId, Tokens> tokens;
    std::map<SequenceId, FinishReason> endings;
    const auto step = [&] {
      for (const Event& event : engine->step().value()) {
        EXPECT_FALSE(endings.contains(event.sequence));
        if (event.token) tokens[event.sequence].push_back(event.token->id);
        if (event.finish) endings[event.sequence] = *event.finish;
      }
    };
    for (size_t i = 0; i < requests.size(); ++i) {
      order[engine->submit(requests[i]).value()] = i;
      for (size_t n = random() % 8; n > 0; --n) step();
      if (random() % 6 == 0) engine->cancel(1 + random() % order.size());
    }
    while (engine->has_work()) step();
    for (const auto& [id, i] : order) {
      if (endings.at(id) == FinishReason::kCancelled) {
        ASSERT_LE(tokens[id].size(), alone[i].size());
        EXPECT_TRUE(std::equal(tokens[id].begin(), tokens[id].end(), alone[i].begin())) << i;
      } else {
        EXPECT_EQ(tokens[id], alone[i]) << "request " << i << " of round " << round;
      }
    }
    preemptions += engine->stats().preemptions;
    hits += engine->stats().cached_prompt_tokens;
    EXPECT_EQ(engine->stats().kv_blocks_used, 0);
  }
  EXPECT_GT(preemptions, 0);
  EXPECT_GT(hits, 0);
}

}  // namespace
}  // namespace gemma4::engine

// Thousands of random loads: the budget holds, nobody starves, nothing is promised twice.

#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>

namespace gemma4::engine {
namespace {

std::vector<int64_t> planned(const std::vector<int64_t>& pending, int64_t budget) {
  std::vector<SequenceState> states;
  for (const int64_t tokens : pending) states.push_back({tokens});
  std::vector<int64_t> tokens(pending.size(), 0);
  for (const ScheduledSequence& entry : schedule_step(states, {budget, budget})) {
    EXPECT_LT(entry.index, pending.size());
    EXPECT_EQ(tokens[entry.index], 0) << "scheduled twice";
    EXPECT_GT(entry.num_tokens, 0);
    EXPECT_EQ(entry.wants_logits, entry.num_tokens == pending[entry.index]);
    tokens[entry.index] = entry.num_tokens;
  }
  return tokens;
}

TEST(Scheduler, GeneratingSequencesComeFirstThenTheOldestPromptAndTheShortest) {
  EXPECT_EQ(planned({10, 1, 10, 1}, 8), (std::vector<int64_t>{3, 1, 3, 1}));
  EXPECT_EQ(planned({1000, 30, 20, 10}, 100), (std::vector<int64_t>{50, 20, 20, 10}));
  EXPECT_EQ(planned({1000, 5}, 100), (std::vector<int64_t>{95, 5}));
  EXPECT_EQ(planned({3, 1, 10, 1}, 8), (std::vector<int64_t>{3, 1, 3, 1}));
  EXPECT_EQ(planned({5, 0, 2}, 100), (std::vector<int64_t>{5, 0, 2}));
  EXPECT_EQ(planned({}, 8), (std::vector<int64_t>{}));
  EXPECT_EQ(planned({4, 4}, 0), (std::vector<int64_t>{0, 0}));
}

TEST(Scheduler, RandomLoadsKeepTheBudgetAndWasteNothing) {
  std::mt19937 random(1);
  for (int round = 0; round < 5000; ++round) {
    std::vector<int64_t> pending(random() % 12);
    for (int64_t& tokens : pending) tokens = random() % 3 == 0 ? 1 : random() % 200;
    const int64_t budget = random() % 100;
    const std::vector<int64_t> tokens = planned(pending, budget);
    int64_t used = 0, wanted = 0;
    for (size_t i = 0; i < pending.size(); ++i) {
      ASSERT_LE(tokens[i], pending[i]);
      used += tokens[i];
      wanted += pending[i];
    }
    ASSERT_EQ(used, std::min(budget, wanted));  // work conserving, never more than the budget
    // Half of what prompts get is the oldest one's.
    int64_t of_prompts = 0;
    for (size_t i = 0; i < pending.size(); ++i)
      if (pending[i] > 1) of_prompts += tokens[i];
    for (size_t i = 0; i < pending.size(); ++i) {
      if (pending[i] <= 1) continue;
      ASSERT_GE(2 * tokens[i], std::min(of_prompts, 2 * pending[i]));
      break;
    }
  }
}

// The engine's loop without a model: sequences arrive, run their prompt, then generate.
TEST(Scheduler, PromptsAreCutOnlyBesideThoseThatGenerate) {
  const std::vector<SequenceState> alone = {{100}, {100}};
  EXPECT_EQ(schedule_step(alone, {150, 20}).size(), 2u);
  EXPECT_EQ(schedule_step(alone, {150, 20})[0].num_tokens, 75);
  const std::vector<SequenceState> beside = {{100}, {1}, {100}};
  const auto scheduled = schedule_step(beside, {150, 20});
  ASSERT_EQ(scheduled.size(), 3u);
  EXPECT_EQ(scheduled[0].num_tokens, 10);
  EXPECT_EQ(scheduled[1].num_tokens, 1);
  EXPECT_EQ(scheduled[2].num_tokens, 10);
}

TEST(Scheduler, EverySequenceEndsAndWaitsNoLongerThanItsElders) {
  std::mt19937 random(2);
  struct Sequence {
    int64_t pending;
    int64_t to_generate;
    int64_t work;
  };
  for (int round = 0; round < 300; ++round) {
    const size_t most = 1 + random() % 6;
    const auto budget = static_cast<int64_t>(most + random() % 20);
    std::vector<Sequence> waiting, running;
    int64_t total_work = 0;
    for (size_t i = 0; i < 1 + random() % 15; ++i) {
      const auto prompt = static_cast<int64_t>(1 + random() % 80);
      const auto answer = static_cast<int64_t>(1 + random() % 30);
      waiting.push_back({prompt, answer, prompt + answer});
      total_work += prompt + answer;
    }
    int64_t steps = 0;
    while (!waiting.empty() || !running.empty()) {
      ASSERT_LT(++steps, total_work + 1) << "more steps than tokens: somebody starves";
      while (running.size() < most && !waiting.empty()) {
        running.push_back(waiting.front());
        waiting.erase(waiting.begin());
      }
      std::vector<SequenceState> states;
      for (const Sequence& sequence : running) states.push_back({sequence.pending});
      const auto scheduled = schedule_step(states, {budget, budget});
      ASSERT_FALSE(scheduled.empty());
      std::set<size_t> served;
      for (const ScheduledSequence& entry : scheduled) {
        Sequence& sequence = running[entry.index];
        served.insert(entry.index);
        sequence.pending -= entry.num_tokens;
        if (entry.wants_logits && --sequence.to_generate > 0) sequence.pending = 1;
      }
      for (size_t i = 0; i < states.size(); ++i)
        ASSERT_TRUE(states[i].pending_tokens != 1 || served.contains(i))
            << "a generating sequence missed a step";
      std::erase_if(running, [](const Sequence& sequence) { return sequence.to_generate == 0; });
    }
  }
}

// Vision blocks are never cut, and the oldest prompt gets on whatever the others want.
TEST(Scheduler, BlocksStayWholeAndTheOldestPromptGetsOn) {
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::vector<model::VisionBlock>> blocks(1 + random() % 6);
    std::vector<SequenceState> states;
    int64_t generating = 0;
    for (auto& own : blocks) {
      SequenceState state{.cached_tokens = static_cast<int64_t>(random() % 50)};
      int64_t end = state.cached_tokens;
      for (uint64_t n = random() % 4; n > 0; --n) {
        own.push_back({end + static_cast<int64_t>(random() % 20), 0});
        own.back().end = end = own.back().begin + static_cast<int64_t>(1 + random() % 30);
      }
      state.pending_tokens = end - state.cached_tokens + static_cast<int64_t>(random() % 20);
      state.blocks = own;
      generating += state.pending_tokens == 1;
      states.push_back(state);
    }
    const StepLimits limits{.tokens = generating + 30 + static_cast<int64_t>(random() % 60),
                            .prompt_tokens = static_cast<int64_t>(1 + random() % 60)};
    const auto scheduled = schedule_step(states, limits);
    int64_t used = 0;
    std::set<size_t> served;
    for (const ScheduledSequence& entry : scheduled) {
      const SequenceState& state = states[entry.index];
      const int64_t end = state.cached_tokens + entry.num_tokens;
      const model::VisionBlock* const cut = model::block_at(state.blocks, end);
      ASSERT_TRUE(cut == nullptr || cut->begin == end) << "a block is cut";
      served.insert(entry.index);
      used += entry.num_tokens;
    }
    ASSERT_LE(used, limits.tokens);
    bool oldest = true;
    for (size_t i = 0; i < states.size(); ++i) {
      if (states[i].pending_tokens == 1) {
        ASSERT_TRUE(served.contains(i));
      }
      if (states[i].pending_tokens <= 1 || !std::exchange(oldest, false)) continue;
      ASSERT_TRUE(served.contains(i)) << "the oldest prompt waits";
    }
  }
}

}  // namespace
}  // namespace gemma4::engine

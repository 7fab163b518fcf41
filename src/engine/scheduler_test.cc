// Thousands of random loads: the budget holds, nobody starves, nothing is promised twice.

#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace gemma4::engine {
namespace {

std::vector<int64_t> planned(const std::vector<int64_t>& pending, int64_t budget) {
  std::vector<SequenceState> states;
  for (const int64_t tokens : pending) states.push_back({tokens});
  std::vector<int64_t> tokens(pending.size(), 0);
  for (const ScheduledSequence& entry : schedule_step(states, budget)) {
    EXPECT_LT(entry.index, pending.size());
    EXPECT_EQ(tokens[entry.index], 0) << "scheduled twice";
    EXPECT_GT(entry.num_tokens, 0);
    EXPECT_EQ(entry.wants_logits, entry.num_tokens == pending[entry.index]);
    tokens[entry.index] = entry.num_tokens;
  }
  return tokens;
}

TEST(Scheduler, GeneratingSequencesComeFirstThenPromptsByAge) {
  EXPECT_EQ(planned({10, 1, 10, 1}, 8), (std::vector<int64_t>{6, 1, 0, 1}));
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
    // Among prompts, an older one is never passed over for a younger one.
    bool cut = false;
    for (size_t i = 0; i < pending.size(); ++i) {
      if (pending[i] <= 1) continue;
      ASSERT_TRUE(!cut || tokens[i] == 0);
      cut = cut || tokens[i] < pending[i];
    }
  }
}

// The engine's loop without a model: sequences arrive, run their prompt, then generate.
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
      const auto scheduled = schedule_step(states, budget);
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

TEST(Admission, NoBlockIsPromisedTwice) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    const Admission::BlockCounts capacity = {static_cast<int64_t>(random() % 20),
                                             static_cast<int64_t>(random() % 20)};
    Admission admission(capacity);
    std::vector<Admission::BlockCounts> held;
    Admission::BlockCounts promised{};
    for (int i = 0; i < 60; ++i) {
      if (!held.empty() && random() % 2 == 0) {
        const size_t which = random() % held.size();
        admission.release(held[which]);
        for (size_t kind = 0; kind < 2; ++kind) promised[kind] -= held[which][kind];
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
        continue;
      }
      const Admission::BlockCounts need = {static_cast<int64_t>(random() % 8),
                                           static_cast<int64_t>(random() % 8)};
      const bool fits =
          promised[0] + need[0] <= capacity[0] && promised[1] + need[1] <= capacity[1];
      ASSERT_EQ(admission.try_admit(need), fits);
      if (!fits) continue;
      held.push_back(need);
      for (size_t kind = 0; kind < 2; ++kind) promised[kind] += need[kind];
    }
  }
}

TEST(AdmissionDeathTest, ReturningMoreThanWasPromisedIsABug) {
  Admission admission({4, 4});
  ASSERT_TRUE(admission.try_admit({1, 1}));
  EXPECT_DEATH(admission.release({2, 1}), "internal error");
}

}  // namespace
}  // namespace gemma4::engine

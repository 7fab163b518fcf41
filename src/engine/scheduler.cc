#include "engine/scheduler.h"

#include <algorithm>
#include <numeric>

namespace gemma4::engine {
namespace {

// `count` tokens, or those before the block that they would cut.
int64_t whole_blocks(const SequenceState& sequence, int64_t count) {
  const int64_t end = sequence.cached_tokens + count;
  const model::VisionBlock* const cut = model::block_at(sequence.blocks, end);
  return cut == nullptr || cut->begin == end ? count : cut->begin - sequence.cached_tokens;
}

// What is needed to get on at all: a token, or the block that begins here.
int64_t least_tokens(const SequenceState& sequence) {
  const model::VisionBlock* const block = model::block_at(sequence.blocks, sequence.cached_tokens);
  return block == nullptr ? 1 : block->end - sequence.cached_tokens;
}

class Step {
 public:
  Step(std::span<const SequenceState> sequences, int64_t tokens)
      : sequences_(sequences), counts_(sequences.size()), left_(tokens) {}

  // Up to `tokens` more for a sequence; how many they became.
  int64_t give(size_t index, int64_t tokens) {
    const SequenceState& sequence = sequences_[index];
    const int64_t wish =
        std::min(sequence.pending_tokens, counts_[index] + std::min(tokens, left_));
    const int64_t more = std::max<int64_t>(0, whole_blocks(sequence, wish) - counts_[index]);
    counts_[index] += more;
    left_ -= more;
    return more;
  }
  int64_t left() const { return left_; }

  std::vector<ScheduledSequence> result() const {
    std::vector<ScheduledSequence> scheduled;
    for (size_t i = 0; i < counts_.size(); ++i)
      if (counts_[i] > 0)
        scheduled.push_back({i, counts_[i], counts_[i] == sequences_[i].pending_tokens});
    return scheduled;
  }

 private:
  std::span<const SequenceState> sequences_;
  std::vector<int64_t> counts_;
  int64_t left_;
};

}  // namespace

std::vector<ScheduledSequence> schedule_step(std::span<const SequenceState> sequences,
                                             const StepLimits& limits) {
  Step step(sequences, limits.tokens);
  bool generating = false;
  std::vector<size_t> prompts;  // by age
  int64_t wanted = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i].pending_tokens == 1) generating |= step.give(i, 1) > 0;
    if (sequences[i].pending_tokens <= 1) continue;
    prompts.push_back(i);
    wanted += sequences[i].pending_tokens;
  }
  if (prompts.empty()) return step.result();
  int64_t room = generating ? std::min(step.left(), limits.prompt_tokens) : step.left();

  const size_t oldest = prompts.front();
  const int64_t others = wanted - sequences[oldest].pending_tokens;
  int64_t given = step.give(oldest, std::max((room + 1) / 2, room - others));
  if (given == 0) given = step.give(oldest, least_tokens(sequences[oldest]));
  room -= given;
  std::vector<size_t> shortest(prompts.begin() + 1, prompts.end());
  std::ranges::stable_sort(shortest, {}, [&](size_t i) { return sequences[i].pending_tokens; });
  for (const size_t i : shortest)
    if (room > 0) room -= step.give(i, room);
  if (room > 0) step.give(oldest, room);  // what blocks of the others left over
  return step.result();
}

}  // namespace gemma4::engine

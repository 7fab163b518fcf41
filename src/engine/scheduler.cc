#include "engine/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace gemma4::engine {

namespace {

// `count` tokens, or those before the block that they would cut.
int64_t whole_blocks(const SequenceState& sequence, int64_t count) {
  const int64_t end = sequence.cached_tokens + count;
  const model::VisionBlock* const cut = model::block_at(sequence.blocks, end);
  return cut == nullptr || cut->begin == end ? count : cut->begin - sequence.cached_tokens;
}

}  // namespace

std::vector<ScheduledSequence> schedule_step(std::span<const SequenceState> sequences,
                                             int64_t budget) {
  std::vector<ScheduledSequence> scheduled;
  const auto take = [&](size_t index, int64_t tokens) {
    const SequenceState& sequence = sequences[index];
    const int64_t pending = sequence.pending_tokens;
    const int64_t count = whole_blocks(sequence, std::min({pending, tokens, budget}));
    if (count <= 0) return;
    scheduled.push_back({index, count, count == pending});
    budget -= count;
  };
  for (size_t i = 0; i < sequences.size(); ++i)
    if (sequences[i].pending_tokens == 1) take(i, 1);
  for (size_t i = 0; i < sequences.size(); ++i)
    if (sequences[i].pending_tokens > 1) take(i, sequences[i].pending_tokens);
  return scheduled;
}

bool Admission::try_admit(const BlockCounts& need) {
  for (size_t kind = 0; kind < need.size(); ++kind)
    if (promised_[kind] + need[kind] > capacity_[kind]) return false;
  for (size_t kind = 0; kind < need.size(); ++kind) promised_[kind] += need[kind];
  return true;
}

void Admission::release(const BlockCounts& need) {
  for (size_t kind = 0; kind < need.size(); ++kind) {
    promised_[kind] -= need[kind];
    G4_CHECK_LE(0, promised_[kind]);
  }
}

}  // namespace gemma4::engine

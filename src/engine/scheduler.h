// Which sequences run in the next step and how many tokens of each. Pure logic: no model, no clock.
//
// Policy: first come, first served. Every sequence that is generating gets its one token in every
// step; what is left of the step's token budget goes to prompts, oldest first, in chunks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"
#include "model/soft_tokens.h"

namespace gemma4::engine {

struct SequenceState {
  // Tokens not in the cache yet: the rest of the prompt, or 1 while generating.
  int64_t pending_tokens = 0;
  int64_t cached_tokens = 0;                        // before them
  std::span<const model::VisionBlock> blocks = {};  // which must not be cut, in order
};

struct ScheduledSequence {
  size_t index = 0;           // into the span given
  int64_t num_tokens = 0;     // > 0
  bool wants_logits = false;  // these are its last pending tokens
};

// At most `budget` tokens in all. Sequences are given in order of arrival. A chunk ends before a
// block that would not fit as a whole. If anything is pending and budget > 0, something is
// scheduled, as long as no block is longer than what is left beside the sequences that generate.
std::vector<ScheduledSequence> schedule_step(std::span<const SequenceState> sequences,
                                             int64_t budget);

// Blocks promised to admitted sequences, so that none runs out in the middle.
class Admission {
 public:
  using BlockCounts = std::array<int64_t, model::kNumAttentionKinds>;
  explicit Admission(BlockCounts capacity) : capacity_(capacity) {}

  bool try_admit(const BlockCounts& need);  // false: not now
  void release(const BlockCounts& need);

 private:
  BlockCounts capacity_;
  BlockCounts promised_{};
};

}  // namespace gemma4::engine

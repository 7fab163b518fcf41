// Which sequences run in the next step and how many tokens of each. Pure logic: no model, no clock.
//
// Policy: every sequence that is generating gets its one token in every step. What is left of the
// step goes to prompts: at least half of it to the oldest, which so can never starve; the rest to
// those that need least, so that a short prompt does not wait behind a long one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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

struct StepLimits {
  int64_t tokens = 0;         // in all
  int64_t prompt_tokens = 0;  // of prompts, beside sequences that generate; more only for a block
};

// Sequences are given in order of arrival, and scheduled in it. A chunk ends before a block that
// would not fit as a whole; the oldest prompt's next block may exceed `prompt_tokens`. If anything
// is pending and limits.tokens > 0, something is scheduled, as long as no block is longer than what
// limits.tokens leaves beside the sequences that generate.
std::vector<ScheduledSequence> schedule_step(std::span<const SequenceState> sequences,
                                             const StepLimits& limits);

}  // namespace gemma4::engine

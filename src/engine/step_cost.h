// How long a step takes, learned from those that ran: what every step costs, and what each token of
// a prompt adds. For a step that must not keep waiting those who read along.
#pragma once

#include <cstdint>

namespace gemma4::engine {

class StepCost {
 public:
  // A step of `prompt_tokens` tokens of prompts beside those of sequences that generate.
  void observe(int64_t prompt_tokens, double seconds);
  // Prompt tokens that fit in a step of `seconds`; always some, so that prompts get on.
  int64_t prompt_tokens(double seconds) const;

 private:
  double base_seconds_ = 0;  // of steps that only generate
  // Sums of steps with prompts, older ones counting less
  double prompt_seconds_ = 0;
  double prompt_tokens_ = 0;
};

}  // namespace gemma4::engine

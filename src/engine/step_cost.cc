#include "engine/step_cost.h"

#include <algorithm>

namespace gemma4::engine {
namespace {

constexpr double kOldShare = 0.9;  // of what was known before each step
constexpr int64_t kLeastTokens = 16;
constexpr int64_t kFirstTokens = 64;  // while nothing is known

}  // namespace

void StepCost::observe(int64_t prompt_tokens, double seconds) {
  if (prompt_tokens == 0) {
    base_seconds_ =
        base_seconds_ == 0 ? seconds : kOldShare * base_seconds_ + (1 - kOldShare) * seconds;
    return;
  }
  prompt_seconds_ = kOldShare * prompt_seconds_ + std::max(0.0, seconds - base_seconds_);
  prompt_tokens_ = kOldShare * prompt_tokens_ + static_cast<double>(prompt_tokens);
}

int64_t StepCost::prompt_tokens(double seconds) const {
  if (prompt_tokens_ == 0) return kFirstTokens;
  const double left = std::max(0.0, seconds - base_seconds_);
  const double cost = std::max(1e-9, prompt_seconds_ / prompt_tokens_);
  return std::max(kLeastTokens, static_cast<int64_t>(std::min(left / cost, 1e9)));
}

}  // namespace gemma4::engine

// The logits of one step, where the device left them: whole rows are copied only when asked for.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/view.h"
#include "kernels/device.h"
#include "kernels/table.h"

namespace gemma4::engine {

class StepLogits {
 public:
  // Of a step that wants none
  StepLogits() = default;
  // `logits` [R, V] and, unless empty, the `best` [R · kCount] of each row, in the memory of
  // `device`, until its next step. Errors: those of the step that computed them.
  static Result<StepLogits> read(kernels::Device& device, View logits,
                                 std::span<const kernels::RankedLogit> best);

  size_t vocab_size() const { return static_cast<size_t>(logits_.cols()); }
  // The largest logits of a row, largest first; empty where the device does not find them.
  std::span<const kernels::RankedLogit> best(size_t row) const;
  // All of a row [V], until the next call.
  std::span<const float> whole(size_t row);

 private:
  kernels::Device* device_ = nullptr;
  View logits_;
  std::vector<kernels::RankedLogit> best_;
  std::vector<float> copy_;
};

}  // namespace gemma4::engine

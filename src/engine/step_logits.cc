#include "engine/step_logits.h"

namespace gemma4::engine {

Result<StepLogits> StepLogits::read(kernels::Device& device, View logits,
                                    std::span<const kernels::RankedLogit> best) {
  StepLogits step;
  step.device_ = &device;
  step.logits_ = logits;
  if (!best.empty()) {
    step.best_.resize(best.size());
    device.download(step.best_.data(), best.data(), best.size_bytes());
  }
  G4_RETURN_IF_ERROR(device.finish());
  return step;
}

std::span<const kernels::RankedLogit> StepLogits::best(size_t row) const {
  constexpr auto kCount = static_cast<size_t>(kernels::BestLogitsArgs::kCount);
  if (best_.empty()) return {};
  return std::span(best_).subspan(row * kCount, kCount);
}

std::span<const float> StepLogits::whole(size_t row) {
  const float* const logits = logits_.f32() + row * vocab_size();
  if (device_->is_host()) return {logits, vocab_size()};
  copy_.resize(vocab_size());
  device_->download(copy_.data(), logits, copy_.size() * sizeof(float));
  return copy_;
}

}  // namespace gemma4::engine

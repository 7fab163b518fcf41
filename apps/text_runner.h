// One forward pass over given tokens outside the engine: for verification and tests, which want
// logits at chosen positions and the values in between.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/device.h"
#include "model/model.h"
#include "model/soft_tokens.h"
#include "model/text_forward.h"

namespace gemma4::apps {

class TextRunner {
 public:
  // On the model's device, or else the CPU with `num_threads` (0 = one per core). Keys and values
  // are kept as `kv_type`, one of kernels::kKvTypes.
  static Result<TextRunner> create(std::shared_ptr<const model::Model> model, int num_threads,
                                   DType kv_type = DType::kF32);
  TextRunner(std::shared_ptr<const model::Model> model, std::shared_ptr<kernels::Device> device,
             DType kv_type = DType::kF32);

  // Feeds `ids` from position 0 in chunks of at most `chunk` tokens and returns the logits
  // [positions, V] at `positions` (rising). Chunks must not end inside a block of `media`. Errors:
  // those of the cache and the device.
  Result<std::vector<float>> logits(std::span<const int32_t> ids,
                                    std::span<const int32_t> positions, int64_t chunk,
                                    const model::ForwardOptions& options = {},
                                    ops::Probe* probe = nullptr,
                                    std::span<const model::SoftSpan> media = {}) const;

  const model::Model& model() const { return *model_; }
  const std::shared_ptr<kernels::Device>& device() const { return device_; }
  const std::shared_ptr<const model::Model>& shared_model() const { return model_; }

 private:
  std::shared_ptr<const model::Model> model_;
  std::shared_ptr<kernels::Device> device_;
  DType kv_type_;
};

}  // namespace gemma4::apps

// Sequences fed to a model step by step outside the engine: for scoring, verification and tests,
// which know all tokens beforehand and want the logits of many of them. Memory is taken once.
//
//   G4_ASSIGN_OR_RETURN(const auto stream, TextStream::create(model, device, {.length = 512}));
//   G4_ASSIGN_OR_RETURN(const std::span<const float> logits, stream->feed(ids, wanted));
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/result.h"
#include "kernels/device.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "model/soft_tokens.h"
#include "model/step_inputs.h"
#include "model/text_forward.h"

namespace gemma4::apps {

class TextStream {
 public:
  struct Options {
    int64_t length = 0;           // most tokens of a sequence
    int64_t step = 512;           // most tokens that are fed at once
    int64_t logits = 1;           // most rows of logits of a step
    DType kv_type = DType::kF32;  // one of kernels::kKvTypes
    model::ForwardOptions forward = {};
    ops::Probe* probe = nullptr;
    ops::Tape* tape = nullptr;
    std::span<const model::SoftSpan> media = {};  // of every sequence; must outlive the stream
  };
  // Errors: kResourceExhausted when the device has no such memory; those of KvCache::create.
  static Result<std::unique_ptr<TextStream>> create(std::shared_ptr<const model::Model> model,
                                                    std::shared_ptr<kernels::Device> device,
                                                    const Options& options);
  TextStream(const TextStream&) = delete;
  TextStream& operator=(const TextStream&) = delete;

  // Forgets the sequence; what is fed next begins another one.
  void restart();
  // Feeds the next tokens of the sequence and returns the logits [wanted, V] of those at `wanted`
  // (indexes into `ids`, rising); they stay until the next call. Errors: those of the device.
  Result<std::span<const float>> feed(std::span<const int32_t> ids,
                                      std::span<const int32_t> wanted);

  const model::Model& model() const { return *model_; }

 private:
  TextStream(std::shared_ptr<const model::Model> model, std::shared_ptr<kernels::Device> device,
             const Options& options, model::KvCache cache, model::InputBuffer inputs,
             kernels::Device::Memory workspace, size_t workspace_bytes);

  std::shared_ptr<const model::Model> model_;
  std::shared_ptr<kernels::Device> device_;  // before all that holds its memory
  Options options_;
  model::KvCache cache_;
  model::InputBuffer inputs_;
  kernels::Device::Memory workspace_;
  Arena arena_;
  std::vector<model::VisionBlock> blocks_;
  model::KvSequence sequence_;
  std::vector<float> copy_;  // logits of a device with memory of its own
};

}  // namespace gemma4::apps

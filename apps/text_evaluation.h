// Scores the chunks of a text with one model, or with two side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "apps/text_chunks.h"
#include "base/result.h"
#include "kernels/device.h"
#include "model/model.h"
#include "ops/context.h"

namespace gemma4::apps {

// By scored token, in the order of the text.
struct TextScores {
  std::vector<double> nll;  // -ln of the probability that the model gives it
  // With a baseline, all of the same length; empty without.
  std::vector<double> baseline_nll;
  std::vector<double> divergence;  // KL(baseline || model) of the prediction
  int64_t same_best = 0;           // predictions in which both prefer the same token
};

struct EvaluatedModels {
  std::shared_ptr<kernels::Device> device;  // what both were loaded for
  std::shared_ptr<const model::Model> model;
  std::shared_ptr<const model::Model> baseline;  // of the same vocabulary; may be null
  DType kv_type = DType::kF32;  // of the model's keys and values; the baseline's are float32
  // Sees what the model computes, in all layers for all tokens; may be null.
  ops::Tape* tape = nullptr;
};

// Shows a progress bar. Logits of a few tokens at a time are all that is kept. Errors: those of the
// device; kCancelled after Ctrl-C; kInvalidData for logits that are no numbers.
Result<TextScores> score_text(const TextChunks& chunks, const EvaluatedModels& models);

}  // namespace gemma4::apps

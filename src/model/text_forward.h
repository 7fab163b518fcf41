// The text decoder's forward pass, written once for every size, device, batch shape and precision.
#pragma once

#include "model/kv_cache.h"
#include "model/model.h"
#include "model/step_inputs.h"
#include "ops/ops.h"

namespace gemma4::model {

enum class ForwardOutput {
  kLogits,
  kHidden,  // what the vocabulary head would read: the last layer's output after the final norm
};

struct ForwardOptions {
  // Rows without wanted logits stop before the first KV-sharing layer. Exact; off only for tests
  // and for observing every hidden state.
  bool prompt_shortcut = true;
  // Rows of the vocabulary head whose logits are wanted; the others' are undefined. Empty: all.
  std::span<const ops::RowRange> head_rows = {};
  ForwardOutput output = ForwardOutput::kLogits;
};

// Runs the rows of a batch, whose arrays are `inputs`, reads and writes `cache`, and returns the
// logits [R, V], or the hidden states [R, D], of its logit rows in the step arena (an empty view
// when R = 0). Probes:
// "text.hidden" (layer = index, before that layer; after the final norm layer = L),
// "text.per_layer_inputs", "text.logits".
View text_forward(const ops::Context& ctx, const Model& model, const StepInputs& inputs,
                  KvCache& cache, const ForwardOptions& options = {});

// Bytes of step arena that a batch of at most `tokens` rows and `logits` logit rows needs: a dry
// run.
size_t workspace_bytes(const Model& model, int64_t tokens, int64_t logits,
                       const ForwardOptions& options = {});

}  // namespace gemma4::model

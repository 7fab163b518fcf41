// Embeddings of prompts: the hidden states of all rows instead of the logits of some.
#include <vector>

#include "engine/engine.h"

namespace gemma4::engine {

// The forward pass over what was planned of prompts whose embeddings are wanted; adds up their
// hidden states. A pass of its own, since it takes all rows through all layers and none through the
// vocabulary head.
Status Engine::run_embeddings(std::span<const ScheduledSequence> scheduled) {
  if (scheduled.empty()) return {};
  const model::Batch batch = batch_of(scheduled);
  const model::StepInputs inputs = inputs_.place(batch);
  arena_.reset();
  const ops::Context ctx{.kernels = &device_->table(),
                         .queue = device_->queue(),
                         .arena = &arena_,
                         .device = device_.get(),
                         .profile = profile_};
  const View hidden = model::text_forward(ctx, *model_, inputs, cache_,
                                          {.output = model::ForwardOutput::kHidden});  // [T, D]
  const auto width = static_cast<size_t>(hidden.cols());
  const float* rows = hidden.f32();
  std::vector<float> copy;
  if (!device_->is_host()) {
    copy.resize(static_cast<size_t>(hidden.shape[0]) * width);
    device_->download(copy.data(), rows, copy.size() * sizeof(float));
    rows = copy.data();
  }
  G4_RETURN_IF_ERROR(device_->finish());
  for (const ScheduledSequence& entry : scheduled) {
    Sequence& sequence = batcher_.running(entry.index);
    if (sequence.kv.length == 0) sequence.hidden_sum.assign(width, 0);
    for (int64_t row = 0; row < entry.num_tokens; ++row, rows += width)
      for (size_t i = 0; i < width; ++i) sequence.hidden_sum[i] += static_cast<double>(rows[i]);
  }
  count_computed(batch.num_tokens());
  return {};
}

Event Engine::embedding_event(const Sequence& sequence) {
  Event event{.sequence = sequence.id, .finish = FinishReason::kStop};
  event.embedding.reserve(sequence.hidden_sum.size());
  const auto count = static_cast<double>(sequence.tokens.size());
  for (const double sum : sequence.hidden_sum)
    event.embedding.push_back(static_cast<float>(sum / count));
  return event;
}

}  // namespace gemma4::engine

#include "apps/text_runner.h"

#include <algorithm>

#include "base/arena.h"
#include "kernels/registry.h"

namespace gemma4::apps {

Result<TextRunner> TextRunner::create(std::shared_ptr<const model::Model> model, int num_threads,
                                      DType kv_type) {
  std::shared_ptr<kernels::Device> device = model->device();
  if (device == nullptr) {
    G4_ASSIGN_OR_RETURN(device, kernels::open_cpu_device({.num_threads = num_threads}));
  }
  return TextRunner(std::move(model), std::move(device), kv_type);
}

TextRunner::TextRunner(std::shared_ptr<const model::Model> model,
                       std::shared_ptr<kernels::Device> device, DType kv_type)
    : model_(std::move(model)), device_(std::move(device)), kv_type_(kv_type) {}

Result<std::vector<float>> TextRunner::logits(std::span<const int32_t> ids,
                                              std::span<const int32_t> positions, int64_t chunk,
                                              const model::ForwardOptions& options,
                                              ops::Probe* probe) const {
  const model::TextConfig& text = model_->config().text;
  const auto count = static_cast<int64_t>(ids.size());
  chunk = std::min(chunk, count);
  const auto blocks = model::KvCache::blocks_needed(text, count, chunk);
  G4_ASSIGN_OR_RETURN(auto cache, model::KvCache::create(text, blocks, kv_type_, *device_));
  const auto most_logits = std::min<int64_t>(chunk, static_cast<int64_t>(positions.size()));
  const size_t workspace_bytes = model::workspace_bytes(*model_, chunk, most_logits, options);
  G4_ASSIGN_OR_RETURN(const auto workspace, device_->allocate(workspace_bytes));
  Arena arena(workspace.get(), workspace_bytes);
  G4_ASSIGN_OR_RETURN(
      auto inputs,
      model::InputBuffer::create(
          *device_, {.tokens = chunk, .logits = most_logits, .sequences = 1, .blocks = blocks}));
  const ops::Context ctx{.kernels = &device_->table(),
                         .queue = device_->queue(),
                         .arena = &arena,
                         .device = device_.get(),
                         .probe = probe};

  std::vector<float> result;
  model::KvSequence sequence;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t tokens = std::min(chunk, count - begin);
    std::vector<int32_t> wanted;
    for (const int32_t position : positions)
      if (position >= begin && position < begin + tokens)
        wanted.push_back(static_cast<int32_t>(position - begin));
    G4_CHECK(cache.reserve(sequence, tokens));
    model::Batch batch;
    batch.add(*model_, sequence,
              ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(tokens)), wanted);
    const model::StepInputs placed = inputs.place(batch);
    arena.reset();
    const View logits = model::text_forward(ctx, *model_, placed, cache, options);
    if (logits) {
      result.resize(result.size() + static_cast<size_t>(logits.size()));
      device_->download(result.data() + result.size() - logits.size(), logits.data,
                        static_cast<size_t>(logits.size()) * sizeof(float));
    }
    cache.commit(sequence, tokens);
  }
  G4_RETURN_IF_ERROR(device_->finish());
  return result;
}

}  // namespace gemma4::apps

#include "apps/text_stream.h"

#include <algorithm>
#include <utility>

#include "model/batch.h"

namespace gemma4::apps {

Result<std::unique_ptr<TextStream>> TextStream::create(std::shared_ptr<const model::Model> model,
                                                       std::shared_ptr<kernels::Device> device,
                                                       const Options& options) {
  Options limits = options;
  limits.step = std::min(options.step, options.length);
  limits.logits = std::min(options.logits, limits.step);
  const auto blocks =
      model::KvCache::blocks_needed(model->config().text, limits.length, limits.step);
  G4_ASSIGN_OR_RETURN(
      auto cache, model::KvCache::create(model->config().text, blocks, limits.kv_type, *device));
  const size_t bytes = model::workspace_bytes(*model, limits.step, limits.logits, limits.forward);
  G4_ASSIGN_OR_RETURN(auto workspace, device->allocate(bytes));
  G4_ASSIGN_OR_RETURN(auto inputs, model::InputBuffer::create(*device, {.tokens = limits.step,
                                                                        .logits = limits.logits,
                                                                        .sequences = 1,
                                                                        .blocks = blocks}));
  return std::unique_ptr<TextStream>(new TextStream(std::move(model), std::move(device), limits,
                                                    std::move(cache), std::move(inputs),
                                                    std::move(workspace), bytes));
}

TextStream::TextStream(std::shared_ptr<const model::Model> model,
                       std::shared_ptr<kernels::Device> device, const Options& options,
                       model::KvCache cache, model::InputBuffer inputs,
                       kernels::Device::Memory workspace, size_t workspace_bytes)
    : model_(std::move(model)),
      device_(std::move(device)),
      options_(options),
      cache_(std::move(cache)),
      inputs_(std::move(inputs)),
      workspace_(std::move(workspace)),
      arena_(workspace_.get(), workspace_bytes),
      blocks_(model::vision_blocks(model_->config().text, options.media)) {}

void TextStream::restart() {
  cache_.release(sequence_);
  sequence_ = {};
}

Result<std::span<const float>> TextStream::feed(std::span<const int32_t> ids,
                                                std::span<const int32_t> wanted) {
  const auto count = static_cast<int64_t>(ids.size());
  G4_CHECK_LE(count, options_.step);
  G4_CHECK_LE(static_cast<int64_t>(wanted.size()), options_.logits);
  G4_CHECK(cache_.reserve(sequence_, count));
  model::Batch batch;
  batch.add(*model_, sequence_, ids, wanted, {options_.media, blocks_});
  arena_.reset();
  const ops::Context ctx{.kernels = &device_->table(),
                         .queue = device_->queue(),
                         .arena = &arena_,
                         .device = device_.get(),
                         .probe = options_.probe,
                         .tape = options_.tape};
  const View logits =
      model::text_forward(ctx, *model_, inputs_.place(batch), cache_, options_.forward);
  cache_.commit(sequence_, count);
  std::span<const float> rows;
  if (logits && device_->is_host()) {
    rows = {logits.f32(), static_cast<size_t>(logits.size())};
  } else if (logits) {
    copy_.resize(static_cast<size_t>(logits.size()));
    device_->download(copy_.data(), logits.data, copy_.size() * sizeof(float));
    rows = copy_;
  }
  G4_RETURN_IF_ERROR(device_->finish());
  return rows;
}

}  // namespace gemma4::apps

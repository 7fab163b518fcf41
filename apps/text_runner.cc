#include "apps/text_runner.h"

#include <algorithm>

#include "base/arena.h"
#include "kernels/registry.h"

namespace gemma4::apps {

Result<TextRunner> TextRunner::create(std::shared_ptr<const model::Model> model, int num_threads) {
  G4_ASSIGN_OR_RETURN(kernels::Table kernels, kernels::default_table());
  return TextRunner(std::move(model), kernels, num_threads);
}

TextRunner::TextRunner(std::shared_ptr<const model::Model> model, kernels::Table kernels,
                       int num_threads)
    : model_(std::move(model)),
      kernels_(kernels),
      pool_(std::make_unique<ThreadPool>(num_threads > 0 ? num_threads
                                                         : ThreadPool::available_cpus())) {}

std::vector<float> TextRunner::logits(std::span<const int32_t> ids,
                                      std::span<const int32_t> positions, int64_t chunk,
                                      const model::ForwardOptions& options,
                                      ops::Probe* probe) const {
  const model::TextConfig& text = model_->config().text;
  const auto count = static_cast<int64_t>(ids.size());
  chunk = std::min(chunk, count);
  model::KvCache cache(text, model::KvCache::blocks_needed(text, count, chunk));
  const auto most_logits = std::min<int64_t>(chunk, static_cast<int64_t>(positions.size()));
  Arena arena(model::workspace_bytes(*model_, cache, chunk, most_logits, options));
  const ops::Context ctx{
      .kernels = &kernels_, .queue = {pool_.get()}, .arena = &arena, .probe = probe};

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
    arena.reset();
    const View logits = model::text_forward(ctx, *model_, batch, cache, options);
    if (logits) result.insert(result.end(), logits.f32(), logits.f32() + logits.size());
    cache.commit(sequence, tokens);
  }
  return result;
}

}  // namespace gemma4::apps

#include "engine/memory_plan.h"

#include <algorithm>

#include "base/strings.h"
#include "engine/engine.h"

namespace gemma4::engine {
namespace {

// What a card's driver may add: it gives memory in pieces of this size, and every layer has two.
uint64_t rounding_bytes(const model::Model& model, const kernels::Device& device) {
  constexpr uint64_t kPiece = 2 << 20;
  if (device.is_host()) return 0;
  return (2 * static_cast<uint64_t>(model.config().text.num_hidden_layers) + 2) * kPiece;
}

bool fits(const MemoryPlan& plan, const model::Model& model, const EngineOptions& options,
          const kernels::Device& device) {
  const uint64_t available = device.available_bytes();
  const uint64_t claimed = device.is_host() ? options.claimed_bytes : 0;
  return available == 0 ||
         plan.kv_bytes + plan.workspace_bytes + rounding_bytes(model, device) + claimed <=
             available;
}

// The longest context, in whole blocks, whose plan fits; 0 if none does.
int64_t largest_context(const model::Model& model, EngineOptions options,
                        const kernels::Device& device) {
  int64_t fitting = 0, too_many = options.context_tokens / model::kBlockTokens + 1;
  const int64_t chunk = options.chunk_tokens;
  while (too_many - fitting > 1) {
    const int64_t blocks = (fitting + too_many) / 2;
    options.context_tokens = blocks * model::kBlockTokens;
    options.chunk_tokens = std::min(chunk, options.context_tokens * options.max_sequences);
    (fits(plan_memory(model, options), model, options, device) ? fitting : too_many) = blocks;
  }
  return fitting * model::kBlockTokens;
}

}  // namespace

model::KvCache::BlockCounts table_capacity(const model::Model& model,
                                           const EngineOptions& options) {
  auto counts = model::KvCache::blocks_needed(model.config().text, options.context_tokens,
                                              options.chunk_tokens);
  for (int64_t& count : counts) count *= options.max_sequences;
  return counts;
}

model::KvCache::BlockCounts cache_capacity(const model::Model& model,
                                           const EngineOptions& options) {
  constexpr auto kSliding = static_cast<size_t>(index_of(model::AttentionKind::kSliding));
  constexpr auto kFull = static_cast<size_t>(index_of(model::AttentionKind::kFull));
  const model::TextConfig& text = model.config().text;
  auto counts = table_capacity(model, options);
  if (options.cache_tokens > 0)
    counts[kFull] = std::min(counts[kFull],
                             model::KvCache::blocks_needed(text, options.cache_tokens, 1)[kFull]);
  const int64_t window = model::KvCache::blocks_needed(text, options.context_tokens, 1)[kSliding];
  counts[kSliding] += options.prefix_windows * window;
  return counts;
}

MemoryPlan plan_memory(const model::Model& model, const EngineOptions& options) {
  const model::TextConfig& text = model.config().text;
  const auto blocks = cache_capacity(model, options);
  MemoryPlan plan{.weights_bytes = model.text_size().bytes};
  for (const auto kind : {model::AttentionKind::kSliding, model::AttentionKind::kFull})
    plan.kv_bytes +=
        static_cast<uint64_t>(blocks[static_cast<size_t>(index_of(kind))]) *
        static_cast<uint64_t>(model::KvCache::block_bytes(text, kind, options.kv_type));
  plan.workspace_bytes = model::workspace_bytes(model, options.chunk_tokens, options.max_sequences,
                                                {options.prompt_shortcut}) +
                         ops::best_logits_bytes(options.max_sequences);
  if (options.embeddings)
    plan.workspace_bytes =
        std::max<uint64_t>(plan.workspace_bytes,
                           model::workspace_bytes(model, options.chunk_tokens, options.chunk_tokens,
                                                  {.output = model::ForwardOutput::kHidden}));
  return plan;
}

Error does_not_fit(const MemoryPlan& plan, const model::Model& model, const EngineOptions& options,
                   const kernels::Device& device) {
  const int64_t context = largest_context(model, options, device);
  std::string changes;
  if (context > 0)
    changes =
        str_cat("a context of at most ", with_thousands(static_cast<uint64_t>(context)), " tokens");
  if (options.max_sequences > 1)
    changes += str_cat(changes.empty() ? "" : ", ", "fewer sequences at once");
  if (options.kv_type == DType::kF32)
    changes += str_cat(changes.empty() ? "" : ", ", "keys and values of fewer bits (--kv-type)");
  if (changes.empty()) changes = "a smaller model, or one of fewer bits (--quantize)";
  const std::string of_others =
      device.is_host() && options.claimed_bytes > 0
          ? str_cat(", of which other models may use ", human_bytes(options.claimed_bytes))
          : "";
  return {ErrorCode::kResourceExhausted,
          str_cat("the memory of ", device.name(), " does not hold this: weights ",
                  human_bytes(plan.weights_bytes), device.is_host() ? " (mapped)" : " (loaded)",
                  ", keys and values of ", options.max_sequences, " x ", options.context_tokens,
                  " tokens in ", name_of(options.kv_type), " ", human_bytes(plan.kv_bytes),
                  ", working memory ", human_bytes(plan.workspace_bytes), "; ",
                  human_bytes(device.available_bytes()), device.is_host() ? " in all" : " are free",
                  of_others, "; use ", changes)};
}

Status check_memory(const MemoryPlan& plan, const model::Model& model, const EngineOptions& options,
                    const kernels::Device& device) {
  if (fits(plan, model, options, device)) return {};
  return does_not_fit(plan, model, options, device);
}

}  // namespace gemma4::engine

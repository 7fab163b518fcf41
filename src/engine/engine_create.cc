// What the engine needs before its first step: options that make sense, and memory.
#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "engine/engine.h"

namespace gemma4::engine {
namespace {

Error invalid(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }

Status check_options(const model::TextConfig& text, const EngineOptions& options) {
  const int64_t limit = text.max_position_embeddings;
  if (options.context_tokens < 2 || options.context_tokens > limit)
    return invalid(
        str_cat("context of ", options.context_tokens, " tokens: this model takes 2 to ", limit));
  if (options.max_sequences < 1 || options.max_sequences > 4096)
    return invalid(
        str_cat("number of sequences at once is ", options.max_sequences, ", must be 1 to 4096"));
  if (options.chunk_tokens < options.max_sequences)
    return invalid(str_cat("a step of ", options.chunk_tokens, " tokens cannot hold ",
                           options.max_sequences, " sequences"));
  if (options.cpu.num_threads < 0 || options.cpu.num_threads > 1024)
    return invalid(
        str_cat("number of threads is ", options.cpu.num_threads, ", must be 1 to 1024"));
  if (options.cache_tokens != 0 && options.cache_tokens < options.context_tokens)
    return invalid(str_cat("a cache of ", options.cache_tokens, " tokens cannot hold a context of ",
                           options.context_tokens));
  if (options.prefix_windows < 0 || options.prefix_windows > 65536)
    return invalid(
        str_cat("number of prefix windows is ", options.prefix_windows, ", must be 0 to 65536"));
  if (!(options.step_target_seconds >= 0))
    return invalid(str_cat("target for the time of a step is ", options.step_target_seconds,
                           " s, must be 0 or more"));
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const model::Model> model,
                                               const EngineOptions& options) {
  G4_RETURN_IF_ERROR(check_options(model->config().text, options));
  G4_RETURN_IF_ERROR(model::KvCache::check_type(model->config().text, options.kv_type));
  EngineOptions clamped = options;  // no step is longer than all the sequences
  clamped.chunk_tokens =
      std::min(options.chunk_tokens, options.context_tokens * options.max_sequences);
  std::shared_ptr<kernels::Device> device = model->device();
  if (device == nullptr) {
    G4_ASSIGN_OR_RETURN(device, kernels::open_cpu_device(options.cpu));
  }
  const MemoryPlan memory = plan_memory(*model, clamped);
  G4_RETURN_IF_ERROR(check_memory(memory, *model, clamped, *device));
  // What others took meanwhile is not in the check.
  const auto explained = [&](const Error& error) {
    return error.code == ErrorCode::kResourceExhausted
               ? does_not_fit(memory, *model, clamped, *device)
               : error;
  };
  auto cache = model::KvCache::create(model->config().text, cache_capacity(*model, clamped),
                                      clamped.kv_type, *device);
  if (!cache.ok()) return explained(cache.error());
  auto inputs = model::InputBuffer::create(
      *device, {.tokens = clamped.chunk_tokens,
                .logits = clamped.embeddings ? clamped.chunk_tokens : clamped.max_sequences,
                .sequences = clamped.max_sequences,
                .blocks = table_capacity(*model, clamped)});
  if (!inputs.ok()) return explained(inputs.error());
  auto workspace = device->allocate(memory.workspace_bytes);
  if (!workspace.ok()) return explained(workspace.error());
  std::unique_ptr<Engine> engine(new Engine(std::move(model), clamped, memory, std::move(device),
                                            std::move(cache).value(), std::move(inputs).value(),
                                            std::move(workspace).value()));
  G4_RETURN_IF_ERROR(engine->restore_prefixes());
  return engine;
}

Engine::Engine(std::shared_ptr<const model::Model> model, const EngineOptions& options,
               const MemoryPlan& memory, std::shared_ptr<kernels::Device> device,
               model::KvCache cache, model::InputBuffer inputs, kernels::Device::Memory workspace)
    : model_(std::move(model)),
      options_(options),
      memory_(memory),
      device_(std::move(device)),
      cache_(std::move(cache)),
      batcher_(model_->config().text, cache_,
               {.max_sequences = options_.max_sequences,
                .chunk_tokens = options_.chunk_tokens,
                .prefix_cache = options_.prefix_cache,
                .capacity = cache_capacity(*model_, options_)}),
      workspace_(std::move(workspace)),
      arena_(workspace_.get(), memory.workspace_bytes),
      inputs_(std::move(inputs)) {}

}  // namespace gemma4::engine

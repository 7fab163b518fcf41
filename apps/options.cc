#include "apps/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <random>

#include "base/strings.h"

namespace gemma4::apps {

void add_engine_arguments(CLI::App& command, EngineArguments& arguments) {
  command.add_option("--device", arguments.device, "cpu, cuda or auto")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}));
  command.add_option("--threads", arguments.threads, "Threads (default: one per CPU)")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--ctx", arguments.context,
                  "Context in tokens, prompt and answer together (default: 8192)")
      ->check(CLI::PositiveNumber);
  command.add_option("--kv-type", arguments.kv_type, "Type of the key/value cache")
      ->capture_default_str();
  command.add_flag("--verbose", arguments.verbose, "Say what is going on, on stderr");
}

Result<engine::EngineOptions> engine_options(const EngineArguments& arguments,
                                             const model::Model& model) {
  if (arguments.device == "cuda")
    return Error{ErrorCode::kUnsupported,
                 "--device cuda: this build has no CUDA kernels; use --device cpu"};
  if (arguments.kv_type != "f32")
    return Error{
        ErrorCode::kUnsupported,
        str_cat("--kv-type ", arguments.kv_type, ": this build keeps keys and values in f32 only")};
  constexpr int64_t kDefaultContext = 8192;
  engine::EngineOptions options;
  options.context_tokens =
      arguments.context > 0
          ? arguments.context
          : std::min(kDefaultContext, model.config().text.max_position_embeddings);
  options.num_threads = arguments.threads;
  options.pinning = ThreadPool::Pinning::kOneCpuEach;
  return options;
}

void add_sampling_arguments(CLI::App& command, SamplingArguments& arguments) {
  command
      .add_option("--max-tokens", arguments.max_tokens,
                  "Most tokens to generate (default: what the context leaves)")
      ->check(CLI::PositiveNumber);
  command.add_option("--temp", arguments.temperature,
                     "Temperature; 0 always takes the most probable token");
  command.add_option("--top-k", arguments.top_k, "Sample from the K most probable tokens; 0 = off");
  command.add_option("--top-p", arguments.top_p,
                     "Sample from the most probable tokens that reach this mass together");
  command.add_option("--min-p", arguments.min_p,
                     "Drop tokens below this share of the best one's probability");
  command.add_option("--repetition-penalty", arguments.repetition_penalty,
                     "Above 1 discourages tokens seen before");
  command.add_option("--presence-penalty", arguments.presence_penalty,
                     "Subtracted from logits of tokens generated before");
  command.add_option("--frequency-penalty", arguments.frequency_penalty,
                     "The same, for every time they were generated");
  command.add_option("--seed", arguments.seed,
                     "The same seed gives the same answer (default: a fresh one)");
  command.add_option("--stop", arguments.stop, "Stop before this text; may be repeated")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
}

Result<engine::SamplingParams> sampling_params(const SamplingArguments& arguments,
                                               const LoadedModel& model) {
  engine::SamplingParams params;
  params.temperature = arguments.temperature.value_or(model.generation.temperature);
  params.top_k = arguments.top_k.value_or(model.generation.top_k);
  params.top_p = arguments.top_p.value_or(model.generation.top_p);
  params.min_p = arguments.min_p;
  params.repetition_penalty = arguments.repetition_penalty;
  params.presence_penalty = arguments.presence_penalty;
  params.frequency_penalty = arguments.frequency_penalty;
  params.suppress_tokens = model.generation.suppress_tokens;
  params.seed = arguments.seed ? *arguments.seed : std::random_device()();
  G4_RETURN_IF_ERROR(engine::validate(params, model.model->config().text.vocab_size));
  return params;
}

}  // namespace gemma4::apps

#include "apps/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <random>

#include "answer/media_reader.h"
#include "apps/option_checks.h"
#include "apps/weight_types.h"
#include "base/check.h"
#include "base/strings.h"

namespace gemma4::apps {
namespace {

CLI::Validator in_range(const engine::Range& range) { return number(range.text, range.holds); }

}  // namespace

void add_model_argument(CLI::App& command, std::string& model) {
  command.add_option("MODEL", model, "Checkpoint folder or GGUF file (default: the demo model)");
}

void add_projector_argument(CLI::App& command, std::string& projector) {
  command.add_option("--mmproj", projector,
                     "Projector file of a GGUF model, or none (default: the one beside the model)");
}

model::ProjectorChoice projector_choice(const std::string& projector) {
  using Kind = model::ProjectorChoice::Kind;
  if (projector.empty()) return {.kind = Kind::kBeside, .path = {}};
  if (projector == "none") return {.kind = Kind::kNone, .path = {}};
  return {.kind = Kind::kFile, .path = projector};
}

void add_system_argument(CLI::App& command, std::string& system) {
  command.add_option("--system", system, "System text")->check(utf8_text());
}

void add_device_arguments(CLI::App& command, DeviceArguments& arguments) {
  command.add_option("--device", arguments.device, "Where to compute: cpu, cuda or auto")
      ->capture_default_str()
      ->check(one_of({"cpu", "cuda", "auto"}));
  command
      .add_option("--activations", arguments.activations,
                  "How products on a card read their input: bf16 (fast) or f32 (exact)")
      ->capture_default_str()
      ->check(one_of({"bf16", "f32"}));
}

void add_quantize_argument(CLI::App& command, std::string& type) {
  command.add_option(
      "--quantize", type,
      "Quantise the weights while loading, as quantize --type would: " + weight_type_names());
}

void add_threads_argument(CLI::App& command, int& threads) {
  command.add_option("--threads", threads, "Threads (default: one per core)")
      ->check(whole_number(1, 1024));
}

void add_kv_type_argument(CLI::App& command, std::string& kv_type,
                          const std::string& default_type) {
  std::vector<std::string> names;
  for (const DType type : kernels::kKvTypes) names.push_back(lower_case(name_of(type)));
  command
      .add_option("--kv-type", kv_type,
                  "Type of the key/value cache: f32, f16, bf16 or q8_0 (default: " + default_type +
                      "; bf16 on a card that computes with --activations bf16)")
      ->check(one_of(std::move(names)));
}

DType kv_type_of(const std::string& name, DType default_type) {
  if (name.empty()) return default_type;
  const auto* const found = std::ranges::find_if(
      kernels::kKvTypes, [&](DType type) { return lower_case(name_of(type)) == name; });
  G4_CHECK(found != std::end(kernels::kKvTypes));
  return *found;
}

void add_engine_arguments(CLI::App& command, EngineArguments& arguments) {
  add_device_arguments(command, arguments.device);
  add_quantize_argument(command, arguments.quantize);
  add_threads_argument(command, arguments.threads);
  command
      .add_option("--ctx", arguments.context,
                  "Context in tokens, prompt and answer together (default: 8192, or what the model "
                  "takes)")
      ->check(whole_number(2));
  add_kv_type_argument(command, arguments.kv_type);
  command.add_flag("--verbose", arguments.verbose, "Say what is going on, on stderr");
}

Result<std::shared_ptr<kernels::Device>> open_device(const DeviceArguments& arguments,
                                                     int num_threads, ThreadPool::Pinning pinning) {
  const std::string& device = arguments.device;
  const kernels::CpuOptions cpu = {.num_threads = num_threads, .pinning = pinning};
  if (device == "cpu") return kernels::open_cpu_device(cpu);
  auto card =
      kernels::open_cuda_device(arguments.activations == "f32" ? kernels::Activations::kFloat32
                                                               : kernels::Activations::kBFloat16);
  if (card.ok()) return card;
  if (device == "auto") return kernels::open_cpu_device(cpu);
  return card.error().with_context("--device " + device);
}

Result<engine::EngineOptions> engine_options(const EngineArguments& arguments,
                                             const model::Model& model) {
  constexpr int64_t kDefaultContext = 8192;
  const int64_t limit = model.config().text.max_position_embeddings;
  if (arguments.context > limit)
    return Error{
        ErrorCode::kInvalidArgument,
        str_cat("--ctx ", arguments.context, ": this model takes up to ", limit, " tokens")};
  engine::EngineOptions options{.kv_type = kv_type_of(arguments.kv_type, model.kv_type())};
  if (model.device() != nullptr) options.chunk_tokens = model.device()->step_tokens();
  options.context_tokens =
      arguments.context > 0 ? arguments.context : std::min(kDefaultContext, limit);
  return options;
}

void make_room_for_pictures(engine::EngineOptions& options, const model::Model& model,
                            int64_t budget) {
  if (!model.config().vision || !model.config().text.bidirectional_vision) return;
  options.chunk_tokens =
      std::max(options.chunk_tokens, budget > 0 ? budget : media::kImageBudgets.back());
}

void add_sampling_arguments(CLI::App& command, SamplingArguments& arguments) {
  command
      .add_option("--max-tokens", arguments.max_tokens,
                  "Most tokens to generate (default: what the context leaves)")
      ->check(whole_number(1));
  command
      .add_option("--temp", arguments.temperature,
                  "Temperature; 0 always takes the most probable token")
      ->check(in_range(engine::kTemperatureRange));
  command.add_option("--top-k", arguments.top_k, "Sample from the K most probable tokens; 0 = off")
      ->check(whole_number(0, std::numeric_limits<int32_t>::max()));
  command
      .add_option("--top-p", arguments.top_p,
                  "Sample from the most probable tokens that reach this mass together; 1 = off")
      ->check(in_range(engine::kTopPRange));
  command
      .add_option("--min-p", arguments.min_p,
                  "Drop tokens below this share of the best one's probability; 0 = off")
      ->check(in_range(engine::kMinPRange));
  command
      .add_option("--repetition-penalty", arguments.repetition_penalty,
                  "Above 1 discourages tokens seen before")
      ->check(in_range(engine::kRepetitionPenaltyRange));
  command
      .add_option("--presence-penalty", arguments.presence_penalty,
                  "Subtracted from logits of tokens generated before")
      ->check(in_range(engine::kPenaltyRange));
  command
      .add_option("--frequency-penalty", arguments.frequency_penalty,
                  "The same, for every time they were generated")
      ->check(in_range(engine::kPenaltyRange));
  command
      .add_option("--seed", arguments.seed,
                  "The same seed gives the same answer (default: a fresh one)")
      ->check(whole_unsigned());
  command.add_option("--stop", arguments.stop, "Stop before this text; may be repeated")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false)
      ->check(utf8_text());
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

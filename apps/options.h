// Command-line options that several commands share, and what they mean for the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/form_options.h"
#include "apps/media_options.h"
#include "apps/model_source.h"
#include "base/result.h"
#include "engine/engine.h"

namespace CLI {
class App;
}

namespace gemma4::apps {

void add_model_argument(CLI::App& command, std::string& model);    // MODEL
void add_system_argument(CLI::App& command, std::string& system);  // --system
// --mmproj: which projector file a GGUF model gets.
void add_projector_argument(CLI::App& command, std::string& projector);
model::ProjectorChoice projector_choice(const std::string& projector);

// --device, --activations
struct DeviceArguments {
  std::string device = "auto";
  std::string activations = "bf16";  // how products on a card read their input: bf16 or f32
};
// --device, --activations, --quantize, --threads, --ctx, --kv-type, --verbose
struct EngineArguments {
  DeviceArguments device;
  std::string quantize;  // empty: weights as they are
  std::string kv_type;   // empty: what suits the model and its device
  int threads = 0;
  int64_t context = 0;  // 0: 8192, or what the model takes if that is less
  bool verbose = false;
};
void add_device_arguments(CLI::App& command, DeviceArguments& arguments);
void add_quantize_argument(CLI::App& command, std::string& type);  // --quantize, for open_model
void add_threads_argument(CLI::App& command, int& threads);
// `default_type`: what an empty kv_type stands for on the CPU, in words
void add_kv_type_argument(CLI::App& command, std::string& kv_type,
                          const std::string& default_type = "f32, with quantised weights f16");
void add_engine_arguments(CLI::App& command, EngineArguments& arguments);
// The type that --kv-type names, or the default if it is empty; the option takes no other names.
DType kv_type_of(const std::string& name, DType default_type);
// The device that --device means; "auto" is the CPU where no card can be used. `num_threads` of the
// CPU, 0 = one per core. Errors: those of opening the device that was asked for by name.
Result<std::shared_ptr<kernels::Device>> open_device(
    const DeviceArguments& arguments, int num_threads,
    ThreadPool::Pinning pinning = ThreadPool::Pinning::kOneCpuEach);
Result<engine::EngineOptions> engine_options(const EngineArguments& arguments,
                                             const model::Model& model);
// Makes steps long enough for pictures of `budget` soft tokens (0: the most), where the model must
// see one as a whole.
void make_room_for_pictures(engine::EngineOptions& options, const model::Model& model,
                            int64_t budget);

// --max-tokens, --temp, --top-k, --top-p, --min-p, --repetition-penalty, --presence-penalty,
// --frequency-penalty, --seed, --stop
struct SamplingArguments {
  int64_t max_tokens = 0;  // 0: as many as the context leaves
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  float min_p = 0;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
};
void add_sampling_arguments(CLI::App& command, SamplingArguments& arguments);
// The checkpoint's defaults with what the user asked for on top. Without --seed a fresh one is
// drawn; chat draws another for every answer. kInvalidArgument for impossible values.
Result<engine::SamplingParams> sampling_params(const SamplingArguments& arguments,
                                               const LoadedModel& model);

// Everything that a conversation is started with.
struct ConversationArguments {
  std::string model;      // empty: the demo model
  std::string projector;  // empty: the one beside a GGUF model
  std::string system;     // empty: none
  bool think = false;
  MediaArguments media;
  AnswerArguments answer;
  EngineArguments engine;
  SamplingArguments sampling;
};

}  // namespace gemma4::apps

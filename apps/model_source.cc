#include "apps/model_source.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "apps/progress.h"
#include "apps/weight_types.h"
#include "base/strings.h"
#include "chat/template_revision.h"
#include "io/gguf_parts.h"
#include "io/mapped_file.h"
#include "json/json.h"
#include "model/gguf_config.h"

namespace gemma4::apps {
namespace {

namespace fs = std::filesystem;

// The demo model: installed beside the program, or in the source tree (build/release/gemma4).
std::vector<std::string> demo_folders() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const fs::path folder = program.parent_path();
  return {folder / "models/demo", folder / "../share/gemma4/models/demo",
          folder / "../../models/demo"};
}

Result<std::string> find_demo() {
  std::string looked;
  for (const std::string& folder : demo_folders()) {
    std::error_code error;
    if (fs::exists(folder + "/config.json", error))
      return fs::path(folder).lexically_normal().string();
    looked += "\n  " + fs::path(folder).lexically_normal().string();
  }
  return Error{
      ErrorCode::kNotFound,
      "the demo model is missing; name a checkpoint folder, or put it in one of:" + looked};
}

// The template inside tokenizer_config.json: a string, or a list of {name, template}. Empty if
// there is none.
std::string template_of(const json::Value& tokenizer_config) {
  const json::Value* found = tokenizer_config.find("chat_template");
  if (found == nullptr) return "";
  if (found->is_string()) return found->as_string();
  if (!found->is_array()) return "";
  for (const json::Value& entry : found->as_array()) {
    const json::Value* name = entry.find("name");
    const json::Value* text = entry.find("template");
    if (name != nullptr && *name == json::Value("default") && text != nullptr && text->is_string())
      return text->as_string();
  }
  return "";
}

}  // namespace

Result<std::string> resolve_model(const std::string& argument) {
  if (argument.empty()) return find_demo();
  std::error_code error;
  const fs::file_status status = fs::status(argument, error);
  if (status.type() == fs::file_type::not_found)
    return Error{ErrorCode::kNotFound, str_cat(argument, ": no such file or folder")};
  if (error) return Error{ErrorCode::kIo, str_cat(argument, ": ", error.message())};
  if (fs::is_directory(status)) {
    if (fs::exists(argument + "/config.json", error)) return argument;
    return Error{ErrorCode::kNotFound,
                 str_cat(argument,
                         ": this folder has no config.json; name the folder of a Gemma 4 "
                         "checkpoint (config.json, tokenizer.json, *.safetensors)")};
  }
  if (io::is_gguf_path(argument)) return argument;
  return Error{ErrorCode::kInvalidArgument,
               str_cat(argument,
                       ": is a file; name a GGUF file (NAME.gguf), or the checkpoint folder that "
                       "holds config.json and the safetensors")};
}

namespace {

// The metadata of the GGUF file `path`, with the map that holds them.
struct GgufMetadata {
  io::MappedFile map;
  io::GgufFile file;
};
Result<GgufMetadata> open_metadata(const std::string& path) {
  const std::string first = io::first_gguf_part(path);
  G4_ASSIGN_OR_RETURN(io::MappedFile map, io::MappedFile::open(first));
  auto file = io::GgufFile::parse(map.bytes());
  if (!file.ok()) return file.error().with_context(first);
  return GgufMetadata{std::move(map), std::move(file).value()};
}

Result<std::string> load_gguf_template(const std::string& path) {
  constexpr const char* kKey = "tokenizer.chat_template";
  G4_ASSIGN_OR_RETURN(const GgufMetadata metadata, open_metadata(path));
  if (metadata.file.find(kKey) == nullptr) return std::string();
  const auto text = metadata.file.get_string(kKey);
  if (!text.ok()) return text.error().with_context(path);
  return std::string(text.value());
}

}  // namespace

Result<model::GenerationDefaults> load_generation_defaults(const std::string& model) {
  if (io::is_gguf_path(model)) {
    G4_ASSIGN_OR_RETURN(const GgufMetadata metadata, open_metadata(model));
    auto defaults = model::read_gguf_generation(metadata.file);
    if (!defaults.ok()) return defaults.error().with_context(model);
    return defaults;
  }
  const std::string path = model + "/generation_config.json";
  const auto json = io::read_file(path, 1 << 20);
  if (!json.ok() && json.error().code == ErrorCode::kNotFound) return model::GenerationDefaults{};
  if (!json.ok()) return json.error();
  auto defaults = model::parse_generation_config(json.value());
  if (!defaults.ok()) return defaults.error().with_context(path);
  return defaults;
}

Result<std::string> load_template(const std::string& model) {
  constexpr size_t kMaxBytes = 16 << 20;
  if (io::is_gguf_path(model)) return load_gguf_template(model);
  auto jinja = io::read_file(model + "/chat_template.jinja", kMaxBytes);
  if (jinja.ok() || jinja.error().code != ErrorCode::kNotFound) return jinja;

  const std::string path = model + "/tokenizer_config.json";
  const auto config = io::read_file(path, kMaxBytes);
  if (!config.ok() && config.error().code == ErrorCode::kNotFound) return std::string();
  if (!config.ok()) return config.error();
  const auto parsed = json::parse(config.value());
  if (!parsed.ok()) return parsed.error().with_context(path);
  return template_of(parsed.value());
}

std::string load_template_note(const std::string& model) {
  const auto text = load_template(model);
  if (!text.ok())
    return str_cat("the checkpoint's chat template cannot be read: ", text.error().message);
  return text.value().empty() ? "" : chat::template_note(chat::recognise_template(text.value()));
}

Result<text::Tokenizer> load_tokenizer(const std::string& model) {
  if (io::is_gguf_path(model)) return text::Tokenizer::load(io::first_gguf_part(model));
  const std::string path = model + "/tokenizer.json";
  std::error_code error;
  if (!fs::exists(path, error))
    return Error{ErrorCode::kNotFound,
                 path + ": no such file; it belongs to the checkpoint, fetch it from there"};
  return text::Tokenizer::load(path);
}

Result<model::Model> open_model(const std::string& path, std::shared_ptr<kernels::Device> device,
                                const ModelChoice& choice) {
  if (choice.quantize.empty())
    return model::Model::load(path, std::move(device), {.projector = choice.projector});
  G4_ASSIGN_OR_RETURN(WeightTypes types,
                      WeightTypes::parse({.type = choice.quantize}, "--quantize"));
  std::optional<DType> blocks;  // that the file has
  std::optional<Progress> progress;
  const model::WeightConversion conversion = {
      .type_of =
          [&](const model::GgufTensorEntry& tensor, DType stored) {
            if (!blocks && is_block_dtype(stored)) blocks = stored;
            return types.choose(tensor, stored);
          },
      .progress =
          [&](uint64_t done, uint64_t total) {
            if (!progress) progress.emplace("quantising", total, Progress::Unit::kCount);
            progress->update(done);
          }};
  auto model = model::Model::load(path, std::move(device),
                                  {.projector = choice.projector, .conversion = &conversion});
  progress.reset();
  if (!model.ok()) return model;
  if (blocks) note_requantisation(*blocks);
  types.note_misfits();
  return model;
}

Result<LoadedModel> load_model(const std::string& argument, std::shared_ptr<kernels::Device> device,
                               const ModelChoice& choice) {
  LoadedModel loaded;
  G4_ASSIGN_OR_RETURN(loaded.path, resolve_model(argument));
  G4_ASSIGN_OR_RETURN(model::Model model, open_model(loaded.path, std::move(device), choice));
  loaded.model = std::make_shared<const model::Model>(std::move(model));
  G4_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, load_tokenizer(loaded.path));
  G4_ASSIGN_OR_RETURN(loaded.generation, load_generation_defaults(loaded.path));
  loaded.template_note = load_template_note(loaded.path);

  const int64_t vocab_size = loaded.model->config().text.vocab_size;
  if (tokenizer.vocab_size() > vocab_size)
    return Error{ErrorCode::kInvalidData,
                 str_cat(loaded.path, ": the tokenizer has ", tokenizer.vocab_size(),
                         " tokens, the model has ", vocab_size, "; they do not belong together")};
  loaded.stop_token_ids = loaded.generation.eos_token_ids;
  const auto& config_stops = loaded.model->config().eos_token_ids;
  loaded.stop_token_ids.insert(loaded.stop_token_ids.end(), config_stops.begin(),
                               config_stops.end());
  for (const char* marker : {"<eos>", "<turn|>", "<|tool_response>"})
    if (const auto id = tokenizer.id_of(marker)) loaded.stop_token_ids.push_back(*id);
  std::erase_if(loaded.stop_token_ids, [&](int32_t id) { return id >= vocab_size; });
  loaded.tokenizer = std::make_shared<const text::Tokenizer>(std::move(tokenizer));
  return loaded;
}

}  // namespace gemma4::apps

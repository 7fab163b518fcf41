// gemma4 convert and gemma4 quantize: write a model or a drafter as a GGUF file, its weights as
// they are or in another type, and the vision and audio towers of a folder as a second file.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/gguf_output.h"
#include "apps/model_source.h"
#include "apps/options.h"
#include "apps/projector_output.h"
#include "apps/weight_types.h"
#include "base/strings.h"
#include "io/gguf_parts.h"
#include "io/mapped_file.h"
#include "model/drafter_file.h"
#include "model/gguf_export.h"
#include "model/tensor_list.h"
#include "text/gguf_vocabulary.h"

namespace gemma4::apps {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string model;
  std::string out;
  // quantize only
  WeightTypeArguments types;
  std::string imatrix;
  ProjectorArguments projector;
  bool synthetic_vocabulary = false;
  int threads = 0;
};

struct VocabularyArguments {
  bool synthetic = false;  // made up, instead of the folder's
  int64_t size = 0;
  std::vector<int32_t> placeholders;
};

// What a folder's files say about the tokenizer, the chat format and sampling.
Status add_folder_vocabulary(const std::string& folder, const VocabularyArguments& vocabulary,
                             io::GgufHeader& header) {
  std::error_code error;
  if (fs::exists(folder + "/generation_config.json", error)) {
    G4_ASSIGN_OR_RETURN(const auto generation, load_generation_defaults(folder));
    model::add_gguf_generation(generation, header);
  }
  if (vocabulary.synthetic)
    return text::add_synthetic_vocabulary(vocabulary.size, vocabulary.placeholders, header);
  const std::string path = folder + "/tokenizer.json";
  auto json = io::read_file(path);
  if (!json.ok() && json.error().code == ErrorCode::kNotFound)
    return Error{ErrorCode::kNotFound,
                 path +
                     ": no such file; fetch it from where the checkpoint is, or write a made-up "
                     "vocabulary with --synthetic-vocabulary"};
  G4_RETURN_IF_ERROR(json.ok() ? Status() : Status(json.error()));
  const Status status = text::add_gguf_vocabulary(json.value(), vocabulary.size, header);
  if (!status.ok()) return status.error().with_context(path);
  G4_ASSIGN_OR_RETURN(const std::string chat_template, load_template(folder));
  if (!chat_template.empty()) header.add("tokenizer.chat_template", chat_template);
  return {};
}

std::string name_of_model(const std::string& path) {
  return fs::path(path).lexically_normal().filename().string();
}

Status add_folder_metadata(const std::string& folder, const char* architecture,
                           const VocabularyArguments& vocabulary,
                           const std::function<Status(io::GgufHeader&)>& add_config,
                           io::GgufHeader& header) {
  header.add("general.architecture", architecture);
  header.add("general.type", "model");
  header.add("general.name", name_of_model(folder));
  if (const Status status = add_config(header); !status.ok())
    return status.error().with_context(folder + "/config.json");
  return add_folder_vocabulary(folder, vocabulary, header);
}

// Of another GGUF file, all that stays true.
Status copy_metadata(const std::string& path, bool keep_file_type, io::GgufHeader& header) {
  G4_ASSIGN_OR_RETURN(const io::MappedFile map, io::MappedFile::open(io::first_gguf_part(path)));
  G4_ASSIGN_OR_RETURN(const io::GgufFile file, io::GgufFile::parse(map.bytes()));
  for (const auto& [key, value] : file.metadata()) {
    const bool is_file_type = key == "general.file_type";
    if (key.starts_with("split.") || key == "general.alignment" ||
        key == "general.quantization_version" ||
        ((is_file_type || is_importance_key(key)) && !keep_file_type))
      continue;
    header.add(key, value);
  }
  return {};
}

void note_blocks(const std::vector<model::GgufTensorEntry>& tensors, const WeightSource& weights) {
  for (const auto& tensor : tensors)
    if (const DType type = weights.stored_type(tensor); is_block_dtype(type))
      return note_requantisation(type);
}

Status write_model(const Arguments& arguments, const std::string& path, GgufOutput output,
                   WeightTypes types) {
  G4_ASSIGN_OR_RETURN(const model::Model model,
                      model::Model::load(path, nullptr, {.projector = projector_choice("none")}));
  const model::Config& config = model.config();
  const StoredWeights weights(model.store());
  std::unique_ptr<ProjectorFile> projector;
  if (io::is_gguf_path(path)) {
    G4_RETURN_IF_ERROR(copy_metadata(path, output.keeps_file_type, output.metadata));
  } else {
    G4_RETURN_IF_ERROR(add_folder_metadata(
        path, "gemma4",
        {arguments.synthetic_vocabulary, config.text.vocab_size, config.placeholder_token_ids},
        [&](io::GgufHeader& header) { return model::add_gguf_config(config, header); },
        output.metadata));
    if (!arguments.projector.leave_out)
      if (const Status status = model::check_towers(config, model.store()); !status.ok())
        return Error{status.error().code,
                     str_cat(path, ": ", status.error().message,
                             "; leave the vision and audio towers out with --no-mmproj")};
    G4_ASSIGN_OR_RETURN(projector,
                        ProjectorFile::write(output.path, {config, weights, name_of_model(path)},
                                             arguments.projector));
  }
  output.tensors = model::gguf_tensors(config, model.text_prefix());
  output.rope_divisors = model::rope_divisors(config.text);
  if (!output.keeps_file_type) note_blocks(output.tensors, weights);
  G4_RETURN_IF_ERROR(write_gguf(std::move(output), weights, std::move(types)));
  if (projector != nullptr) projector->keep();
  return {};
}

Status write_drafter(const Arguments& arguments, const std::string& path, GgufOutput output,
                     WeightTypes types) {
  G4_ASSIGN_OR_RETURN(const model::Drafter drafter, model::open_drafter(path));
  const model::DrafterConfig& config = drafter.config;
  if (io::is_gguf_path(path)) {
    G4_RETURN_IF_ERROR(copy_metadata(path, output.keeps_file_type, output.metadata));
  } else {
    G4_RETURN_IF_ERROR(add_folder_metadata(
        path, "gemma4-assistant", {arguments.synthetic_vocabulary, config.text.vocab_size, {}},
        [&](io::GgufHeader& header) { return model::add_gguf_drafter_config(config, header); },
        output.metadata));
  }
  output.tensors = model::gguf_drafter_tensors(config);
  output.rope_divisors = model::rope_divisors(config.text);
  const StoredWeights weights(drafter.store);
  if (!output.keeps_file_type) note_blocks(output.tensors, weights);
  return write_gguf(std::move(output), weights, std::move(types));
}

Status write(const Arguments& arguments, WeightTypes types, bool quantizes) {
  if (!io::is_gguf_path(arguments.out))
    return Error{ErrorCode::kInvalidArgument, arguments.out + ": the name must end in .gguf"};
  GgufOutput output;
  G4_ASSIGN_OR_RETURN(output.path, new_output_path(arguments.out));
  output.threads = arguments.threads;
  if (!arguments.imatrix.empty()) {
    G4_ASSIGN_OR_RETURN(output.importance, WeightImportance::load(arguments.imatrix));
  }
  G4_ASSIGN_OR_RETURN(const std::string path, resolve_model(arguments.model));
  output.keeps_file_type = !quantizes && io::is_gguf_path(path);
  if (model::checkpoint_kind(path) == model::CheckpointKind::kDrafter)
    return write_drafter(arguments, path, std::move(output), std::move(types));
  return write_model(arguments, path, std::move(output), std::move(types));
}

Status run_quantize(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(WeightTypes types, WeightTypes::parse(arguments.types));
  return write(arguments, std::move(types), true);
}

void add_arguments(CLI::App& command, Arguments& arguments) {
  command
      .add_option("MODEL", arguments.model,
                  "Checkpoint folder or GGUF file of a model or a drafter")
      ->required();
  command.add_option("OUT", arguments.out, "GGUF file to write")->required();
  command.add_flag("--synthetic-vocabulary", arguments.synthetic_vocabulary,
                   "Write a made-up vocabulary instead of the folder's tokenizer.json");
  add_projector_output_arguments(command, arguments.projector);
  add_threads_argument(command, arguments.threads);
}

}  // namespace

Command add_convert(CLI::App& app) {
  auto* command =
      app.add_subcommand("convert", "Write a model as a GGUF file, its weights as they are");
  auto arguments = std::make_shared<Arguments>();
  add_arguments(*command, *arguments);
  return [arguments] { return exit_code(write(*arguments, WeightTypes(), false)); };
}

Command add_quantize(CLI::App& app) {
  auto* command =
      app.add_subcommand("quantize", "Write a model as a GGUF file with smaller weights");
  auto arguments = std::make_shared<Arguments>();
  add_arguments(*command, *arguments);
  add_weight_type_arguments(*command, arguments->types);
  command->get_option("--type")->required();
  command->add_option("--imatrix", arguments->imatrix,
                      "Importance matrix, as eval --collect-imatrix writes it: errors of columns "
                      "with large inputs count more");
  return [arguments] { return exit_code(run_quantize(*arguments)); };
}

}  // namespace gemma4::apps

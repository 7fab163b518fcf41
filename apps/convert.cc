// gemma4 convert and gemma4 quantize: write a model as a GGUF file, its weights as they are or in
// another type.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/gguf_output.h"
#include "apps/model_source.h"
#include "apps/options.h"
#include "apps/weight_types.h"
#include "base/strings.h"
#include "io/gguf_parts.h"
#include "io/mapped_file.h"
#include "model/gguf_export.h"
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
  bool synthetic_vocabulary = false;
  int threads = 0;
};

void note(const std::string& text) { std::fprintf(stderr, "gemma4: note: %s\n", text.c_str()); }

// Of a folder, what its files say.
Status add_folder_metadata(const std::string& folder, const model::Config& config,
                           bool synthetic_vocabulary, io::GgufHeader& header) {
  header.add("general.architecture", "gemma4");
  header.add("general.type", "model");
  header.add("general.name", fs::path(folder).lexically_normal().filename().string());
  if (const Status status = model::add_gguf_config(config, header); !status.ok())
    return status.error().with_context(folder + "/config.json");

  std::error_code error;
  if (fs::exists(folder + "/generation_config.json", error)) {
    G4_ASSIGN_OR_RETURN(const auto generation, load_generation_defaults(folder));
    model::add_gguf_generation(generation, header);
  }
  const int64_t vocab_size = config.text.vocab_size;
  if (synthetic_vocabulary)
    return text::add_synthetic_vocabulary(vocab_size, config.placeholder_token_ids, header);
  const std::string path = folder + "/tokenizer.json";
  auto json = io::read_file(path);
  if (!json.ok() && json.error().code == ErrorCode::kNotFound)
    return Error{ErrorCode::kNotFound,
                 path +
                     ": no such file; fetch it from where the checkpoint is, or write a made-up "
                     "vocabulary with --synthetic-vocabulary"};
  G4_RETURN_IF_ERROR(json.ok() ? Status() : Status(json.error()));
  const Status status = text::add_gguf_vocabulary(json.value(), vocab_size, header);
  if (!status.ok()) return status.error().with_context(path);
  G4_ASSIGN_OR_RETURN(const std::string chat_template, load_template(folder));
  if (!chat_template.empty()) header.add("tokenizer.chat_template", chat_template);
  return {};
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

Status write(const Arguments& arguments, WeightTypes types, bool quantizes) {
  if (!io::is_gguf_path(arguments.out))
    return Error{ErrorCode::kInvalidArgument, arguments.out + ": the name must end in .gguf"};
  GgufOutput output;
  G4_ASSIGN_OR_RETURN(output.path, new_output_path(arguments.out));
  G4_ASSIGN_OR_RETURN(const std::string path, resolve_model(arguments.model));
  G4_ASSIGN_OR_RETURN(const model::Model model, model::Model::load(path));
  const model::Config& config = model.config();
  if (io::is_gguf_path(path)) {
    output.keeps_file_type = !quantizes;
    G4_RETURN_IF_ERROR(copy_metadata(path, output.keeps_file_type, output.metadata));
  } else {
    G4_RETURN_IF_ERROR(
        add_folder_metadata(path, config, arguments.synthetic_vocabulary, output.metadata));
  }

  output.tensors = model::gguf_tensors(config, model.text_prefix());
  output.rope_divisors = model::rope_divisors(config.text);
  output.threads = arguments.threads;
  const ModelWeights weights(model);
  if (!arguments.imatrix.empty()) {
    G4_ASSIGN_OR_RETURN(output.importance, WeightImportance::load(arguments.imatrix));
  }
  if (quantizes) note_blocks(output.tensors, weights);
  G4_RETURN_IF_ERROR(write_gguf(std::move(output), weights, std::move(types)));
  if (config.vision || config.audio)
    note("only the text model is in the file; its vision and audio parts were left out");
  return {};
}

Status run_quantize(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(WeightTypes types, WeightTypes::parse(arguments.types));
  return write(arguments, std::move(types), true);
}

void add_arguments(CLI::App& command, Arguments& arguments) {
  command.add_option("MODEL", arguments.model, "Checkpoint folder or GGUF file")->required();
  command.add_option("OUT", arguments.out, "GGUF file to write")->required();
  command.add_flag("--synthetic-vocabulary", arguments.synthetic_vocabulary,
                   "Write a made-up vocabulary instead of the folder's tokenizer.json");
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

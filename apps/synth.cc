// gemma4 synth: writes a checkpoint whose weights follow from a formula (model/formula_weights.h).

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "apps/commands.h"
#include "apps/gguf_output.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/progress.h"
#include "apps/projector_output.h"
#include "apps/weight_types.h"
#include "base/strings.h"
#include "base/thread_pool.h"
#include "io/atomic_file.h"
#include "io/gguf_parts.h"
#include "io/safetensors.h"
#include "model/config.h"
#include "model/formula_weights.h"
#include "model/gguf_export.h"
#include "model/tensor_list.h"
#include "text/gguf_vocabulary.h"

namespace gemma4::apps {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string config;
  std::string out;
  WeightTypeArguments types{.type = "bf16", .head = {}, .per_layer_table = {}, .tensors = {}};
  bool text_only = false;
  int threads = 0;
};

constexpr size_t kPiece = 8 << 20;  // elements computed, then written

std::vector<io::SafetensorsWriter::Entry> list_tensors(const model::Config& config,
                                                       bool text_only) {
  model::TextWeights weights;
  std::vector<model::TensorEntry> tensors =
      model::text_tensors(config, model::default_text_prefix(config), weights);
  if (!text_only) std::ranges::move(model::tower_tensors(config), std::back_inserter(tensors));
  std::vector<io::SafetensorsWriter::Entry> entries;
  for (const model::TensorEntry& tensor : tensors)
    entries.push_back({tensor.name, DType::kBF16, tensor.shape});
  return entries;
}

uint64_t element_count(const io::SafetensorsWriter::Entry& entry) {
  uint64_t count = 1;
  for (const int64_t dim : entry.shape) count *= static_cast<uint64_t>(dim);
  return count;
}

uint64_t total_bytes(const std::vector<io::SafetensorsWriter::Entry>& entries) {
  uint64_t total = 0;
  for (const auto& entry : entries) total += sizeof(uint16_t) * element_count(entry);
  return total;
}

Error cancelled() { return {ErrorCode::kCancelled, "interrupted; nothing was written"}; }

Status write_tensors(const std::string& path,
                     const std::vector<io::SafetensorsWriter::Entry>& entries, int threads,
                     const InterruptGuard& interrupt) {
  const uint64_t total = total_bytes(entries);
  Progress progress("writing", total, Progress::Unit::kBytes);
  ThreadPool pool(threads > 0 ? threads : ThreadPool::available_cores());
  G4_ASSIGN_OR_RETURN(io::SafetensorsWriter writer, io::SafetensorsWriter::create(path, entries));
  std::vector<uint16_t> piece(kPiece);
  uint64_t done = 0;
  for (const auto& entry : entries) {
    const uint64_t count = element_count(entry);
    for (uint64_t begin = 0; begin < count; begin += kPiece) {
      const auto size = static_cast<size_t>(std::min<uint64_t>(kPiece, count - begin));
      pool.parallel_for(static_cast<int64_t>(size), 1 << 16, [&](int64_t from, int64_t to) {
        model::formula_bf16(
            entry.name, entry.shape, begin + static_cast<uint64_t>(from),
            std::span(piece).subspan(static_cast<size_t>(from), static_cast<size_t>(to - from)));
      });
      G4_RETURN_IF_ERROR(writer.write(std::as_bytes(std::span(piece).first(size))));
      progress.update(done += 2 * size);
      if (interrupt.interrupted()) return cancelled();
    }
  }
  return writer.commit();
}

// Fills the folder `out`, which is `partial` until all is written.
Status write_folder(const Arguments& arguments, const std::string& json,
                    const std::vector<io::SafetensorsWriter::Entry>& entries,
                    const std::string& partial, const std::string& out) {
  const InterruptGuard interrupt;
  G4_RETURN_IF_ERROR(io::make_folder(partial));
  G4_RETURN_IF_ERROR(
      write_tensors(partial + "/model.safetensors", entries, arguments.threads, interrupt));
  G4_ASSIGN_OR_RETURN(io::AtomicFile file, io::AtomicFile::create(partial + "/config.json"));
  G4_RETURN_IF_ERROR(file.write(json));
  G4_RETURN_IF_ERROR(file.commit());
  if (interrupt.interrupted()) return cancelled();
  std::error_code error;
  fs::rename(partial, out, error);
  if (error)
    return Error{ErrorCode::kIo,
                 str_cat("cannot write ", out, ": ", error.message(), "; nothing was written")};
  return {};
}

// The formula's values in any type.
class FormulaWeights : public WeightSource {
 public:
  DType stored_type(const model::GgufTensorEntry& /*tensor*/) const override {
    return DType::kBF16;
  }
  std::span<const std::byte> stored_rows(const model::GgufTensorEntry& /*tensor*/,
                                         int64_t /*begin*/, int64_t /*count*/) const override {
    return {};
  }
  void read_rows(const model::GgufTensorEntry& tensor, int64_t begin, int64_t count,
                 float* out) const override {
    const int64_t cols = tensor.shape.back();
    std::vector<uint16_t> values(static_cast<size_t>(count * cols));
    model::formula_bf16(tensor.checkpoint_name, tensor.shape, static_cast<uint64_t>(begin * cols),
                        values);
    std::ranges::transform(values, out, bf16_to_f32);
  }
};

Status write_gguf_file(const Arguments& arguments, const model::Config& config,
                       const std::string& out) {
  G4_ASSIGN_OR_RETURN(WeightTypes types, WeightTypes::parse(arguments.types));
  GgufOutput output{.path = out, .metadata = {}, .tensors = {}, .rope_divisors = {}};
  io::GgufHeader& metadata = output.metadata;
  metadata.add("general.architecture", "gemma4");
  metadata.add("general.type", "model");
  const std::string name = fs::path(arguments.config).stem().string() + ", formula weights";
  metadata.add("general.name", name);
  G4_RETURN_IF_ERROR(model::add_gguf_config(config, metadata));
  G4_RETURN_IF_ERROR(text::add_synthetic_vocabulary(config.text.vocab_size,
                                                    config.placeholder_token_ids, metadata));
  output.tensors = model::gguf_tensors(config, model::default_text_prefix(config));
  output.rope_divisors = model::rope_divisors(config.text);
  output.threads = arguments.threads;
  const FormulaWeights weights{};
  const ProjectorArguments projector{.leave_out = arguments.text_only, .type = {}};
  G4_ASSIGN_OR_RETURN(const auto towers,
                      ProjectorFile::write(out, {config, weights, name}, projector));
  G4_RETURN_IF_ERROR(write_gguf(std::move(output), weights, std::move(types)));
  if (towers != nullptr) towers->keep();
  return {};
}

// Writes into a folder beside OUT that is renamed at the end, and removed if anything goes wrong.
Status write_checkpoint(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::string json, io::read_file(arguments.config, 16 << 20));
  const auto config = model::parse_config(json);
  if (!config.ok()) return config.error().with_context(arguments.config);

  G4_ASSIGN_OR_RETURN(const std::string out, new_output_path(arguments.out));
  if (io::is_gguf_path(out)) return write_gguf_file(arguments, config.value(), out);
  if (arguments.types.type != "bf16")
    return Error{ErrorCode::kUnsupported,
                 str_cat("--type ", arguments.types.type,
                         ": checkpoint folders are bf16; name a GGUF file (OUT.gguf)")};
  const std::string partial = str_cat(out, ".partial-", getpid());
  const auto entries = list_tensors(config.value(), arguments.text_only);
  Status status = write_folder(arguments, json, entries, partial, out);
  if (!status.ok()) {
    std::error_code error;
    fs::remove_all(partial, error);
    return status;
  }
  std::printf("%s: %zu tensors, %s\n", out.c_str(), entries.size(),
              human_bytes(total_bytes(entries)).c_str());
  return {};
}

}  // namespace

Command add_synth(CLI::App& app) {
  auto* command =
      app.add_subcommand("synth", "Write a checkpoint of any size with weights from a formula");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("CONFIG", arguments->config, "config.json of the model to make")->required();
  command->add_option("OUT", arguments->out, "Folder to create, or GGUF file (OUT.gguf)")
      ->required();
  add_weight_type_arguments(*command, arguments->types);
  command->add_flag("--text-only", arguments->text_only, "Leave the vision and audio towers out");
  add_threads_argument(*command, arguments->threads);
  return [arguments] { return exit_code(write_checkpoint(*arguments)); };
}

}  // namespace gemma4::apps

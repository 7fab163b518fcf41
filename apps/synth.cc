// gemma4 synth: writes a checkpoint whose weights follow from a formula (model/formula_weights.h).

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/progress.h"
#include "base/strings.h"
#include "base/thread_pool.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "model/config.h"
#include "model/formula_weights.h"
#include "model/tensor_list.h"

namespace gemma4::apps {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string config;
  std::string out;
  std::string type = "bf16";
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
  ThreadPool pool(threads > 0 ? threads : ThreadPool::available_cpus());
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

// Writes into a folder beside OUT that is renamed at the end, and removed if anything goes wrong.
Status write_checkpoint(const Arguments& arguments) {
  if (arguments.type != "bf16")
    return Error{ErrorCode::kUnsupported,
                 str_cat("--type ", arguments.type, ": only bf16 is supported yet")};
  G4_ASSIGN_OR_RETURN(const std::string json, io::read_file(arguments.config, 16 << 20));
  const auto config = model::parse_config(json);
  if (!config.ok()) return config.error().with_context(arguments.config);

  std::string out = arguments.out;
  while (out.size() > 1 && out.ends_with('/')) out.pop_back();
  std::error_code error;
  if (fs::exists(fs::symlink_status(out, error)))
    return Error{ErrorCode::kInvalidArgument,
                 out + ": exists already; remove it or choose another name"};
  const fs::path parent = fs::path(out).parent_path();
  if (!parent.empty() && !fs::is_directory(parent, error))
    return Error{ErrorCode::kNotFound,
                 str_cat(out, ": there is no folder ", parent.string(), "; create it first")};

  const std::string partial = str_cat(out, ".partial-", getpid());
  const auto entries = list_tensors(config.value(), arguments.text_only);
  Status status = write_folder(arguments, json, entries, partial, out);
  if (!status.ok()) {
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
  command->add_option("OUT", arguments->out, "Folder to create")->required();
  command->add_option("--type", arguments->type, "Type of the weights: bf16")
      ->capture_default_str();
  command->add_flag("--text-only", arguments->text_only, "Leave the vision and audio towers out");
  add_threads_argument(*command, arguments->threads);
  return [arguments] { return exit_code(write_checkpoint(*arguments)); };
}

}  // namespace gemma4::apps

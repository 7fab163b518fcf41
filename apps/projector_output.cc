#include "apps/projector_output.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "apps/interrupt.h"
#include "apps/progress.h"
#include "apps/weight_types.h"
#include "base/strings.h"
#include "model/projector_config.h"
#include "model/projector_search.h"
#include "model/projector_tensors.h"
#include "model/tower_change.h"
#include "quant/quantize.h"

namespace gemma4::apps {
namespace {

namespace fs = std::filesystem;
using model::ProjectorTensor;
using model::TowerChange;

struct Item {
  ProjectorTensor tensor;
  DType type;
};

// Nothing for no name: the matrices keep their type.
Result<std::optional<DType>> parse_type(const std::string& name) {
  if (name.empty()) return std::optional<DType>();
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::string lower(name_of(type));
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (name == lower) return std::optional<DType>(type);
  }
  return Error{ErrorCode::kInvalidArgument,
               str_cat("--mmproj-type: ", quote(name), " is none of f32, f16, bf16")};
}

DType choose_type(const ProjectorTensor& tensor, DType matrices) {
  if (!tensor.is_matrix) return DType::kF32;
  if (tensor.is_patch_kernel && matrices != DType::kF16) return DType::kF32;
  return matrices;
}

model::GgufTensorEntry checkpoint_entry(const ProjectorTensor& tensor) {
  return {.name = tensor.name,
          .checkpoint_name = tensor.checkpoint_name,
          .shape = tensor.shape.empty() ? std::vector<int64_t>{1} : tensor.shape};
}

// The tensor's bytes as they stand in the file.
std::vector<std::byte> file_bytes(const Item& item, const WeightSource& source) {
  const model::GgufTensorEntry entry = checkpoint_entry(item.tensor);
  const int64_t cols = entry.shape.back();
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < entry.shape.size(); ++i) rows *= entry.shape[i];
  std::vector<float> values(static_cast<size_t>(rows * cols));
  source.read_rows(entry, 0, rows, values.data());
  if (item.tensor.change == TowerChange::kSoftplus)
    std::ranges::transform(values, values.begin(), model::softplus);
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(item.type, rows * cols)));
  quant::quantize_row(item.type, values.data(), rows * cols, nullptr, bytes.data());
  if (item.tensor.change != TowerChange::kPixelOrder &&
      item.tensor.change != TowerChange::kSwapAxes)
    return bytes;
  return to_file_order(item.tensor.change, entry.shape, bytes,
                       static_cast<size_t>(size_of(item.type)));
}

// What general.file_type calls files by their matrices.
uint32_t file_type(DType matrices) {
  return matrices == DType::kF32 ? 0 : matrices == DType::kF16 ? 1 : 32;
}

io::GgufHeader make_header(const ProjectorFile::Content& content, DType matrices,
                           const std::vector<Item>& items) {
  io::GgufHeader header;
  header.add("general.architecture", "clip");
  header.add("general.type", "mmproj");
  header.add("general.name", content.name);
  header.add("general.file_type", file_type(matrices));
  header.add("general.quantization_version", 2u);
  model::add_projector_config(content.config, header);
  for (const Item& item : items)
    header.add_tensor(item.tensor.name, item.tensor.file_shape, item.type);
  return header;
}

std::string summarise(const std::string& path, const std::vector<Item>& items, uint64_t bytes) {
  std::map<std::string, int> counts;
  for (const Item& item : items) ++counts[std::string(name_of(item.type))];
  std::string types;
  for (const auto& [type, count] : counts)
    types += (types.empty() ? "" : ", ") + str_cat(count, " ", type);
  return str_cat(path, ": ", items.size(), " tensors (", types, "), ", human_bytes(bytes));
}

Status write_items(const std::string& path, const io::GgufHeader& header,
                   const std::vector<Item>& items, const WeightSource& source) {
  const InterruptGuard interrupt;
  Progress progress("writing", header.tensor_bytes(), Progress::Unit::kBytes);
  G4_ASSIGN_OR_RETURN(io::GgufWriter writer, io::GgufWriter::create(path, header));
  uint64_t done = 0;
  for (const Item& item : items) {
    const std::vector<std::byte> bytes = file_bytes(item, source);
    G4_RETURN_IF_ERROR(writer.write(bytes));
    progress.update(done += bytes.size());
    if (interrupt.interrupted())
      return Error{ErrorCode::kCancelled, "interrupted; nothing was written"};
  }
  return writer.commit();
}

}  // namespace

void add_projector_output_arguments(CLI::App& command, ProjectorArguments& arguments) {
  auto* leave_out =
      command.add_flag("--no-mmproj", arguments.leave_out, "Leave the vision and audio towers out");
  command
      .add_option("--mmproj-type", arguments.type,
                  "Type of the towers' matrices: f32, f16, bf16 (default: as they are)")
      ->excludes(leave_out);
}

Result<std::unique_ptr<ProjectorFile>> ProjectorFile::write(const std::string& model_path,
                                                            const Content& content,
                                                            const ProjectorArguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::optional<DType> type, parse_type(arguments.type));
  const std::vector<ProjectorTensor> tensors = model::projector_tensors(content.config);
  if (arguments.leave_out || tensors.empty()) return std::unique_ptr<ProjectorFile>();
  G4_ASSIGN_OR_RETURN(const std::string path,
                      new_output_path(model::projector_path_of(model_path)));
  const auto any = std::ranges::find_if(
      tensors, [](const auto& tensor) { return tensor.is_matrix && !tensor.is_patch_kernel; });
  const DType stored = content.source.stored_type(checkpoint_entry(*any));
  std::vector<Item> items;
  for (const ProjectorTensor& tensor : tensors)
    items.push_back({tensor, choose_type(tensor, type.value_or(stored))});
  const io::GgufHeader header = make_header(content, type.value_or(stored), items);
  G4_RETURN_IF_ERROR(write_items(path, header, items, content.source));
  return std::unique_ptr<ProjectorFile>(
      new ProjectorFile(path, summarise(path, items, header.tensor_bytes())));
}

void ProjectorFile::keep() {
  path_.clear();
  std::printf("%s\n", summary_.c_str());
}

ProjectorFile::~ProjectorFile() {
  std::error_code error;
  if (!path_.empty()) fs::remove(path_, error);
}

}  // namespace gemma4::apps

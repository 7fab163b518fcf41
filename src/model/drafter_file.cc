#include "model/drafter_file.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "io/gguf_parts.h"
#include "model/gguf_config.h"
#include "model/gguf_export.h"
#include "model/gguf_names.h"

namespace gemma4::model {
namespace {

constexpr size_t kMaxConfigBytes = 16 << 20;

Error invalid(std::string_view tensor, const std::string& problem) {
  return {ErrorCode::kInvalidData, str_cat("tensor ", quote(tensor, 100), " ", problem)};
}

// Names of files that were made before other engines settled theirs.
struct Alias {
  std::string_view name;
  std::string_view old;
};
constexpr std::array kAliases = {
    Alias{"nextn.pre_projection.weight", "mtp.pre_projection.weight"},
    Alias{"nextn.post_projection.weight", "mtp.post_projection.weight"},
    Alias{kDrafterCentroids, kOldDrafterCentroids},
    Alias{"masked_embd_ordering", "mtp.token_ordering.weight"},
};

// The name that the file has for `name`.
std::string_view name_in_file(const io::GgufParts& parts, std::string_view name) {
  const auto alias = std::ranges::find(kAliases, name, &Alias::name);
  const bool is_old = alias != kAliases.end() && parts.find_tensor(name) == nullptr &&
                      parts.find_tensor(alias->old) != nullptr;
  return is_old ? alias->old : name;
}

// Keys and values, which some files carry although nothing reads them.
bool is_inert(std::string_view name) {
  return name.ends_with(".attn_k.weight") || name.ends_with(".attn_v.weight") ||
         name.ends_with(".attn_k_norm.weight") || name.ends_with(".input_scale");
}

Status check_ids(std::string_view name, const io::Tensor& tensor, int64_t vocab_size) {
  if (tensor.dtype != DType::kI32 && tensor.dtype != DType::kI64)
    return invalid(name, str_cat("has type ", name_of(tensor.dtype), ", expected I32 or I64"));
  G4_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, io::read_integers(tensor));
  for (const int64_t id : ids)
    if (id < 0 || id >= vocab_size)
      return invalid(name, str_cat("holds ", id, ", which is no token of the ", vocab_size));
  return {};
}

// `name` is what the file calls the tensor.
Status check_tensor(std::string_view name, const GgufTensorEntry& entry, const io::Tensor& tensor,
                    const DrafterConfig& config) {
  if (tensor.shape != entry.shape)
    return invalid(name, str_cat("has shape ", io::shape_string(tensor.shape),
                                 ", the configuration needs ", io::shape_string(entry.shape)));
  if (entry.is_ids) return check_ids(name, tensor, config.text.vocab_size);
  if (entry.is_matrix ? is_weight_dtype(tensor.dtype) : is_float_dtype(tensor.dtype)) return {};
  return Error{ErrorCode::kUnsupported,
               str_cat("tensor ", quote(name, 100), " has type ", name_of(tensor.dtype),
                       ", which this program does not read here")};
}

Result<io::TensorMap> read_tensors(const io::GgufParts& parts, const DrafterConfig& config) {
  io::TensorMap tensors;
  std::set<std::string_view> known = {kRopeFreqs};
  for (const GgufTensorEntry& entry : gguf_drafter_tensors(config)) {
    const std::string_view name = name_in_file(parts, entry.name);
    const io::GgufTensor* found = parts.find_tensor(name);
    if (found == nullptr) return invalid(name, "is missing");
    known.insert(parts.tensors().find(name)->first);
    const auto dtype = io::dtype_of(*found->type);
    if (!dtype)
      return Error{ErrorCode::kUnsupported,
                   str_cat("tensor ", quote(name, 100), " has type ", found->type->name,
                           ", which this program does not read")};
    io::Tensor tensor{*dtype, {found->dims.rbegin(), found->dims.rend()}, found->bytes};
    G4_RETURN_IF_ERROR(check_tensor(name, entry, tensor, config));
    tensors.emplace(entry.checkpoint_name, std::move(tensor));
  }
  for (const auto& [name, tensor] : parts.tensors())
    if (!known.contains(name) && !is_inert(name))
      return Error{ErrorCode::kUnsupported,
                   str_cat("tensor ", quote(name, 100),
                           " is not one that a Gemma 4 drafter has; the file is of another model "
                           "or dialect")};
  return tensors;
}

Result<Drafter> read_gguf(io::GgufParts& parts, const std::string& path) {
  G4_ASSIGN_OR_RETURN(DrafterConfig config, read_gguf_drafter_config(parts));
  G4_ASSIGN_OR_RETURN(io::TensorMap tensors, read_tensors(parts, config));
  return Drafter{std::move(config),
                 io::TensorStore(path, parts.take_files(), {}, std::move(tensors))};
}

Result<Drafter> open_folder(const std::string& path) {
  const std::string config_path = path + "/config.json";
  G4_ASSIGN_OR_RETURN(const std::string json, io::read_file(config_path, kMaxConfigBytes));
  auto config = parse_drafter_config(json);
  if (!config.ok()) return config.error().with_context(config_path);
  G4_ASSIGN_OR_RETURN(io::TensorStore store, io::TensorStore::open(path));
  for (const GgufTensorEntry& entry : gguf_drafter_tensors(config.value())) {
    const io::Tensor* tensor = store.find(entry.checkpoint_name);
    if (tensor == nullptr) return invalid(entry.checkpoint_name, "is missing").with_context(path);
    const Status status = check_tensor(entry.checkpoint_name, entry, *tensor, config.value());
    if (!status.ok()) return status.error().with_context(path);
  }
  return Drafter{std::move(config).value(), std::move(store)};
}

}  // namespace

CheckpointKind checkpoint_kind(const std::string& path) {
  if (!io::is_gguf_path(path)) {
    const auto json = io::read_file(path + "/config.json", kMaxConfigBytes);
    return json.ok() && is_drafter_config(json.value()) ? CheckpointKind::kDrafter
                                                        : CheckpointKind::kModel;
  }
  const auto map = io::MappedFile::open(io::first_gguf_part(path));
  if (!map.ok()) return CheckpointKind::kModel;
  const auto file = io::GgufFile::parse(map.value().bytes());
  if (!file.ok()) return CheckpointKind::kModel;
  const auto architecture = file.value().get_string("general.architecture");
  if (!architecture.ok()) return CheckpointKind::kModel;
  if (is_drafter_architecture(architecture.value())) return CheckpointKind::kDrafter;
  return architecture.value() == "clip" ? CheckpointKind::kProjector : CheckpointKind::kModel;
}

Result<Drafter> open_drafter(const std::string& path) {
  if (!io::is_gguf_path(path)) return open_folder(path);
  G4_ASSIGN_OR_RETURN(io::GgufParts parts, io::GgufParts::open(path));
  auto drafter = read_gguf(parts, path);
  if (!drafter.ok()) return drafter.error().with_context(path);
  return drafter;
}

}  // namespace gemma4::model

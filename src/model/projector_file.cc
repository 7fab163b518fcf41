#include "model/projector_file.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "io/gguf_parts.h"
#include "model/projector_config.h"
#include "model/projector_tensors.h"
#include "model/tower_change.h"
#include "quant/dequantize.h"

namespace gemma4::model {
namespace {

Error invalid(std::string_view tensor, const std::string& problem) {
  return {ErrorCode::kInvalidData, str_cat("tensor ", quote(tensor, 100), " ", problem)};
}
Error unsupported(std::string_view tensor, const std::string& problem) {
  return {ErrorCode::kUnsupported, str_cat("tensor ", quote(tensor, 100), " ", problem)};
}

// Writers differ in whether they keep dimensions of one element.
std::vector<int64_t> without_ones(std::vector<int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

class Reader {
 public:
  explicit Reader(const io::GgufParts& parts) : parts_(parts) {}

  Status read(const std::vector<ProjectorTensor>& tensors) {
    std::set<std::string_view> known;
    for (const ProjectorTensor& tensor : tensors) {
      G4_RETURN_IF_ERROR(add(tensor));
      known.insert(tensor.name);
    }
    for (const auto& [name, tensor] : parts_.tensors())
      if (!known.contains(name))  // it would change every answer about a picture
        return unsupported(name,
                           "is not one that this projector has by its metadata; the file is of "
                           "another model or dialect");
    return {};
  }
  io::TensorMap take_tensors() { return std::move(tensors_); }
  std::vector<std::vector<std::byte>> take_copies() { return std::move(copies_); }

 private:
  Status add(const ProjectorTensor& tensor);
  std::span<const std::byte> keep(std::vector<std::byte> bytes) {
    return copies_.emplace_back(std::move(bytes));
  }
  // In float32 if it is stored in blocks, whose elements cannot be moved.
  io::Tensor with_elements(io::Tensor tensor);
  Result<io::Tensor> undo_softplus(std::string_view name, const io::Tensor& tensor);

  const io::GgufParts& parts_;
  io::TensorMap tensors_;
  std::vector<std::vector<std::byte>> copies_;
};

io::Tensor Reader::with_elements(io::Tensor tensor) {
  if (!is_block_dtype(tensor.dtype)) return tensor;
  const int64_t count = tensor.size();
  std::vector<std::byte> values(static_cast<size_t>(count) * sizeof(float));
  std::vector<float> floats(static_cast<size_t>(count));
  quant::dequantize_row(tensor.dtype, tensor.bytes.data(), count, floats.data());
  std::ranges::copy(std::as_bytes(std::span(floats)), values.begin());
  return {DType::kF32, tensor.shape, keep(std::move(values))};
}

Result<io::Tensor> Reader::undo_softplus(std::string_view name, const io::Tensor& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.size()) * sizeof(float));
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const float value = load_float(tensor.bytes.data(), tensor.dtype, i);
    if (!(value >= 0) || std::isinf(value))
      return invalid(name, str_cat("holds ", value, ", which is the softplus of nothing"));
    const float original = inverse_softplus(value);
    std::ranges::copy(std::as_bytes(std::span(&original, 1)),
                      bytes.begin() + i * static_cast<int64_t>(sizeof(float)));
  }
  return io::Tensor{DType::kF32, tensor.shape, keep(std::move(bytes))};
}

Status Reader::add(const ProjectorTensor& entry) {
  const io::GgufTensor* found = parts_.find_tensor(entry.name);
  if (found == nullptr) return invalid(entry.name, "is missing");
  const std::vector<int64_t> shape(found->dims.rbegin(), found->dims.rend());
  if (without_ones(shape) != without_ones(entry.file_shape))
    return invalid(entry.name, str_cat("has shape ", io::shape_string(shape),
                                       ", the metadata need ", io::shape_string(entry.file_shape)));
  const auto dtype = io::dtype_of(*found->type);
  if (!dtype || !is_weight_dtype(*dtype) || (is_block_dtype(*dtype) && !entry.is_matrix))
    return unsupported(entry.name, str_cat("has type ", found->type->name,
                                           ", which this program does not read here; use a file "
                                           "in another format, such as F16, BF16 or Q8_0"));
  io::Tensor tensor{*dtype, entry.shape, found->bytes};
  if (entry.change == TowerChange::kSoftplus) {
    G4_ASSIGN_OR_RETURN(tensor, undo_softplus(entry.name, tensor));
  } else if (entry.change != TowerChange::kNone) {
    tensor = with_elements(std::move(tensor));
    tensor.bytes = keep(to_checkpoint_order(entry.change, entry.shape, tensor.bytes,
                                            static_cast<size_t>(size_of(tensor.dtype))));
  }
  tensors_.emplace(entry.checkpoint_name, std::move(tensor));
  return {};
}

Result<Projector> read_projector(io::GgufParts& parts, const std::string& path) {
  G4_ASSIGN_OR_RETURN(Config config, read_projector_config(parts));
  Reader reader(parts);
  G4_RETURN_IF_ERROR(reader.read(projector_tensors(config)));
  io::TensorMap tensors = reader.take_tensors();
  return Projector{std::move(config), io::TensorStore(path, parts.take_files(),
                                                      reader.take_copies(), std::move(tensors))};
}

}  // namespace

Result<Projector> open_projector(const std::string& path) {
  G4_ASSIGN_OR_RETURN(io::GgufParts parts, io::GgufParts::open(path));
  auto projector = read_projector(parts, path);
  if (!projector.ok()) return projector.error().with_context(path);
  return projector;
}

}  // namespace gemma4::model

#include "model/gguf_checkpoint.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "io/gguf_parts.h"
#include "model/gguf_config.h"
#include "model/gguf_names.h"
#include "model/tensor_list.h"

namespace gemma4::model {
namespace {

using io::GgufTensor;

Error invalid(std::string_view tensor, const std::string& problem) {
  return {ErrorCode::kInvalidData, str_cat("tensor ", quote(tensor, 100), " ", problem)};
}
Error unsupported(std::string_view tensor, const std::string& problem) {
  return {ErrorCode::kUnsupported, str_cat("tensor ", quote(tensor, 100), " ", problem)};
}

Result<io::Tensor> convert(std::string_view name, const GgufTensor& tensor) {
  const auto dtype = io::dtype_of(*tensor.type);
  if (!dtype || !is_weight_dtype(*dtype))
    return unsupported(name, str_cat("has type ", tensor.type->name,
                                     ", which this program does not compute with; use a file in "
                                     "another format, such as Q4_0, Q8_0 or Q4_K"));
  return io::Tensor{*dtype, {tensor.dims.rbegin(), tensor.dims.rend()}, tensor.bytes};
}

// Rows [begin, begin + count) of a matrix.
io::Tensor row_slice(const io::Tensor& matrix, int64_t begin, int64_t count) {
  const auto stride = static_cast<size_t>(row_bytes(matrix.dtype, matrix.shape[1]));
  return {matrix.dtype,
          {count, matrix.shape[1]},
          matrix.bytes.subspan(static_cast<size_t>(begin) * stride,
                               static_cast<size_t>(count) * stride)};
}

// Collects the tensors of one model.
class Reader {
 public:
  Reader(const io::GgufParts& parts, const TextConfig& text) : parts_(parts), text_(text) {}

  Status read() {
    for (const auto& [name, tensor] : parts_.tensors()) G4_RETURN_IF_ERROR(add(name, tensor));
    for (int64_t i = 0; i < text_.num_hidden_layers; ++i) {
      G4_RETURN_IF_ERROR(split_qkv(i));
      G4_RETURN_IF_ERROR(join_experts(i));
    }
    return {};
  }
  io::TensorMap take_tensors() { return std::move(tensors_); }
  std::vector<std::vector<std::byte>> take_copies() { return std::move(copies_); }

 private:
  Status add(std::string_view name, const GgufTensor& tensor);
  Status split_qkv(int64_t layer);
  Status join_experts(int64_t layer);
  // An untied head has no prefix.
  void put(const std::string& name, io::Tensor tensor) {
    tensors_.insert_or_assign(name == "lm_head.weight" ? name : "model." + name, std::move(tensor));
  }

  const io::GgufParts& parts_;
  const TextConfig& text_;
  io::TensorMap tensors_;
  std::vector<std::vector<std::byte>> copies_;
};

// Tensors that are read elsewhere or that nothing needs.
bool is_set_aside(std::string_view name) {
  return name == kRopeFreqs || name.ends_with(".input_scale") ||
         name.ends_with("attn_qkv.weight") || name.ends_with("ffn_gate_exps.weight") ||
         name.ends_with("ffn_up_exps.weight");
}

Status Reader::add(std::string_view name, const GgufTensor& tensor) {
  if (is_set_aside(name)) return {};
  const auto known = checkpoint_name(name);
  if (!known)  // a bias or a scale that we left out would change every answer
    return unsupported(name,
                       "is not one that Gemma 4 has; the file is of another model or dialect");
  G4_ASSIGN_OR_RETURN(io::Tensor converted, convert(name, tensor));
  put(*known, std::move(converted));
  return {};
}

// The fused alternative: the rows of Q, then those of K, then those of V.
Status Reader::split_qkv(int64_t layer) {
  const std::string name = gguf_layer(layer) + "attn_qkv.weight";
  const GgufTensor* fused = parts_.find_tensor(name);
  if (fused == nullptr) return {};
  G4_ASSIGN_OR_RETURN(const io::Tensor tensor, convert(name, *fused));
  const int64_t head_dim = text_.layer_head_dims[static_cast<size_t>(layer)];
  const int64_t queries = text_.num_attention_heads * head_dim;
  const int64_t keys = text_.layer_kv_heads[static_cast<size_t>(layer)] * head_dim;
  if (tensor.shape.size() != 2 || tensor.shape[0] != queries + 2 * keys)
    return invalid(name, str_cat("has shape ", io::shape_string(tensor.shape),
                                 ", the metadata need ", queries + 2 * keys, " rows"));
  const std::string attention = str_cat("layers.", layer, ".self_attn.");
  put(attention + "q_proj.weight", row_slice(tensor, 0, queries));
  put(attention + "k_proj.weight", row_slice(tensor, queries, keys));
  put(attention + "v_proj.weight", row_slice(tensor, queries + keys, keys));
  return {};
}

// Gate and up apart, [E, F, D] each, become [E, 2F, D]: for every expert the rows of its gate, then
// those of its up.
Status Reader::join_experts(int64_t layer) {
  const std::string gate_name = gguf_layer(layer) + "ffn_gate_exps.weight";
  const std::string up_name = gguf_layer(layer) + "ffn_up_exps.weight";
  const GgufTensor* gate_found = parts_.find_tensor(gate_name);
  const GgufTensor* up_found = parts_.find_tensor(up_name);
  if (gate_found == nullptr && up_found == nullptr) return {};
  if (gate_found == nullptr) return invalid(gate_name, "is missing");
  if (up_found == nullptr) return invalid(up_name, "is missing");
  G4_ASSIGN_OR_RETURN(const io::Tensor gate, convert(gate_name, *gate_found));
  G4_ASSIGN_OR_RETURN(const io::Tensor up, convert(up_name, *up_found));
  if (gate.shape.size() != 3 || gate.shape[0] < 1 || gate.shape != up.shape)
    return invalid(up_name, str_cat("has shape ", io::shape_string(up.shape), ", but ", gate_name,
                                    " has ", io::shape_string(gate.shape)));
  if (gate.dtype != up.dtype)
    return unsupported(up_name, str_cat("has type ", name_of(up.dtype), ", but ", gate_name,
                                        " has ", name_of(gate.dtype), "; they must be the same"));
  const auto experts = static_cast<size_t>(gate.shape[0]);
  const size_t bytes = gate.bytes.size() / experts;
  std::vector<std::byte>& copy = copies_.emplace_back(2 * gate.bytes.size());
  auto out = copy.begin();
  for (size_t e = 0; e < experts; ++e)
    for (const io::Tensor* half : {&gate, &up})
      out = std::ranges::copy(half->bytes.subspan(e * bytes, bytes), out).out;
  put(str_cat("layers.", layer, ".experts.gate_up_proj"),
      {gate.dtype, {gate.shape[0], 2 * gate.shape[1], gate.shape[2]}, copy});
  return {};
}

// Model::create checks the same, but knows only the checkpoint's names.
Status check_tensors(const Config& config, const io::TensorMap& tensors) {
  TextWeights unused;
  for (const TensorEntry& entry : text_tensors(config, "model.", unused)) {
    const std::string name = gguf_name(entry.name).value_or(entry.name);
    const auto found = tensors.find(entry.name);
    if (found == tensors.end()) return invalid(name, "is missing");
    if (found->second.shape != entry.shape)
      return invalid(name, str_cat("has shape ", io::shape_string(found->second.shape),
                                   ", the metadata need ", io::shape_string(entry.shape)));
  }
  return {};
}

Result<GgufCheckpoint> read_checkpoint(io::GgufParts& parts, const std::string& path) {
  G4_ASSIGN_OR_RETURN(Config config, read_gguf_config(parts));
  Reader reader(parts, config.text);
  G4_RETURN_IF_ERROR(reader.read());
  io::TensorMap tensors = reader.take_tensors();
  G4_RETURN_IF_ERROR(check_tensors(config, tensors));
  return GgufCheckpoint{
      std::move(config),
      io::TensorStore(path, parts.take_files(), reader.take_copies(), std::move(tensors))};
}

}  // namespace

Result<GgufCheckpoint> open_gguf_checkpoint(const std::string& path) {
  G4_ASSIGN_OR_RETURN(io::GgufParts parts, io::GgufParts::open(path));
  auto checkpoint = read_checkpoint(parts, path);
  if (!checkpoint.ok()) return checkpoint.error().with_context(path);
  return checkpoint;
}

}  // namespace gemma4::model

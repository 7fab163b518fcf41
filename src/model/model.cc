#include "model/model.h"

#include <algorithm>

#include "base/strings.h"
#include "io/gguf_parts.h"
#include "model/gguf_checkpoint.h"
#include "model/tensor_list.h"

namespace gemma4::model {
namespace {

// Prefixes in circulation, the reference's first.
constexpr const char* kTextPrefixes[] = {"model.language_model.", "model.", "language_model.model.",
                                         "language_model.", ""};

Result<std::string> find_text_prefix(const io::TensorStore& store) {
  for (const char* prefix : kTextPrefixes)
    if (store.find(std::string(prefix) + "embed_tokens.weight") != nullptr)
      return std::string(prefix);
  return Error{ErrorCode::kInvalidData,
               "tensor \"model.language_model.embed_tokens.weight\" is missing (nor is it there "
               "under another known prefix)"};
}

Matrix matrix_of(const io::Tensor& tensor) {
  const int64_t cols = tensor.shape.back();
  return {tensor.bytes.data(), tensor.dtype, tensor.size() / cols, cols};
}

size_t align_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

uint64_t bytes_of(const ops::Linear& layer) {
  return layer.weight ? static_cast<uint64_t>(layer.weight.bytes()) : 0;
}

}  // namespace

Result<Model> Model::load(const std::string& path, std::shared_ptr<kernels::Device> device) {
  if (io::is_gguf_path(path)) {
    G4_ASSIGN_OR_RETURN(GgufCheckpoint checkpoint, open_gguf_checkpoint(path));
    auto model =
        create(std::move(checkpoint.config), std::move(checkpoint.store), std::move(device));
    if (!model.ok()) return model.error().with_context(path);
    return model;
  }
  const std::string config_path = path + "/config.json";
  G4_ASSIGN_OR_RETURN(const std::string json, io::read_file(config_path, 16 << 20));
  auto config = parse_config(json);
  if (!config.ok()) return config.error().with_context(config_path);
  G4_ASSIGN_OR_RETURN(io::TensorStore store, io::TensorStore::open(path));
  auto model = create(std::move(config).value(), std::move(store), std::move(device));
  if (!model.ok()) return model.error().with_context(path);
  return model;
}

Result<Model> Model::create(Config config, io::TensorStore store,
                            std::shared_ptr<kernels::Device> device) {
  Model model;
  model.device_ = std::move(device);
  model.config_ = std::move(config);
  model.store_ = std::move(store);
  G4_RETURN_IF_ERROR(model.bind());
  return model;
}

Status Model::bind() {
  G4_ASSIGN_OR_RETURN(text_prefix_, find_text_prefix(store_));
  const std::vector<TensorEntry> entries = text_tensors(config_, text_prefix_, weights_);
  for (const TensorEntry& entry : entries) G4_RETURN_IF_ERROR(bind_tensor(entry));
  if (device_ != nullptr && device_->is_host()) G4_RETURN_IF_ERROR(pack_matrices(entries));
  if (config_.text.tie_word_embeddings) weights_.lm_head.weight = weights_.embed_tokens;
  if (const Matrix& table = weights_.embed_tokens_per_layer)
    per_layer_table_size_ = {static_cast<uint64_t>(table.rows * table.cols),
                             static_cast<uint64_t>(table.bytes())};

  const float eps = config_.text.rms_norm_eps;
  for (ops::Norm* norm : {&weights_.norm, &weights_.per_layer_projection_norm}) norm->eps = eps;
  for (Layer& layer : weights_.layers) {
    for (ops::Norm* norm :
         {&layer.input_layernorm, &layer.post_attention_layernorm, &layer.pre_feedforward_layernorm,
          &layer.post_feedforward_layernorm, &layer.self_attn.q_norm, &layer.self_attn.k_norm,
          &layer.pre_feedforward_layernorm_2, &layer.post_feedforward_layernorm_1,
          &layer.post_feedforward_layernorm_2, &layer.post_per_layer_input_norm})
      norm->eps = eps;
    auto& frequencies = inverse_frequencies_[static_cast<size_t>(index_of(layer.plan.kind))];
    if (!frequencies.empty()) continue;
    if (device_ != nullptr && layer.plan.head_dim > device_->table().max_head_dim)
      return Error{ErrorCode::kUnsupported,
                   str_cat("heads of ", layer.plan.head_dim, " elements: ", device_->name(),
                           " takes up to ", device_->table().max_head_dim)};
    G4_ASSIGN_OR_RETURN(
        frequencies,
        place(model::inverse_frequencies(
            config_.text.rope_parameters[static_cast<size_t>(index_of(layer.plan.kind))],
            layer.plan.head_dim)));
  }
  return device_ != nullptr ? device_->finish() : Status();
}

Result<const void*> Model::place(std::span<const std::byte> bytes) {
  if (in_host_memory()) return static_cast<const void*>(bytes.data());
  G4_ASSIGN_OR_RETURN(kernels::Device::Memory memory, device_->allocate(bytes.size()));
  device_->upload(memory.get(), bytes.data(), bytes.size());
  placed_.push_back(std::move(memory));
  return static_cast<const void*>(placed_.back().get());
}

Result<std::span<const float>> Model::place(std::vector<float> values) {
  const size_t count = values.size();
  if (in_host_memory()) {
    vectors_.push_back(std::move(values));
    return std::span<const float>(vectors_.back());
  }
  G4_ASSIGN_OR_RETURN(const void* data, place(std::as_bytes(std::span(values))));
  return std::span(static_cast<const float*>(data), count);
}

bool Model::is_looked_up(const Matrix* matrix) const {
  return matrix == &weights_.embed_tokens || matrix == &weights_.embed_tokens_per_layer;
}

bool Model::is_multiplied(const Matrix* matrix) const {
  return matrix != &weights_.embed_tokens_per_layer &&
         (matrix != &weights_.embed_tokens || config_.text.tie_word_embeddings);
}

int64_t Model::rows_together(const Matrix& matrix) const {
  const TextConfig& text = config_.text;
  if (&matrix == &weights_.per_layer_model_projection.weight)
    return text.hidden_size_per_layer_input;
  for (const Layer& layer : weights_.layers) {
    if (&matrix == &layer.experts.gate_up_proj) return text.moe_intermediate_size;
    if (&matrix == &layer.experts.down_proj) return text.hidden_size;
  }
  return matrix.rows;
}

Status Model::place_matrix(Matrix& matrix, const io::Tensor& tensor) {
  const bool packs = is_multiplied(&matrix) && device_->packs(matrix) &&
                     rows_together(matrix) % Matrix::kPackedRows == 0;
  if (packs) {
    const size_t bytes = device_->packed_bytes(matrix);
    G4_ASSIGN_OR_RETURN(kernels::Device::Memory memory, device_->allocate(bytes));
    device_->pack(matrix, memory.get());
    matrix.packed = memory.get();
    matrix.packed_row_bytes = static_cast<int64_t>(bytes) / matrix.rows;
    placed_.push_back(std::move(memory));
    if (!is_looked_up(&matrix)) return {};
  }
  if (!packs && is_multiplied(&matrix) && is_block_dtype(matrix.dtype)) {
    // Sizes that no published model has: as floats.
    G4_ASSIGN_OR_RETURN(std::vector<float> values, io::read_floats(tensor));
    G4_ASSIGN_OR_RETURN(const std::span<const float> placed, place(std::move(values)));
    matrix = {placed.data(), DType::kF32, matrix.rows, matrix.cols};
    return {};
  }
  G4_ASSIGN_OR_RETURN(matrix.data, place(tensor.bytes));
  return {};
}

Status Model::pack_matrices(const std::vector<TensorEntry>& entries) {
  std::vector<std::pair<Matrix*, const io::Tensor*>> chosen;
  size_t bytes = 0;
  for (const TensorEntry& entry : entries) {
    Matrix* const* matrix = std::get_if<Matrix*>(&entry.target);
    if (matrix == nullptr) continue;
    if (!is_multiplied(*matrix) || !device_->packs(**matrix)) continue;
    chosen.emplace_back(*matrix, store_.find(entry.name));
    bytes += align_up(device_->packed_bytes(**matrix));
  }
  if (chosen.empty()) return {};
  G4_ASSIGN_OR_RETURN(kernels::Device::Memory memory, device_->allocate(bytes));
  std::byte* next = memory.get();
  for (const auto& [matrix, tensor] : chosen) {
    device_->pack(*matrix, next);
    const size_t packed_bytes = device_->packed_bytes(*matrix);
    matrix->packed = next;
    matrix->packed_row_bytes = static_cast<int64_t>(packed_bytes) / matrix->rows;
    next += align_up(packed_bytes);
    if (tensor != nullptr) store_.forget(*tensor);
  }
  placed_.push_back(std::move(memory));
  return {};
}

Status Model::bind_tensor(const TensorEntry& entry) {
  const io::Tensor* tensor = store_.find(entry.name);
  const auto invalid = [&](const std::string& problem) {
    return Error{ErrorCode::kInvalidData, str_cat("tensor ", quote(entry.name, 100), " ", problem)};
  };
  if (tensor == nullptr) return invalid("is missing");
  if (tensor->shape != entry.shape)
    return invalid(str_cat("has shape ", io::shape_string(tensor->shape),
                           ", the configuration needs ", io::shape_string(entry.shape)));
  const bool is_matrix = std::holds_alternative<Matrix*>(entry.target);
  if (is_matrix ? !is_weight_dtype(tensor->dtype) : !is_float_dtype(tensor->dtype))
    return invalid(str_cat("has type ", name_of(tensor->dtype), ", expected BF16, F16 or F32"));
  if (is_block_dtype(tensor->dtype) && device_ != nullptr && !device_->table().reads_blocks)
    return Error{ErrorCode::kUnsupported,
                 str_cat("weights of type ", name_of(tensor->dtype), ": ", device_->name(),
                         " computes with BF16, F16 and F32 only; use --device cpu")};
  text_size_.parameters += static_cast<uint64_t>(tensor->size());
  text_size_.bytes += tensor->bytes.size();
  if (Matrix* const* matrix = std::get_if<Matrix*>(&entry.target)) {
    **matrix = matrix_of(*tensor);
    if (!in_host_memory()) G4_RETURN_IF_ERROR(place_matrix(**matrix, *tensor));
  } else if (const float** const* vector = std::get_if<const float**>(&entry.target)) {
    G4_ASSIGN_OR_RETURN(std::vector<float> values, io::read_floats(*tensor));
    G4_ASSIGN_OR_RETURN(const std::span<const float> placed, place(std::move(values)));
    **vector = placed.data();
  } else {
    *std::get<float*>(entry.target) = load_float(tensor->bytes.data(), tensor->dtype, 0);
  }
  return {};
}

int32_t Model::embedding_id(int32_t id) const {
  const auto& placeholders = config_.placeholder_token_ids;
  return std::find(placeholders.begin(), placeholders.end(), id) == placeholders.end()
             ? id
             : config_.text.pad_token_id;
}

uint64_t Model::bytes_per_token() const {
  uint64_t bytes = bytes_of(weights_.lm_head) + bytes_of(weights_.per_layer_model_projection);
  for (const Layer& layer : weights_.layers) {
    for (const ops::Linear* linear :
         {&layer.self_attn.q_proj, &layer.self_attn.k_proj, &layer.self_attn.v_proj,
          &layer.self_attn.o_proj, &layer.mlp.gate_proj, &layer.mlp.up_proj, &layer.mlp.down_proj,
          &layer.router.proj, &layer.per_layer_input_gate, &layer.per_layer_projection})
      bytes += bytes_of(*linear);
    if (config_.text.enable_moe_block)
      bytes += static_cast<uint64_t>(layer.experts.gate_up_proj.bytes() +
                                     layer.experts.down_proj.bytes()) /
               static_cast<uint64_t>(config_.text.num_experts) *
               static_cast<uint64_t>(config_.text.top_k_experts);
  }
  return bytes;
}

}  // namespace gemma4::model

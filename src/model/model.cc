#include "model/model.h"

#include <algorithm>

#include "base/strings.h"
#include "io/gguf_parts.h"
#include "model/gguf_checkpoint.h"
#include "model/gguf_export.h"
#include "model/projector_file.h"
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

// Without its data.
Matrix matrix_of(const io::Tensor& tensor, DType type) {
  const int64_t cols = tensor.shape.back();
  return {nullptr, type, tensor.size() / cols, cols};
}

size_t align_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

int64_t bytes_of(const Matrix& matrix) { return matrix ? matrix.bytes() : 0; }
int64_t elements_of(const Matrix& matrix) { return matrix ? matrix.rows * matrix.cols : 0; }

// Sum of size_of(matrix) over what one token meets in a layer: of the experts, those chosen.
template <typename SizeOf>
int64_t met_by_token(const TextConfig& text, const Layer& layer, const SizeOf& size_of) {
  int64_t sum = 0;
  for (const ops::Linear* linear :
       {&layer.self_attn.q_proj, &layer.self_attn.k_proj, &layer.self_attn.v_proj,
        &layer.self_attn.o_proj, &layer.mlp.gate_proj, &layer.mlp.up_proj, &layer.mlp.down_proj,
        &layer.router.proj, &layer.per_layer_input_gate, &layer.per_layer_projection})
    sum += size_of(linear->weight);
  if (text.enable_moe_block)
    sum += (size_of(layer.experts.gate_up_proj) + size_of(layer.experts.down_proj)) /
           text.num_experts * text.top_k_experts;
  return sum;
}

// Gives the text model its towers; the projector that was chosen, if any.
Result<FoundProjector> add_projector(const std::string& path, const ProjectorChoice& choice,
                                     GgufCheckpoint& checkpoint) {
  FoundProjector found{choice.path, ""};
  const int64_t width = checkpoint.config.text.hidden_size;
  const bool is_beside = choice.kind == ProjectorChoice::Kind::kBeside;
  if (is_beside) {
    G4_ASSIGN_OR_RETURN(found, find_projector(path, width));
  }
  if (choice.kind == ProjectorChoice::Kind::kNone || found.path.empty()) return found;
  auto opened = open_projector(found.path);
  if (!opened.ok() && is_beside)
    return Error{opened.error().code,
                 opened.error().message + "; replace it, or leave it out with --mmproj none"};
  G4_ASSIGN_OR_RETURN(Projector projector, std::move(opened));
  if (projector.config.text.hidden_size != width)
    return Error{
        ErrorCode::kInvalidArgument,
        str_cat(found.path, ": belongs to another model than ", path, ": its vectors have ",
                projector.config.text.hidden_size, " elements, the model's ", width)};
  checkpoint.config.model_type = projector.config.model_type;
  checkpoint.config.text_only = false;
  checkpoint.config.vision = projector.config.vision;
  checkpoint.config.audio = projector.config.audio;
  checkpoint.store.add(std::move(projector.store));
  return found;
}

}  // namespace

Result<Model> Model::load(const std::string& path, std::shared_ptr<kernels::Device> device,
                          const LoadOptions& options) {
  if (io::is_gguf_path(path)) {
    G4_ASSIGN_OR_RETURN(GgufCheckpoint checkpoint, open_gguf_checkpoint(path));
    G4_ASSIGN_OR_RETURN(FoundProjector found, add_projector(path, options.projector, checkpoint));
    auto model = create(std::move(checkpoint.config), std::move(checkpoint.store),
                        std::move(device), options.conversion);
    if (!model.ok()) return model.error().with_context(path);
    Model loaded = std::move(model).value();
    loaded.projector_ = std::move(found);
    return loaded;
  }
  if (options.projector.kind == ProjectorChoice::Kind::kFile)
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("--mmproj ", options.projector.path, ": ", path,
                         " is a checkpoint folder, which has its towers inside; only GGUF models "
                         "take a projector")};
  const std::string config_path = path + "/config.json";
  G4_ASSIGN_OR_RETURN(const std::string json, io::read_file(config_path, 16 << 20));
  auto config = parse_config(json);
  if (!config.ok()) return config.error().with_context(config_path);
  G4_ASSIGN_OR_RETURN(io::TensorStore store, io::TensorStore::open(path));
  publish_tower_names(config.value(), store);
  auto model =
      create(std::move(config).value(), std::move(store), std::move(device), options.conversion);
  if (!model.ok()) return model.error().with_context(path);
  return model;
}

Result<Model> Model::create(Config config, io::TensorStore store,
                            std::shared_ptr<kernels::Device> device,
                            const WeightConversion* conversion) {
  G4_CHECK(conversion == nullptr || device != nullptr);
  Model model;
  model.device_ = std::move(device);
  model.placed_ = PlacedWeights(model.device_);
  model.config_ = std::move(config);
  model.store_ = std::move(store);
  G4_RETURN_IF_ERROR(model.bind(conversion));
  return model;
}

Status Model::bind(const WeightConversion* conversion) {
  G4_ASSIGN_OR_RETURN(text_prefix_, find_text_prefix(store_));
  const std::vector<TensorEntry> entries = text_tensors(config_, text_prefix_, weights_);
  std::vector<GgufTensorEntry> exported;  // one for every entry
  if (conversion != nullptr) exported = gguf_tensors(config_, text_prefix_);
  std::vector<std::optional<DType>> types(entries.size());
  for (size_t i = 0; conversion != nullptr && i < entries.size(); ++i)
    if (const io::Tensor* const tensor = store_.find(entries[i].name))
      types[i] = conversion->type_of(exported[i], tensor->dtype);
  G4_RETURN_IF_ERROR(check_room(entries, types));
  for (size_t i = 0; i < entries.size(); ++i) G4_RETURN_IF_ERROR(bind_tensor(entries[i], types[i]));
  if (device_ != nullptr) G4_RETURN_IF_ERROR(copy_matrices(entries, conversion));
  for (const TensorEntry& entry : entries)
    if (Matrix* const* matrix = std::get_if<Matrix*>(&entry.target))
      matrices_.push_back({entry.name, entry.shape, **matrix});
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
        placed_.place(model::inverse_frequencies(
            config_.text.rope_parameters[static_cast<size_t>(index_of(layer.plan.kind))],
            layer.plan.head_dim)));
  }
  return device_ != nullptr ? device_->finish() : Status();
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

MatrixUse Model::use_of(const Matrix& matrix) const {
  return {.multiplied = is_multiplied(&matrix),
          .looked_up = is_looked_up(&matrix),
          .rows_together = rows_together(matrix)};
}

// A card that runs out in the middle of loading could only name the tensor that it stopped at.
Status Model::check_room(const std::vector<TensorEntry>& entries,
                         const std::vector<std::optional<DType>>& types) const {
  const uint64_t available = placed_.in_host_memory() ? 0 : device_->available_bytes();
  if (available == 0) return {};
  uint64_t bytes = 0;
  uint64_t largest = 0;  // is there twice while it is packed
  for (size_t i = 0; i < entries.size(); ++i) {
    const io::Tensor* const tensor = store_.find(entries[i].name);
    if (tensor == nullptr || tensor->shape != entries[i].shape) continue;  // refused by name later
    Matrix* const* const matrix = std::get_if<Matrix*>(&entries[i].target);
    if (matrix == nullptr) {
      bytes += static_cast<uint64_t>(tensor->size()) * sizeof(float);
      continue;
    }
    const Matrix placed = matrix_of(*tensor, types[i].value_or(tensor->dtype));
    bytes += placed_.bytes_of(placed, use_of(**matrix));
    if (is_block_dtype(placed.dtype))
      largest = std::max(largest, static_cast<uint64_t>(placed.bytes()));
  }
  if (bytes + largest <= available) return {};
  return Error{ErrorCode::kResourceExhausted,
               str_cat("the weights need ", human_bytes(bytes + largest), ", ", device_->name(),
                       " has ", human_bytes(available),
                       " free; use weights of fewer bits (--quantize q8_0 or q4_0), a smaller "
                       "model, or --device cpu")};
}

namespace {

// `tensor` as `type`.
std::vector<std::byte> convert(const io::Tensor& tensor, DType type,
                               const std::function<void(uint64_t)>& progress) {
  const int64_t cols = tensor.shape.back();
  ThreadPool pool(ThreadPool::available_cores());
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.size() / cols * row_bytes(type, cols)));
  convert_rows(tensor, type, bytes.data(), pool, progress);
  return bytes;
}

// The same in memory of a device that the program can write.
Result<kernels::Device::Memory> convert(const io::Tensor& tensor, DType type,
                                        kernels::Device& device,
                                        const std::function<void(uint64_t)>& progress) {
  const int64_t cols = tensor.shape.back();
  const auto bytes = static_cast<size_t>(tensor.size() / cols * row_bytes(type, cols));
  G4_ASSIGN_OR_RETURN(kernels::Device::Memory memory, device.allocate(bytes));
  convert_rows(tensor, type, memory.get(), *device.queue().pool, progress);
  return memory;
}

}  // namespace

Status Model::copy_matrices(const std::vector<TensorEntry>& entries,
                            const WeightConversion* conversion) {
  struct Copied {
    const TensorEntry& entry;
    Matrix* matrix;
    bool packed;
  };
  std::vector<Copied> copied;
  size_t packed_bytes = 0;
  uint64_t done = 0, total = 0;  // elements to convert
  for (const TensorEntry& entry : entries) {
    Matrix* const* found = std::get_if<Matrix*>(&entry.target);
    if (found == nullptr) continue;
    Matrix* const matrix = *found;
    const bool packed = device_->is_host() && is_multiplied(matrix) && device_->packs(*matrix);
    if (packed) packed_bytes += align_up(device_->packed_bytes(*matrix));
    if (!*matrix) total += static_cast<uint64_t>(matrix->rows * matrix->cols);
    if (packed || !*matrix) copied.push_back({entry, matrix, packed});
  }
  if (copied.empty()) return {};
  kernels::Device::Memory packed;
  if (packed_bytes > 0) {
    G4_ASSIGN_OR_RETURN(packed, device_->allocate(packed_bytes));
  }
  std::byte* next = packed.get();
  for (const auto& [entry, matrix, is_packed] : copied) {
    const io::Tensor& tensor = *store_.find(entry.name);
    if (!device_->is_host()) {
      const std::vector<std::byte> bytes = convert(tensor, matrix->dtype, [&](uint64_t part) {
        if (conversion->progress) conversion->progress(done + part, total);
      });
      done += static_cast<uint64_t>(tensor.size());
      store_.forget(tensor);
      G4_RETURN_IF_ERROR(
          placed_.place(*matrix, {matrix->dtype, tensor.shape, bytes}, use_of(*matrix)));
      continue;
    }
    kernels::Device::Memory converted;
    if (matrix->data == nullptr) {
      G4_ASSIGN_OR_RETURN(converted, convert(tensor, matrix->dtype, *device_, [&](uint64_t part) {
                            if (conversion->progress) conversion->progress(done + part, total);
                          }));
      done += static_cast<uint64_t>(tensor.size());
      matrix->data = converted.get();
    }
    if (is_packed) {
      device_->pack(*matrix, next);
      matrix->packed = next;
      const size_t bytes = device_->packed_bytes(*matrix);
      matrix->packed_row_bytes = static_cast<int64_t>(bytes) / matrix->rows;
      next += align_up(bytes);
    }
    store_.forget(tensor);
    if (converted == nullptr) continue;
    if (is_packed && !is_looked_up(matrix) && rows_together(*matrix) % Matrix::kPackedRows == 0) {
      matrix->data = nullptr;
    } else {
      placed_.keep(std::move(converted));
    }
  }
  if (packed != nullptr) placed_.keep(std::move(packed));
  return {};
}

DType Model::kv_type() const {
  if (device_ != nullptr && !device_->is_host()) return device_->kv_type();
  const bool has_blocks = std::ranges::any_of(
      matrices_, [](const NamedMatrix& named) { return is_block_dtype(named.matrix.dtype); });
  return has_blocks ? DType::kF16 : DType::kF32;
}

void Model::forget_tables() const {
  const auto forget = [&](const Matrix& table) {
    if (!table) return;
    store_.forget(
        {.bytes = {static_cast<const std::byte*>(table.data), static_cast<size_t>(table.bytes())}});
  };
  forget(weights_.embed_tokens_per_layer);
  const bool is_head = config_.text.tie_word_embeddings && weights_.embed_tokens.packed == nullptr;
  if (!is_head) forget(weights_.embed_tokens);  // a head is read whole, at every step
}

Status Model::bind_tensor(const TensorEntry& entry, std::optional<DType> type) {
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
  const DType dtype = is_matrix ? type.value_or(tensor->dtype) : tensor->dtype;
  if (is_block_dtype(dtype) && device_ != nullptr && !device_->table().reads_blocks)
    return Error{ErrorCode::kUnsupported,
                 str_cat("weights of type ", name_of(dtype), ": ", device_->name(),
                         " computes with BF16, F16 and F32 only; use --device cpu")};
  text_size_.parameters += static_cast<uint64_t>(tensor->size());
  if (Matrix* const* matrix = std::get_if<Matrix*>(&entry.target)) {
    **matrix = matrix_of(*tensor, dtype);
    text_size_.bytes += static_cast<uint64_t>((*matrix)->bytes());
    if (dtype != tensor->dtype) return {};
    return placed_.place(**matrix, *tensor, use_of(**matrix));
  }
  text_size_.bytes += tensor->bytes.size();
  if (const float** const* vector = std::get_if<const float**>(&entry.target)) {
    G4_ASSIGN_OR_RETURN(std::vector<float> values, io::read_floats(*tensor));
    G4_ASSIGN_OR_RETURN(const std::span<const float> placed, placed_.place(std::move(values)));
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
  int64_t bytes =
      bytes_of(weights_.lm_head.weight) + bytes_of(weights_.per_layer_model_projection.weight);
  for (const Layer& layer : weights_.layers) bytes += met_by_token(config_.text, layer, bytes_of);
  return static_cast<uint64_t>(bytes);
}

uint64_t Model::prompt_operations(int64_t tokens) const {
  const int64_t shared = first_shared_layer(config_.text);
  const int64_t per_layer =
      elements_of(weights_.per_layer_model_projection.weight) / config_.text.num_hidden_layers;
  int64_t every = 0;                                    // of every token
  int64_t last = elements_of(weights_.lm_head.weight);  // of the last one
  for (const Layer& layer : weights_.layers)
    (layer.plan.index < shared ? every : last) +=
        met_by_token(config_.text, layer, elements_of) + per_layer;
  return 2 * static_cast<uint64_t>(tokens * every + last);
}

}  // namespace gemma4::model

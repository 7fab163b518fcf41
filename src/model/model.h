// A loaded Gemma 4 checkpoint: configuration, layer plan and weights. Immutable and shared by all
// requests.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/safetensors.h"
#include "kernels/device.h"
#include "model/config.h"
#include "model/placed_weights.h"
#include "model/projector_search.h"
#include "model/weight_conversion.h"
#include "model/weights.h"

namespace gemma4::model {

// A matrix of the text decoder under its name in the checkpoint.
struct NamedMatrix {
  std::string name;            // with the prefix
  std::vector<int64_t> shape;  // of the tensor; experts' have three dimensions
  Matrix matrix;
};

struct LoadOptions {
  ProjectorChoice projector = {};                // for GGUF models
  const WeightConversion* conversion = nullptr;  // null: weights keep their types
};

class Model {
 public:
  // Loads the checkpoint folder `path` (config.json and safetensors), or a GGUF file (any part, if
  // it is split) with the projector that belongs to it. Weights stay in the map: loading reads a
  // few pages, not the file. With a device of its own memory they are copied there; one that packs
  // weights gets packed copies. With a conversion, for which there must be a device, matrices whose
  // type it changes are copied in their new type, one after the other; of the old bytes nothing
  // stays in memory. Errors name the file and the tensor or key; kResourceExhausted says what did
  // not fit.
  static Result<Model> load(const std::string& path,
                            std::shared_ptr<kernels::Device> device = nullptr,
                            const LoadOptions& options = {});
  // The same from parts; for tests and fuzzing.
  static Result<Model> create(Config config, io::TensorStore store,
                              std::shared_ptr<kernels::Device> device = nullptr,
                              const WeightConversion* conversion = nullptr);

  const Config& config() const { return config_; }
  const TextWeights& weights() const { return weights_; }
  // All matrices of weights(), in the order of text_tensors; a tied head is not a second one.
  const std::vector<NamedMatrix>& matrices() const { return matrices_; }
  // Inverse rotary frequencies of the layers of one kind, [Dh/2]; empty if there are none.
  std::span<const float> inverse_frequencies(AttentionKind kind) const {
    return inverse_frequencies_[static_cast<size_t>(index_of(kind))];
  }
  // What the weights were loaded for; null: in the program's own memory, for any CPU device.
  const std::shared_ptr<kernels::Device>& device() const { return device_; }
  // What keys and values are kept as unless somebody asks for another type: what suits the device,
  // and in the program's own memory F32, or F16 beside weights in blocks (ADR 20).
  DType kv_type() const;
  // The id whose embedding row stands for `id`: the pad row at media placeholders, else `id`
  // itself.
  int32_t embedding_id(int32_t id) const;

  struct Size {
    uint64_t parameters = 0;
    uint64_t bytes = 0;
  };
  Size text_size() const { return text_size_; }  // everything the decoder uses
  Size per_layer_table_size() const {
    return per_layer_table_size_;
  }  // of that, the per-layer-input table
  // Bytes of weights that one generated token reads (the vocabulary head once, active experts
  // only).
  uint64_t bytes_per_token() const;
  // Multiplications and additions of weights, two for each pair, for a prompt of which only the
  // last token's logits are wanted. Attention is not in it.
  uint64_t prompt_operations(int64_t tokens) const;
  const io::TensorStore& store() const { return store_; }
  // Gives back the pages of tables that are only looked up, row by row; what is touched again comes
  // from the page cache. A look-up brings in the pages around its row too: after some thousand
  // tokens they would be a good part of the file.
  void forget_tables() const;
  // The file that the vision and audio towers came from, and what to tell the user about another
  // that was not taken; empty where there is nothing to say.
  const FoundProjector& projector() const { return projector_; }
  const std::string& text_prefix() const { return text_prefix_; }  // of the decoder's tensors in it

 private:
  Model() = default;
  Status bind(const WeightConversion* conversion);
  // A matrix that is stored in another type than `type` has no data yet.
  Status bind_tensor(const struct TensorEntry& entry, std::optional<DType> type);
  bool is_looked_up(const Matrix* matrix) const;  // rows of it, not only in products
  bool is_multiplied(const Matrix* matrix) const;
  // Rows of it that a product may take by themselves
  int64_t rows_together(const Matrix& matrix) const;
  MatrixUse use_of(const Matrix& matrix) const;
  // kResourceExhausted where the device has no room for weights of these types.
  Status check_room(const std::vector<struct TensorEntry>& entries,
                    const std::vector<std::optional<DType>>& types) const;
  // Converts the matrices without data, and makes packed copies of those that the device wants
  // packed, all in one block of memory.
  Status copy_matrices(const std::vector<TensorEntry>& entries, const WeightConversion* conversion);

  std::shared_ptr<kernels::Device> device_;  // first: the memory below is its
  Config config_;
  io::TensorStore store_;
  FoundProjector projector_;
  std::string text_prefix_;
  TextWeights weights_;
  std::vector<NamedMatrix> matrices_;
  PlacedWeights placed_;  // what the device holds of them, and norms and scales in float32
  std::array<std::span<const float>, kNumAttentionKinds> inverse_frequencies_;
  Size text_size_;
  Size per_layer_table_size_;
};

}  // namespace gemma4::model

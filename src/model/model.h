// A loaded Gemma 4 checkpoint: configuration, layer plan and weights. Immutable and shared by all
// requests.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/safetensors.h"
#include "model/config.h"
#include "model/weights.h"

namespace gemma4::model {

class Model {
 public:
  // Loads the checkpoint folder `path` (config.json and safetensors). Weights stay in the map:
  // loading reads a few pages, not the file. Errors name the file and the tensor or key.
  static Result<Model> load(const std::string& path);
  // The same from parts; for tests and fuzzing.
  static Result<Model> create(Config config, io::TensorStore store);

  const Config& config() const { return config_; }
  const TextWeights& weights() const { return weights_; }
  // Inverse rotary frequencies of the layers of one kind, [Dh/2]; empty if there are none.
  const std::vector<float>& inverse_frequencies(AttentionKind kind) const {
    return inverse_frequencies_[static_cast<size_t>(index_of(kind))];
  }
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
  const io::TensorStore& store() const { return store_; }

 private:
  Model() = default;
  Status bind();
  Status bind_tensor(const struct TensorEntry& entry);

  Config config_;
  io::TensorStore store_;
  TextWeights weights_;
  std::vector<std::unique_ptr<float[]>> vectors_;  // norms and scales, converted to float32
  std::array<std::vector<float>, kNumAttentionKinds> inverse_frequencies_;
  Size text_size_;
  Size per_layer_table_size_;
};

}  // namespace gemma4::model

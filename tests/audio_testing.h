// Audio towers for tests: made of the formula, at any size; and what they show of themselves.
#pragma once

#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "model/audio_tensors.h"
#include "model/formula_weights.h"
#include "ops/context.h"

namespace gemma4::testing {

inline int64_t num_elements(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// The tensors of the audio tower in bfloat16, by the formula of model/formula_weights.h.
inline io::TensorStore formula_audio_store(const model::Config& config, ThreadPool& pool) {
  model::AudioWeights weights;
  std::vector<std::vector<std::byte>> copies;
  io::TensorMap tensors;
  for (const model::TensorEntry& entry : model::audio_tensors(config, weights)) {
    io::Tensor tensor{DType::kBF16, entry.shape, {}};
    const int64_t count = num_elements(entry.shape);
    std::vector<std::byte> bytes(static_cast<size_t>(count) * 2);
    auto* const values = reinterpret_cast<uint16_t*>(bytes.data());
    pool.parallel_for(count, 1 << 16, [&](int64_t begin, int64_t end) {
      model::formula_bf16(entry.name, entry.shape, static_cast<uint64_t>(begin),
                          {values + begin, static_cast<size_t>(end - begin)});
    });
    tensor.bytes = bytes;
    copies.push_back(std::move(bytes));
    tensors[entry.name] = tensor;
  }
  return io::TensorStore("formula", {}, std::move(copies), std::move(tensors));
}

// Keeps what probes show: "name", or "name.layer".
class Observed : public ops::Probe {
 public:
  void observe(std::string_view name, int layer, const View& value) override {
    std::string key(name);
    if (layer >= 0) key += "." + std::to_string(layer);
    values[key].assign(value.f32(), value.f32() + value.size());
  }
  std::map<std::string, std::vector<float>> values;
};

}  // namespace gemma4::testing

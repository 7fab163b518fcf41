// Towers for tests: tensors made of the formula, at any size; what they show of themselves; how far
// that is from the reference.
#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"
#include "model/formula_weights.h"
#include "model/tensor_list.h"
#include "ops/context.h"

namespace gemma4::testing {

inline int64_t num_elements(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// These tensors in bfloat16, by the formula of model/formula_weights.h.
inline io::TensorStore formula_store(const std::vector<model::TensorEntry>& entries,
                                     ThreadPool& pool) {
  std::vector<std::vector<std::byte>> copies;
  io::TensorMap tensors;
  for (const model::TensorEntry& entry : entries) {
    io::Tensor tensor{DType::kBF16, entry.shape, {}};
    const int64_t elements = num_elements(entry.shape);
    std::vector<std::byte> bytes(static_cast<size_t>(elements) * 2);
    auto* const values = reinterpret_cast<uint16_t*>(bytes.data());
    pool.parallel_for(elements, 1 << 16, [&](int64_t begin, int64_t end) {
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

inline double relative_error(const std::vector<float>& out, const io::Tensor& tensor) {
  const std::vector<float> reference = io::read_floats(tensor).value();
  if (out.size() != reference.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    difference += std::pow(static_cast<double>(out[i]) - reference[i], 2);
    norm += std::pow(static_cast<double>(reference[i]), 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace gemma4::testing

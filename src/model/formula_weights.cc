#include "model/formula_weights.h"

#include <cmath>

#include "base/dtype.h"
#include "base/splitmix.h"

namespace gemma4::model {
namespace {

template <typename... Names>
bool is_any(std::string_view leaf, Names... names) {
  return ((leaf == names) || ...);
}

}  // namespace

uint64_t fnv1a_64(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

float formula_unit(uint64_t name_hash, uint64_t index) {
  const uint64_t bits = splitmix(name_hash + (index + 1) * kSplitMixStep);
  return static_cast<float>(bits >> 40) * 0x1p-23f - 1.0f;
}

OffsetScale formula_offset_scale(std::string_view name, std::span<const int64_t> shape) {
  const std::string_view leaf = name.substr(name.rfind('.') + 1);
  if (is_any(leaf, "input_min", "output_min")) return {-8.0f, 1.0f};
  if (is_any(leaf, "input_max", "output_max")) return {8.0f, 1.0f};
  if (leaf == "layer_scalar") return {0.85f, 0.25f};
  if (is_any(leaf, "per_expert_scale", "scale", "std_scale")) return {1.0f, 0.5f};
  if (is_any(leaf, "per_dim_scale", "std_bias", "bias", "position_embedding_table"))
    return {0.0f, 0.5f};
  if (name.find("norm") != name.npos && shape.size() == 1) return {1.0f, 0.2f};
  double fan_in = shape.empty() ? 1.0 : static_cast<double>(shape.back());
  if (shape.size() == 4 || name.find("depthwise") != name.npos) {
    fan_in = 1;
    for (size_t i = 1; i < shape.size(); ++i) fan_in *= static_cast<double>(shape[i]);
  }
  return {0.0f, static_cast<float>(std::sqrt(3.0 / fan_in))};
}

void formula_bf16(std::string_view name, std::span<const int64_t> shape, uint64_t begin,
                  std::span<uint16_t> out) {
  const auto [offset, scale] = formula_offset_scale(name, shape);
  const uint64_t hash = fnv1a_64(name);
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = f32_to_bf16(offset + scale * formula_unit(hash, begin + i));
}

}  // namespace gemma4::model

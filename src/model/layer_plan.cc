#include "model/layer_plan.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace gemma4::model {

int64_t first_shared_layer(const TextConfig& text) {
  return text.num_hidden_layers - text.num_kv_shared_layers;
}

int64_t kv_donor(const TextConfig& text, int64_t layer) {
  const auto kind = text.layer_types[static_cast<size_t>(layer)];
  int64_t donor = first_shared_layer(text) - 1;
  while (donor >= 0 && text.layer_types[static_cast<size_t>(donor)] != kind) --donor;
  return donor;
}

std::vector<LayerPlan> plan_layers(const TextConfig& text) {
  const int64_t first_shared = first_shared_layer(text);
  std::vector<LayerPlan> plans;
  for (int64_t i = 0; i < text.num_hidden_layers; ++i) {
    LayerPlan plan;
    plan.index = static_cast<int>(i);
    plan.kind = text.layer_types[static_cast<size_t>(i)];
    plan.head_dim = text.layer_head_dims[static_cast<size_t>(i)];
    plan.num_kv_heads = text.layer_kv_heads[static_cast<size_t>(i)];
    plan.owns_kv = i < first_shared;
    plan.kv_layer = plan.owns_kv ? plan.index : static_cast<int>(kv_donor(text, i));
    G4_CHECK(plan.kv_layer >= 0 || first_shared == 0);  // parse_config has checked it
    plan.value_is_key = text.attention_k_eq_v && plan.kind == AttentionKind::kFull;
    plan.intermediate_size =
        text.intermediate_size * (text.use_double_wide_mlp && !plan.owns_kv ? 2 : 1);
    plans.push_back(plan);
  }
  return plans;
}

std::vector<float> inverse_frequencies(const RopeParameters& rope, int64_t head_dim) {
  std::vector<float> frequencies(static_cast<size_t>(head_dim / 2), 0.0f);
  const auto rotated =
      rope.proportional ? static_cast<size_t>(static_cast<int64_t>(rope.partial_rotary_factor *
                                                                   static_cast<double>(head_dim)) /
                                              2)
                        : frequencies.size();
  for (size_t i = 0; i < rotated; ++i) {
    // The exponent's denominator is the whole head dimension, also when only a part of it rotates.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequencies[i] = 1.0f / std::pow(static_cast<float>(rope.rope_theta), exponent) /
                     static_cast<float>(rope.factor);
  }
  // The reference's frequency of a pair that does not rotate is zero, which 1 / 1e30 only
  // resembles.
  constexpr float kStopped = 1e30f;
  for (size_t i = 0; i < std::min(rope.divisors.size(), rotated); ++i)
    frequencies[i] = rope.divisors[i] < kStopped ? frequencies[i] / rope.divisors[i] : 0.0f;
  return frequencies;
}

}  // namespace gemma4::model

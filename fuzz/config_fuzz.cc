// Any bytes as config.json and generation_config.json: refused with a message, or a configuration
// whose layer plan, frequencies and tensor list can be made.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "model/config.h"
#include "model/layer_plan.h"
#include "model/tensor_list.h"

namespace {

using namespace gemma4::model;  // NOLINT: one short file

void use(const Config& config) {
  const TextConfig& text = config.text;
  for (const LayerPlan& plan : plan_layers(text)) {
    G4_CHECK(plan.num_kv_heads > 0 && text.num_attention_heads % plan.num_kv_heads == 0);
    G4_CHECK(plan.kv_layer >= 0 && plan.kv_layer <= plan.index);
    G4_CHECK(plan.head_dim > 0 && plan.head_dim % 2 == 0);
    if (plan.index > 3 || plan.head_dim > 4096) continue;
    (void)inverse_frequencies(text.rope_parameters[static_cast<size_t>(index_of(plan.kind))],
                              plan.head_dim);
  }
  if (text.num_hidden_layers > 64) return;  // long lists are slow and no different
  TextWeights weights;
  for (const TensorEntry& tensor : text_tensors(config, default_text_prefix(config), weights)) {
    G4_CHECK(!tensor.name.empty());
    for (const int64_t dim : tensor.shape) G4_CHECK(dim > 0);
  }
  if (config.vision && config.vision->num_hidden_layers > 64) return;
  if (config.audio && config.audio->num_hidden_layers > 64) return;
  for (const TensorEntry& tensor : tower_tensors(config))
    for (const int64_t dim : tensor.shape) G4_CHECK(dim > 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  if (const auto config = parse_config(json); config.ok())
    use(config.value());
  else
    G4_CHECK(!config.error().message.empty());
  if (const auto drafter = parse_drafter_config(json); drafter.ok()) {
    const TextConfig& text = drafter.value().text;
    G4_CHECK_EQ(plan_layers(text).size(), static_cast<size_t>(text.num_hidden_layers));
    G4_CHECK(is_drafter_config(json));
  } else {
    G4_CHECK(!drafter.error().message.empty());
  }
  if (const auto defaults = parse_generation_config(json); defaults.ok()) {
    G4_CHECK(defaults.value().temperature >= 0 && defaults.value().top_p <= 1);
    G4_CHECK(defaults.value().top_k >= 0);
  }
  return 0;
}

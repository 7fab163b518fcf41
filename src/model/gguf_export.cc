#include "model/gguf_export.h"

#include <algorithm>
#include <variant>

#include "base/check.h"
#include "base/strings.h"
#include "model/gguf_names.h"
#include "model/layer_plan.h"
#include "model/tensor_list.h"

namespace gemma4::model {
namespace {

const RopeParameters& rope_of(const TextConfig& text, AttentionKind kind) {
  return text.rope_parameters[static_cast<size_t>(index_of(kind))];
}

// Head dimension of the layers of one kind; without such layers, that of the others.
int64_t head_dim_of(const TextConfig& text, AttentionKind kind) {
  const auto found = std::ranges::find(text.layer_types, kind);
  if (found == text.layer_types.end()) return text.layer_head_dims.back();
  return text.layer_head_dims[static_cast<size_t>(found - text.layer_types.begin())];
}

Error inexpressible(const char* key) {
  return {ErrorCode::kUnsupported,
          str_cat(quote(key), ": GGUF files cannot say what this configuration has")};
}

Status check_expressible(const TextConfig& text) {
  const RopeParameters& sliding = rope_of(text, AttentionKind::kSliding);
  if (sliding.partial_rotary_factor != 1 || sliding.factor != 1)
    return inexpressible("rope_parameters.sliding_attention");
  return {};
}

// One number if all layers have the same, else one for each.
void add_per_layer(io::GgufHeader& header, const std::string& key,
                   const std::vector<int64_t>& values) {
  if (std::ranges::adjacent_find(values, std::ranges::not_equal_to()) == values.end())
    return header.add(key, static_cast<uint32_t>(values.front()));
  const std::vector<int32_t> narrow(values.begin(), values.end());
  header.add(key, std::span(narrow));
}

void add_attention(const TextConfig& text, const std::string& prefix, io::GgufHeader& header) {
  const std::string a = prefix + "attention.";
  const auto number = [&](const std::string& key, int64_t value) {
    header.add(key, static_cast<uint32_t>(value));
  };
  const int64_t full = head_dim_of(text, AttentionKind::kFull);
  const int64_t sliding = head_dim_of(text, AttentionKind::kSliding);
  number(a + "head_count", text.num_attention_heads);
  add_per_layer(header, a + "head_count_kv", text.layer_kv_heads);
  number(a + "key_length", full);
  number(a + "value_length", full);
  number(a + "key_length_swa", sliding);
  number(a + "value_length_swa", sliding);
  number(a + "sliding_window", text.sliding_window);
  std::vector<bool> slides;
  for (const AttentionKind kind : text.layer_types)
    slides.push_back(kind == AttentionKind::kSliding);
  header.add(a + "sliding_window_pattern", slides);
  number(a + "shared_kv_layers", text.num_kv_shared_layers);
  header.add(a + "layer_norm_rms_epsilon", text.rms_norm_eps);
  const auto theta = [&](AttentionKind kind) {
    return static_cast<float>(rope_of(text, kind).rope_theta);
  };
  header.add(prefix + "rope.freq_base", theta(AttentionKind::kFull));
  header.add(prefix + "rope.freq_base_swa", theta(AttentionKind::kSliding));
  number(prefix + "rope.dimension_count", full);
  number(prefix + "rope.dimension_count_swa", sliding);
}

void add_text(const TextConfig& text, const std::string& prefix, io::GgufHeader& header) {
  const auto number = [&](const char* key, int64_t value) {
    header.add(prefix + key, static_cast<uint32_t>(value));
  };
  number("block_count", text.num_hidden_layers);
  number("context_length", text.max_position_embeddings);
  number("embedding_length", text.hidden_size);
  // Other engines require it, also where there are no per-layer inputs.
  number("embedding_length_per_layer_input", text.hidden_size_per_layer_input);
  std::vector<int64_t> widths;
  for (const LayerPlan& plan : plan_layers(text)) widths.push_back(plan.intermediate_size);
  add_per_layer(header, prefix + "feed_forward_length", widths);
  add_attention(text, prefix, header);
  if (text.final_logit_softcapping)
    header.add(prefix + "final_logit_softcapping", *text.final_logit_softcapping);
  if (!text.enable_moe_block) return;
  number("expert_count", text.num_experts);
  number("expert_used_count", text.top_k_experts);
  number("expert_feed_forward_length", text.moe_intermediate_size);
}

}  // namespace

Status add_gguf_config(const Config& config, io::GgufHeader& header) {
  if (config.text.bidirectional_vision != (config.text.hidden_size_per_layer_input == 0))
    return inexpressible("use_bidirectional_attention");
  G4_RETURN_IF_ERROR(check_expressible(config.text));
  add_text(config.text, "gemma4.", header);
  return {};
}

Status add_gguf_drafter_config(const DrafterConfig& drafter, io::GgufHeader& header) {
  G4_RETURN_IF_ERROR(check_expressible(drafter.text));
  const std::string prefix = "gemma4-assistant.";
  add_text(drafter.text, prefix, header);
  const auto number = [&](const char* key, int64_t value) {
    header.add(prefix + key, static_cast<uint32_t>(value));
  };
  number("embedding_length_out", drafter.backbone_hidden_size);
  number("nextn_predict_layers", drafter.text.num_hidden_layers);
  header.add(prefix + "use_ordered_embeddings", drafter.use_ordered_embeddings);
  if (!drafter.use_ordered_embeddings) return {};
  number("n_centroids", drafter.num_centroids);
  number("centroid_top_k", drafter.centroid_intermediate_top_k);
  return {};
}

void add_gguf_generation(const GenerationDefaults& generation, io::GgufHeader& header) {
  header.add("general.sampling.temp", generation.temperature);
  header.add("general.sampling.top_k", static_cast<uint32_t>(generation.top_k));
  header.add("general.sampling.top_p", generation.top_p);
  if (!generation.suppress_tokens.empty())
    header.add("tokenizer.ggml.suppress_tokens", std::span(generation.suppress_tokens));
}

std::vector<GgufTensorEntry> gguf_tensors(const Config& config, const std::string& prefix) {
  TextWeights unused;
  std::vector<GgufTensorEntry> entries;
  for (TensorEntry& tensor : text_tensors(config, prefix, unused)) {
    const auto name = gguf_name(tensor.name);
    G4_CHECK(name.has_value());
    const bool is_router = name->ends_with("ffn_gate_inp.weight");
    entries.push_back({.name = *name,
                       .checkpoint_name = std::move(tensor.name),
                       .shape = std::move(tensor.shape),
                       .is_matrix = std::holds_alternative<Matrix*>(tensor.target) && !is_router});
  }
  return entries;
}

std::vector<GgufTensorEntry> gguf_drafter_tensors(const DrafterConfig& drafter) {
  Config config;
  config.text = drafter.text;
  std::vector<GgufTensorEntry> entries = gguf_tensors(config, "model.");
  const int64_t target = drafter.backbone_hidden_size;
  const int64_t d = drafter.text.hidden_size;
  entries.push_back({.name = "nextn.pre_projection.weight",
                     .checkpoint_name = "pre_projection.weight",
                     .shape = {d, 2 * target},
                     .is_matrix = true});
  entries.push_back({.name = "nextn.post_projection.weight",
                     .checkpoint_name = "post_projection.weight",
                     .shape = {target, d},
                     .is_matrix = true});
  if (!drafter.use_ordered_embeddings) return entries;
  entries.push_back({.name = std::string(kDrafterCentroids),
                     .checkpoint_name = "masked_embedding.centroids.weight",
                     .shape = {drafter.num_centroids, d},
                     .is_matrix = true});
  entries.push_back({.name = "masked_embd_ordering",  // without ".weight"
                     .checkpoint_name = "masked_embedding.token_ordering",
                     .shape = {drafter.text.vocab_size},
                     .is_ids = true});
  return entries;
}

std::vector<float> rope_divisors(const TextConfig& text) {
  const RopeParameters& rope = rope_of(text, AttentionKind::kFull);
  if (!rope.divisors.empty()) return rope.divisors;
  // Whatever does not rotate has frequency zero.
  std::vector<float> divisors = inverse_frequencies(rope, text.layer_head_dims.back());
  for (float& value : divisors) value = value > 0 ? static_cast<float>(rope.factor) : 1e30f;
  return divisors;
}

}  // namespace gemma4::model

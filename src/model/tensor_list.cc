#include "model/tensor_list.h"

#include "base/strings.h"
#include "model/audio_tensors.h"
#include "model/tensor_list_builder.h"
#include "model/vision_tensors.h"

namespace gemma4::model {
namespace {

using List = TensorList;

void attention_tensors(List& list, const std::string& name, const TextConfig& text, Layer& layer) {
  const LayerPlan& plan = layer.plan;
  const int64_t queries = text.num_attention_heads * plan.head_dim;
  const int64_t keys = plan.num_kv_heads * plan.head_dim;
  list.linear(name + "q_proj", queries, text.hidden_size, layer.self_attn.q_proj);
  list.norm(name + "q_norm", plan.head_dim, layer.self_attn.q_norm);
  list.linear(name + "o_proj", text.hidden_size, queries, layer.self_attn.o_proj);
  if (!plan.owns_kv) return;
  list.linear(name + "k_proj", keys, text.hidden_size, layer.self_attn.k_proj);
  list.norm(name + "k_norm", plan.head_dim, layer.self_attn.k_norm);
  if (!plan.value_is_key)
    list.linear(name + "v_proj", keys, text.hidden_size, layer.self_attn.v_proj);
}

void expert_tensors(List& list, const std::string& name, const TextConfig& text, Layer& layer) {
  const int64_t d = text.hidden_size;
  const int64_t e = text.num_experts;
  const int64_t f = text.moe_intermediate_size;
  list.linear(name + "router.proj", e, d, layer.router.proj);
  list.vector(name + "router.scale", d, layer.router.scale);
  list.vector(name + "router.per_expert_scale", e, layer.router.per_expert_scale);
  list.matrix(name + "experts.gate_up_proj", {e, 2 * f, d}, layer.experts.gate_up_proj);
  list.matrix(name + "experts.down_proj", {e, d, f}, layer.experts.down_proj);
  list.norm(name + "post_feedforward_layernorm_1", d, layer.post_feedforward_layernorm_1);
  list.norm(name + "post_feedforward_layernorm_2", d, layer.post_feedforward_layernorm_2);
  list.norm(name + "pre_feedforward_layernorm_2", d, layer.pre_feedforward_layernorm_2);
}

void layer_tensors(List& list, const TextConfig& text, Layer& layer) {
  const std::string name = str_cat("layers.", layer.plan.index, ".");
  const int64_t d = text.hidden_size;
  const int64_t f = layer.plan.intermediate_size;
  const int64_t p = text.hidden_size_per_layer_input;
  list.norm(name + "input_layernorm", d, layer.input_layernorm);
  list.norm(name + "post_attention_layernorm", d, layer.post_attention_layernorm);
  list.norm(name + "pre_feedforward_layernorm", d, layer.pre_feedforward_layernorm);
  list.norm(name + "post_feedforward_layernorm", d, layer.post_feedforward_layernorm);
  list.number(name + "layer_scalar", layer.layer_scalar);
  attention_tensors(list, name + "self_attn.", text, layer);
  list.linear(name + "mlp.gate_proj", f, d, layer.mlp.gate_proj);
  list.linear(name + "mlp.up_proj", f, d, layer.mlp.up_proj);
  list.linear(name + "mlp.down_proj", d, f, layer.mlp.down_proj);
  if (text.enable_moe_block) expert_tensors(list, name, text, layer);
  if (p > 0) {
    list.linear(name + "per_layer_input_gate", p, d, layer.per_layer_input_gate);
    list.linear(name + "per_layer_projection", d, p, layer.per_layer_projection);
    list.norm(name + "post_per_layer_input_norm", d, layer.post_per_layer_input_norm);
  }
}

// Other spellings of a published name, without "model.".
std::vector<std::string> other_names(std::string_view published) {
  constexpr std::string_view kRoot = "model.", kEmbedder = "vision_embedder.";
  const std::string_view name = published.substr(kRoot.size());
  std::vector<std::string> names = {std::string(name)};
  if (name.starts_with(kEmbedder))
    names.push_back(str_cat("embed_vision.", name.substr(kEmbedder.size())));
  if (name == "embed_vision.embedding_projection.weight")
    names.push_back("embed_vision.multimodal_embedder.embedding_projection.weight");
  return names;
}

}  // namespace

std::string default_text_prefix(const Config& config) {
  return config.text_only ? "model." : "model.language_model.";
}

std::vector<TensorEntry> text_tensors(const Config& config, const std::string& prefix,
                                      TextWeights& weights) {
  const TextConfig& text = config.text;
  weights.layers.clear();
  for (const LayerPlan& plan : plan_layers(text)) weights.layers.push_back({.plan = plan});

  List list(prefix);
  const int64_t d = text.hidden_size;
  list.matrix("embed_tokens.weight", {text.vocab_size, d}, weights.embed_tokens);
  list.norm("norm", d, weights.norm);
  if (const int64_t p = text.hidden_size_per_layer_input; p > 0) {
    const int64_t columns = text.num_hidden_layers * p;
    list.matrix("embed_tokens_per_layer.weight", {text.vocab_size_per_layer_input, columns},
                weights.embed_tokens_per_layer);
    list.linear("per_layer_model_projection", columns, d, weights.per_layer_model_projection);
    list.norm("per_layer_projection_norm", p, weights.per_layer_projection_norm);
  }
  for (Layer& layer : weights.layers) layer_tensors(list, text, layer);
  std::vector<TensorEntry> tensors = list.take();
  // An untied head (re-saved files only) stands beside the decoder, without its prefix.
  if (!text.tie_word_embeddings)
    tensors.push_back({"lm_head.weight", {text.vocab_size, d}, &weights.lm_head.weight});
  return tensors;
}

std::vector<TensorEntry> tower_tensors(const Config& config) {
  VisionWeights vision;
  AudioWeights audio;
  std::vector<TensorEntry> tensors;
  const auto add = [&](std::vector<TensorEntry> entries) {
    for (TensorEntry& entry : entries)
      tensors.push_back({std::move(entry.name), std::move(entry.shape), {}});
  };
  if (config.vision) add(vision_tensors(config, vision));
  if (config.audio) add(audio_tensors(config, audio));
  return tensors;
}

void publish_tower_names(const Config& config, io::TensorStore& store) {
  for (const TensorEntry& entry : tower_tensors(config)) {
    if (store.find(entry.name) != nullptr) continue;
    for (const std::string& name : other_names(entry.name))
      for (const std::string& spelling : {"model." + name, name})
        if (store.rename(spelling, entry.name)) break;
  }
}

Status check_tensor(const TensorEntry& entry, const io::TensorStore& store) {
  const io::Tensor* tensor = store.find(entry.name);
  const std::string what = str_cat("tensor ", quote(entry.name, 100));
  if (tensor == nullptr) return Error{ErrorCode::kInvalidData, what + " is missing"};
  if (tensor->shape != entry.shape)
    return Error{ErrorCode::kInvalidData,
                 str_cat(what, " has shape ", io::shape_string(tensor->shape),
                         ", the configuration needs ", io::shape_string(entry.shape))};
  const bool is_vector = std::holds_alternative<const float**>(entry.target) ||
                         std::holds_alternative<float*>(entry.target);
  if (is_vector ? !is_float_dtype(tensor->dtype) : !is_weight_dtype(tensor->dtype))
    return Error{ErrorCode::kInvalidData, str_cat(what, " has type ", name_of(tensor->dtype),
                                                  ", expected BF16, F16 or F32")};
  return {};
}

Status check_towers(const Config& config, const io::TensorStore& store) {
  for (const TensorEntry& entry : tower_tensors(config))
    G4_RETURN_IF_ERROR(check_tensor(entry, store));
  return {};
}

}  // namespace gemma4::model

#include "model/gguf_names.h"

#include "base/strings.h"

namespace gemma4::model {
namespace {

// '#' is the number of a layer. The checkpoint's names are those behind its prefix.
struct Names {
  std::string_view gguf;
  std::string_view checkpoint;
};
constexpr Names kNames[] = {
    {"token_embd.weight", "embed_tokens.weight"},
    {"output.weight", "lm_head.weight"},
    {"output_norm.weight", "norm.weight"},
    {"per_layer_token_embd.weight", "embed_tokens_per_layer.weight"},
    {"per_layer_model_proj.weight", "per_layer_model_projection.weight"},
    {"per_layer_proj_norm.weight", "per_layer_projection_norm.weight"},
    {"blk.#.attn_norm.weight", "layers.#.input_layernorm.weight"},
    {"blk.#.attn_q.weight", "layers.#.self_attn.q_proj.weight"},
    {"blk.#.attn_k.weight", "layers.#.self_attn.k_proj.weight"},
    {"blk.#.attn_v.weight", "layers.#.self_attn.v_proj.weight"},
    {"blk.#.attn_output.weight", "layers.#.self_attn.o_proj.weight"},
    {"blk.#.attn_q_norm.weight", "layers.#.self_attn.q_norm.weight"},
    {"blk.#.attn_k_norm.weight", "layers.#.self_attn.k_norm.weight"},
    {"blk.#.post_attention_norm.weight", "layers.#.post_attention_layernorm.weight"},
    {"blk.#.ffn_norm.weight", "layers.#.pre_feedforward_layernorm.weight"},
    {"blk.#.ffn_gate.weight", "layers.#.mlp.gate_proj.weight"},
    {"blk.#.ffn_up.weight", "layers.#.mlp.up_proj.weight"},
    {"blk.#.ffn_down.weight", "layers.#.mlp.down_proj.weight"},
    {"blk.#.post_ffw_norm.weight", "layers.#.post_feedforward_layernorm.weight"},
    {"blk.#.layer_output_scale.weight", "layers.#.layer_scalar"},
    {"blk.#.inp_gate.weight", "layers.#.per_layer_input_gate.weight"},
    {"blk.#.proj.weight", "layers.#.per_layer_projection.weight"},
    {"blk.#.post_norm.weight", "layers.#.post_per_layer_input_norm.weight"},
    {"blk.#.ffn_gate_inp.weight", "layers.#.router.proj.weight"},
    {"blk.#.ffn_gate_inp.scale", "layers.#.router.scale"},
    {"blk.#.ffn_gate_up_exps.weight", "layers.#.experts.gate_up_proj"},
    {"blk.#.ffn_down_exps.weight", "layers.#.experts.down_proj"},
    {"blk.#.ffn_down_exps.scale", "layers.#.router.per_expert_scale"},
    {"blk.#.pre_ffw_norm_2.weight", "layers.#.pre_feedforward_layernorm_2.weight"},
    {"blk.#.post_ffw_norm_1.weight", "layers.#.post_feedforward_layernorm_1.weight"},
    {"blk.#.post_ffw_norm_2.weight", "layers.#.post_feedforward_layernorm_2.weight"},
};

// `name` with the digits that follow `front` cut out: they go to `number`. Gives `name` itself when
// it begins otherwise.
std::string without_number(std::string_view name, std::string_view front, std::string& number) {
  if (!name.starts_with(front)) return std::string(name);
  size_t end = front.size();
  while (end < name.size() && name[end] >= '0' && name[end] <= '9') ++end;
  number = name.substr(front.size(), end - front.size());
  const bool canonical = !number.empty() && (number == "0" || number[0] != '0');
  return canonical ? str_cat(front, "#", name.substr(end)) : std::string(name);
}

std::string with_number(std::string_view pattern, const std::string& number) {
  const size_t at = pattern.find('#');
  if (at == pattern.npos) return std::string(pattern);
  return str_cat(pattern.substr(0, at), number, pattern.substr(at + 1));
}

}  // namespace

std::optional<std::string> checkpoint_name(std::string_view gguf_name) {
  std::string number;
  const std::string pattern = without_number(gguf_name, "blk.", number);
  for (const Names& names : kNames)
    if (names.gguf == pattern) return with_number(names.checkpoint, number);
  return std::nullopt;
}

std::optional<std::string> gguf_name(std::string_view checkpoint_name) {
  for (const std::string_view prefix : {"model.", "language_model.", "model."})
    if (checkpoint_name.starts_with(prefix)) checkpoint_name.remove_prefix(prefix.size());
  std::string number;
  const std::string pattern = without_number(checkpoint_name, "layers.", number);
  for (const Names& names : kNames)
    if (names.checkpoint == pattern) return with_number(names.gguf, number);
  return std::nullopt;
}

std::string gguf_layer(int64_t layer) { return str_cat("blk.", layer, "."); }

}  // namespace gemma4::model

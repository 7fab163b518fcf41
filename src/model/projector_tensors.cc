#include "model/projector_tensors.h"

#include <optional>
#include <span>

#include "base/check.h"
#include "base/strings.h"
#include "model/tensor_list.h"

namespace gemma4::model {
namespace {

using enum TowerChange;

// '#' is the number of a layer. A linear's name stands for its weight and its four clips.
struct Names {
  std::string_view gguf;
  std::string_view checkpoint;
  TowerChange change = kNone;
};

constexpr std::string_view kVision = "model.vision_tower.";
constexpr std::string_view kVisionLayers = "model.vision_tower.encoder.layers.";
constexpr Names kVisionNames[] = {
    {"v.patch_embd.weight", "patch_embedder.input_proj.weight", kPixelOrder},
    {"v.position_embd.weight", "patch_embedder.position_embedding_table"},
    {"v.std_bias", "std_bias"},
    {"v.std_scale", "std_scale"},
};
constexpr Names kVisionLayerNames[] = {
    {"v.blk.#.ln1.weight", "input_layernorm.weight"},
    {"v.blk.#.attn_post_norm.weight", "post_attention_layernorm.weight"},
    {"v.blk.#.ln2.weight", "pre_feedforward_layernorm.weight"},
    {"v.blk.#.ffn_post_norm.weight", "post_feedforward_layernorm.weight"},
    {"v.blk.#.attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"v.blk.#.attn_k_norm.weight", "self_attn.k_norm.weight"},
};
constexpr Names kVisionLinears[] = {
    {"v.blk.#.attn_q", "self_attn.q_proj"}, {"v.blk.#.attn_k", "self_attn.k_proj"},
    {"v.blk.#.attn_v", "self_attn.v_proj"}, {"v.blk.#.attn_out", "self_attn.o_proj"},
    {"v.blk.#.ffn_gate", "mlp.gate_proj"},  {"v.blk.#.ffn_up", "mlp.up_proj"},
    {"v.blk.#.ffn_down", "mlp.down_proj"},
};

constexpr std::string_view kAudio = "model.audio_tower.";
constexpr std::string_view kAudioLayers = "model.audio_tower.layers.";
constexpr Names kAudioNames[] = {
    {"a.conv1d.0.weight", "subsample_conv_projection.layer0.conv.weight"},
    {"a.conv1d.0.norm.weight", "subsample_conv_projection.layer0.norm.weight"},
    {"a.conv1d.1.weight", "subsample_conv_projection.layer1.conv.weight"},
    {"a.conv1d.1.norm.weight", "subsample_conv_projection.layer1.norm.weight"},
    {"a.input_projection.weight", "subsample_conv_projection.input_proj_linear.weight"},
    {"a.pre_encode.out.weight", "output_proj.weight"},  // the last layer, despite the name
    {"a.pre_encode.out.bias", "output_proj.bias"},
};
constexpr Names kAudioLayerNames[] = {
    {"a.blk.#.ffn_norm.weight", "feed_forward1.pre_layer_norm.weight"},
    {"a.blk.#.ffn_post_norm.weight", "feed_forward1.post_layer_norm.weight"},
    {"a.blk.#.ffn_norm_1.weight", "feed_forward2.pre_layer_norm.weight"},
    {"a.blk.#.ffn_post_norm_1.weight", "feed_forward2.post_layer_norm.weight"},
    {"a.blk.#.attn_pre_norm.weight", "norm_pre_attn.weight"},
    {"a.blk.#.attn_post_norm.weight", "norm_post_attn.weight"},
    {"a.blk.#.ln2.weight", "norm_out.weight"},
    // These two are crossed: "conv_norm" stands before the convolution module.
    {"a.blk.#.conv_norm.weight", "lconv1d.pre_layer_norm.weight"},
    {"a.blk.#.norm_conv.weight", "lconv1d.conv_norm.weight"},
    {"a.blk.#.conv_dw.weight", "lconv1d.depthwise_conv1d.weight"},
    {"a.blk.#.attn_k_rel.weight", "self_attn.relative_k_proj.weight"},
    {"a.blk.#.per_dim_scale.weight", "self_attn.per_dim_scale", kSoftplus},
};
constexpr Names kAudioLinears[] = {
    {"a.blk.#.ffn_up", "feed_forward1.ffw_layer_1"},
    {"a.blk.#.ffn_down", "feed_forward1.ffw_layer_2"},
    {"a.blk.#.ffn_up_1", "feed_forward2.ffw_layer_1"},
    {"a.blk.#.ffn_down_1", "feed_forward2.ffw_layer_2"},
    {"a.blk.#.attn_q", "self_attn.q_proj"},
    {"a.blk.#.attn_k", "self_attn.k_proj"},
    {"a.blk.#.attn_v", "self_attn.v_proj"},
    {"a.blk.#.attn_out", "self_attn.post"},
    {"a.blk.#.conv_pw1", "lconv1d.linear_start"},
    {"a.blk.#.conv_pw2", "lconv1d.linear_end"},
};

// Of the 12B, whose pixels and samples are projected directly.
constexpr std::string_view kEmbedder = "model.vision_embedder.";
constexpr Names kEmbedderNames[] = {
    {"v.patch_norm.1.weight", "patch_ln1.weight", kPixelOrder},
    {"v.patch_norm.1.bias", "patch_ln1.bias", kPixelOrder},
    {"v.patch_embd.weight", "patch_dense.weight", kPixelOrder},
    {"v.patch_embd.bias", "patch_dense.bias"},
    {"v.patch_norm.2.weight", "patch_ln2.weight"},
    {"v.patch_norm.2.bias", "patch_ln2.bias"},
    {"v.position_embd.weight", "pos_embedding", kSwapAxes},
    {"v.patch_norm.3.weight", "pos_norm.weight"},
    {"v.patch_norm.3.bias", "pos_norm.bias"},
};

constexpr std::string_view kProjection = "model.embed_";
constexpr Names kProjectionNames[] = {
    {"mm.input_projection.weight", "vision.embedding_projection.weight"},
    {"mm.a.input_projection.weight", "audio.embedding_projection.weight"},
};

struct Found {
  std::string name;
  TowerChange change;
};

std::optional<Found> find_in(std::span<const Names> table, std::string_view checkpoint) {
  for (const Names& names : table)
    if (names.checkpoint == checkpoint) return Found{std::string(names.gguf), names.change};
  return std::nullopt;
}

// "self_attn.q_proj.linear.weight", "self_attn.q_proj.input_min" …
std::optional<Found> find_linear(std::span<const Names> table, std::string_view checkpoint) {
  for (const std::string_view leaf :
       {".linear.weight", ".input_min", ".input_max", ".output_min", ".output_max"}) {
    if (!checkpoint.ends_with(leaf)) continue;
    auto found = find_in(table, checkpoint.substr(0, checkpoint.size() - leaf.size()));
    if (found) found->name += leaf == ".linear.weight" ? ".weight" : leaf;
    return found;
  }
  return std::nullopt;
}

// `rest` is "7.self_attn.q_norm.weight".
std::optional<Found> find_in_layer(std::span<const Names> names, std::span<const Names> linears,
                                   std::string_view rest) {
  const size_t dot = rest.find('.');
  const std::string_view number = rest.substr(0, dot);
  auto found = find_in(names, rest.substr(dot + 1));
  if (!found) found = find_linear(linears, rest.substr(dot + 1));
  if (found) found->name.replace(found->name.find('#'), 1, number);
  return found;
}

std::optional<Found> find(std::string_view checkpoint) {
  const auto rest = [&](std::string_view prefix) { return checkpoint.substr(prefix.size()); };
  if (checkpoint.starts_with(kVisionLayers))
    return find_in_layer(kVisionLayerNames, kVisionLinears, rest(kVisionLayers));
  if (checkpoint.starts_with(kAudioLayers))
    return find_in_layer(kAudioLayerNames, kAudioLinears, rest(kAudioLayers));
  if (checkpoint.starts_with(kVision)) return find_in(kVisionNames, rest(kVision));
  if (checkpoint.starts_with(kAudio)) return find_in(kAudioNames, rest(kAudio));
  if (checkpoint.starts_with(kEmbedder)) return find_in(kEmbedderNames, rest(kEmbedder));
  return find_in(kProjectionNames, rest(kProjection));
}

std::vector<int64_t> file_shape_of(const ProjectorTensor& tensor, const Config& config) {
  const std::vector<int64_t>& shape = tensor.shape;
  if (shape.empty()) return {1};
  if (tensor.change == kSwapAxes) return {shape[1], shape[0], shape[2]};
  if (tensor.is_patch_kernel && !config.vision->unified)
    return {shape[0], 3, config.vision->patch_size, config.vision->patch_size};
  if (tensor.name.ends_with(".conv_dw.weight")) return {shape[0], shape[2]};
  return shape;
}

// What other engines want in F32 although it has rows and columns.
bool is_kept_in_f32(std::string_view name) {
  return name == "v.position_embd.weight" || name == "a.input_projection.weight" ||
         name.starts_with("a.conv1d.") || name.ends_with(".conv_dw.weight");
}

}  // namespace

std::vector<ProjectorTensor> projector_tensors(const Config& config) {
  std::vector<ProjectorTensor> tensors;
  for (TensorEntry& entry : tower_tensors(config)) {
    auto found = find(entry.name);
    G4_CHECK(found.has_value());
    ProjectorTensor tensor;
    tensor.name = std::move(found->name);
    tensor.checkpoint_name = std::move(entry.name);
    tensor.shape = std::move(entry.shape);
    tensor.change = found->change;
    tensor.is_patch_kernel = tensor.name == "v.patch_embd.weight";
    tensor.file_shape = file_shape_of(tensor, config);
    tensor.is_matrix = tensor.file_shape.size() > 1 && !is_kept_in_f32(tensor.name);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace gemma4::model

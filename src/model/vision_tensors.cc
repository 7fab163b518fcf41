#include "model/vision_tensors.h"

#include "base/strings.h"
#include "model/tensor_list_builder.h"

namespace gemma4::model {
namespace {

void layer_tensors(TensorList& list, const std::string& name, const VisionConfig& vision,
                   VisionLayer& layer) {
  const int64_t d = vision.hidden_size;
  const int64_t f = vision.intermediate_size;
  const int64_t heads = vision.num_attention_heads * vision.head_dim;
  const bool clipped = vision.use_clipped_linears;
  list.norm(name + "input_layernorm", d, layer.input_layernorm);
  list.norm(name + "post_attention_layernorm", d, layer.post_attention_layernorm);
  list.norm(name + "pre_feedforward_layernorm", d, layer.pre_feedforward_layernorm);
  list.norm(name + "post_feedforward_layernorm", d, layer.post_feedforward_layernorm);
  VisionAttention& attention = layer.self_attn;
  list.clipped(name + "self_attn.q_proj", heads, d, clipped, attention.q_proj);
  list.clipped(name + "self_attn.k_proj", heads, d, clipped, attention.k_proj);
  list.clipped(name + "self_attn.v_proj", heads, d, clipped, attention.v_proj);
  list.clipped(name + "self_attn.o_proj", d, heads, clipped, attention.o_proj);
  list.norm(name + "self_attn.q_norm", vision.head_dim, attention.q_norm);
  list.norm(name + "self_attn.k_norm", vision.head_dim, attention.k_norm);
  list.clipped(name + "mlp.gate_proj", f, d, clipped, layer.gate_proj);
  list.clipped(name + "mlp.up_proj", f, d, clipped, layer.up_proj);
  list.clipped(name + "mlp.down_proj", d, f, clipped, layer.down_proj);
}

void tower_tensors(TensorList& list, const VisionConfig& vision, VisionWeights& weights) {
  const std::string tower = "vision_tower.";
  const int64_t d = vision.hidden_size;
  list.linear(tower + "patch_embedder.input_proj", d, 3 * vision.patch_size * vision.patch_size,
              weights.input_proj);
  list.matrix(tower + "patch_embedder.position_embedding_table",
              {2, vision.position_embedding_size, d}, weights.position_embedding_table);
  weights.layers.resize(static_cast<size_t>(vision.num_hidden_layers));
  for (size_t i = 0; i < weights.layers.size(); ++i)
    layer_tensors(list, str_cat(tower, "encoder.layers.", i, "."), vision, weights.layers[i]);
  if (!vision.standardize) return;
  list.vector(tower + "std_bias", d, weights.std_bias);
  list.vector(tower + "std_scale", d, weights.std_scale);
}

// The encoder-free layout of the 12B: pixels are projected directly.
void unified_tensors(TensorList& list, const VisionConfig& vision, UnifiedVisionWeights& weights) {
  const std::string name = "vision_embedder.";
  const int64_t side = vision.patch_size * vision.pooling_kernel_size;
  const int64_t pixels = 3 * side * side;
  const int64_t d = vision.mm_embed_dim;
  for (const bool bias : {false, true}) {
    const char* const leaf = bias ? ".bias" : ".weight";
    const auto target = [&](LayerNorm& norm) -> const float*& {
      return bias ? norm.bias : norm.weight;
    };
    list.vector(name + "patch_ln1" + leaf, pixels, target(weights.patch_ln1));
    list.vector(name + "patch_ln2" + leaf, d, target(weights.patch_ln2));
    list.vector(name + "pos_norm" + leaf, d, target(weights.pos_norm));
  }
  list.linear(name + "patch_dense", d, pixels, weights.patch_dense);
  list.vector(name + "patch_dense.bias", d, weights.patch_dense_bias);
  list.matrix(name + "pos_embedding", {vision.mm_posemb_size, 2, d}, weights.pos_embedding);
}

}  // namespace

std::vector<TensorEntry> vision_tensors(const Config& config, VisionWeights& weights) {
  const VisionConfig& vision = *config.vision;
  TensorList list("model.");
  weights.layers.clear();
  if (vision.unified)
    unified_tensors(list, vision, weights.unified);
  else
    tower_tensors(list, vision, weights);
  list.linear("embed_vision.embedding_projection", config.text.hidden_size,
              vision.unified ? vision.mm_embed_dim : vision.hidden_size,
              weights.embedding_projection);
  return list.take();
}

}  // namespace gemma4::model

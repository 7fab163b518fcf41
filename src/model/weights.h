// The weights of the text decoder as plain structs that mirror the checkpoint's tree. Field names
// are the checkpoint's, so `grep` works from file to code. Matrices point into the mapped
// checkpoint.
#pragma once

#include <cstdint>
#include <vector>

#include "model/layer_plan.h"
#include "ops/ops.h"

namespace gemma4::model {

struct Attention {
  ops::Linear q_proj;  // [Hq·Dh, D]
  ops::Linear k_proj;  // [Hkv·Dh, D]; empty on layers that share K and V
  ops::Linear v_proj;  // [Hkv·Dh, D]; empty there and where V is made from k_proj
  ops::Linear o_proj;  // [D, Hq·Dh]
  ops::Norm q_norm;    // [Dh]
  ops::Norm k_norm;    // [Dh]
};

struct Mlp {
  ops::Linear gate_proj;  // [F, D]
  ops::Linear up_proj;    // [F, D]
  ops::Linear down_proj;  // [D, F]
};

struct Router {
  ops::Linear proj;                         // [E, D]
  const float* scale = nullptr;             // [D]
  const float* per_expert_scale = nullptr;  // [E]
};

struct Experts {
  Matrix gate_up_proj;  // [E · 2F, D]
  Matrix down_proj;     // [E · D, F]
};

struct Layer {
  LayerPlan plan;
  ops::Norm input_layernorm;  // all norms [D]
  ops::Norm post_attention_layernorm;
  ops::Norm pre_feedforward_layernorm;
  ops::Norm post_feedforward_layernorm;
  float layer_scalar = 0;
  Attention self_attn;
  Mlp mlp;
  // Mixture of experts
  Router router;
  Experts experts;
  ops::Norm pre_feedforward_layernorm_2;
  ops::Norm post_feedforward_layernorm_1;
  ops::Norm post_feedforward_layernorm_2;
  // Per-layer inputs
  ops::Linear per_layer_input_gate;  // [P, D]
  ops::Linear per_layer_projection;  // [D, P]
  ops::Norm post_per_layer_input_norm;
};

struct TextWeights {
  Matrix embed_tokens;                     // [V, D]
  ops::Linear lm_head;                     // [V, D]; embed_tokens when tied
  ops::Norm norm;                          // [D]
  Matrix embed_tokens_per_layer;           // [V, L·P], read by row from the map, never copied
  ops::Linear per_layer_model_projection;  // [L·P, D]
  ops::Norm per_layer_projection_norm;     // [P]
  std::vector<Layer> layers;
};

}  // namespace gemma4::model

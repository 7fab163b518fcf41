// The weights of the vision tower as plain structs that mirror the checkpoint's tree. Matrices
// point into the mapped checkpoint. D is the width of the tower, I that of its MLP.
#pragma once

#include <vector>

#include "model/clipped_linear.h"

namespace gemma4::model {

struct VisionAttention {
  ClippedLinear q_proj;  // [H·Dh, D], as are the next two
  ClippedLinear k_proj;
  ClippedLinear v_proj;
  ClippedLinear o_proj;  // [D, H·Dh]
  ops::Norm q_norm;      // [Dh]
  ops::Norm k_norm;      // [Dh]
};

struct VisionLayer {
  ops::Norm input_layernorm;  // [D], as are the next three
  ops::Norm post_attention_layernorm;
  ops::Norm pre_feedforward_layernorm;
  ops::Norm post_feedforward_layernorm;
  VisionAttention self_attn;
  ClippedLinear gate_proj;  // [I, D]
  ClippedLinear up_proj;    // [I, D]
  ClippedLinear down_proj;  // [D, I]
};

struct LayerNorm {
  const float* weight = nullptr;
  const float* bias = nullptr;
};

// Of the encoder-free layout (12B): every 48 x 48 pixels by themselves. M is its width.
struct UnifiedVisionWeights {
  LayerNorm patch_ln1;                      // [6912]
  ops::Linear patch_dense;                  // [M, 6912]
  const float* patch_dense_bias = nullptr;  // [M]
  LayerNorm patch_ln2;                      // [M]
  Matrix pos_embedding;                     // [1120 · 2, M]: position p of axis a in row 2 p + a
  LayerNorm pos_norm;                       // [M]
};

struct VisionWeights {
  ops::Linear input_proj;           // [D, 3·16²]
  Matrix position_embedding_table;  // [2 · positions, D]: axis x, then axis y
  std::vector<VisionLayer> layers;
  const float* std_bias = nullptr;   // [D], null where nothing is standardised
  const float* std_scale = nullptr;  // [D]
  UnifiedVisionWeights unified;
  ops::Linear embedding_projection;  // [text hidden, D], or [text hidden, M]
};

}  // namespace gemma4::model

// What each decoder layer does, decided once at load so that the forward pass has no size-specific
// ifs.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace gemma4::model {

struct LayerPlan {
  int index = 0;
  AttentionKind kind = AttentionKind::kSliding;
  int64_t head_dim = 0;       // Dh
  int64_t num_kv_heads = 0;   // Hkv
  bool owns_kv = true;        // computes and stores its own keys and values
  int kv_layer = 0;           // whose cache it reads: its own index, or its donor's; drafter: -1
  bool value_is_key = false;  // full layers of k=v models: V comes from the raw k_proj output
  int64_t intermediate_size = 0;  // F, with the double-wide rule applied
};

// One plan per layer. The donor of a shared layer is the last layer of its type that owns K and V.
std::vector<LayerPlan> plan_layers(const TextConfig& text);

// The layer whose keys and values `layer` (>= first_shared_layer) reads: the last one of its kind
// that owns some; -1 if there is none.
int64_t kv_donor(const TextConfig& text, int64_t layer);

// The first layer that shares K and V, or the number of layers. Layers from here on write no cache:
// prompt tokens whose logits nobody wants may stop before it (the exact prompt shortcut).
int64_t first_shared_layer(const TextConfig& text);

// Inverse frequencies [Dh/2] of one kind of layer, in float32 as the reference forms them.
std::vector<float> inverse_frequencies(const RopeParameters& rope, int64_t head_dim);

}  // namespace gemma4::model

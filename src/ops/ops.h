// One short function per operation: checks the contract, takes its output from the step arena, runs
// one table entry, tells the tape. No element loops here; equations are in kernels/table.h.
//
// All views are float32 unless said otherwise. Shapes use the alphabet of docs/notation.md.
#pragma once

#include <span>

#include "base/view.h"
#include "ops/context.h"

namespace gemma4::ops {

// A linear layer without bias: y = W · x, W [out, in] in its storage type.
struct Linear {
  Matrix weight;
};

// RMSNorm; a null weight means "no learned scale". The stored weight is the multiplier itself, not
// 1 + w.
struct Norm {
  const float* weight = nullptr;
  float eps = 1e-6f;
};

// cos and sin of one layer kind for the rows of a step
struct Rope {
  View cos;  // [T, Dh/2]
  View sin;  // [T, Dh/2]
};

// Which experts each row uses
struct Routing {
  View experts;  // int32 [T, K]
  View weights;  // [T, K]
};

// Which keys each row sees and where its own go; see kernels::AttentionArgs
struct KeyRange {
  const int32_t* key_begin;     // [T]
  const int32_t* key_end;       // [T]
  const int32_t* sequence;      // [T]
  const int32_t* table_offset;  // [B]
  const int32_t* table_first;   // [B]
  const int32_t* block_table;   // all sequences' blocks, one after the other
};

View embed(const Context& ctx, const Matrix& table, std::span<const int32_t> ids,
           float scale);                                       // [T, D]
View rms_norm(const Context& ctx, View x, const Norm& norm);   // like x
View linear(const Context& ctx, View x, const Linear& layer);  // [T, in] -> [T, out]
Rope rope_table(const Context& ctx, std::span<const int32_t> positions,
                std::span<const float> inv_freq);               // [T], [Dh/2] -> two of [T, Dh/2]
void apply_rope(const Context& ctx, View x, const Rope& rope);  // [T, heads, Dh], in place
// k, v [T, Hkv, Dh] to the slots [T] of the cache
void store_kv(const Context& ctx, const kernels::KvLayer& cache, View k, View v,
              std::span<const int32_t> slots);
View attention(const Context& ctx, View q, const kernels::KvLayer& cache,
               const KeyRange& keys);                              // [T, Hq, Dh]
View gated_gelu(const Context& ctx, View gate, View up);           // [T, F]
View add(const Context& ctx, View a, View b, float scale = 1.0f);  // (a + b) · scale
View scale(const Context& ctx, View x, float factor,
           const float* weight = nullptr);  // weight [cols] or null
View gather_rows(const Context& ctx, View x, std::span<const int32_t> rows);  // [T, …] -> [R, …]
View soft_cap(const Context& ctx, View x, float cap);  // cap · tanh(x / cap), like x
// gelu(gate) ⊙ per_layer[:, index, :]; gate [T, P], per_layer [T, layers, P] -> [T, P]
View gate_per_layer(const Context& ctx, View gate, View per_layer, int64_t index);  // [T, P]
// RMS of context [T, L, P] plus the table's rows [T, L · P], from `column` on -> [T, L, P]; see
// kernels::CombinePerLayerArgs
View combine_per_layer(const Context& ctx, View context, std::span<const int32_t> ids,
                       const Matrix& table, int64_t column, const Norm& norm, float table_scale,
                       float combine_scale);
// logits [T, E], expert_scale [E]: the top_k experts of each row
Routing route(const Context& ctx, View logits, const float* expert_scale, int64_t top_k);
// x [T, D], gate_up [E · 2F, D], down [E · D, F] -> [T, D]
View experts(const Context& ctx, View x, const Routing& routing, const Matrix& gate_up,
             const Matrix& down, int64_t num_experts);
// Copies x over `target` (same size): the residual stream outlives the layer's scope.
void assign(const Context& ctx, View target, View x);

}  // namespace gemma4::ops

// One short function per operation: checks the contract, takes its output from the step arena, runs
// one table entry, tells the tape. No element loops here; equations are in kernels/table.h.
//
// All views are float32 unless said otherwise. Shapes use the alphabet of docs/notation.md.
#pragma once

#include <array>
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
  int64_t most_keys = 0;        // no row sees more; 0 = unknown
  int64_t sequences = 0;        // B; 0 = unknown
};

// A residual stream and its norm, which the next layer part reads
struct NormedSum {
  View sum;
  View normed;
  std::array<View, 2> further = {};  // other norms of the sum
};

// Uninitialised, with the shape of x
View like(const Context& ctx, const View& x);
View embed(const Context& ctx, const Matrix& table, std::span<const int32_t> ids,
           float scale);  // [T, D]
// Like x; written over `target` if there is one, which may be x.
View rms_norm(const Context& ctx, View x, const Norm& norm, View target = {});
// [T, in] -> [T, out]; written over `target` if there is one.
View linear(const Context& ctx, View x, const Linear& layer, View target = {});
// Whether the kernels clip the input and the output of this layer themselves: clipped_linear may
// have bounds then.
bool clips_products(const Context& ctx, const Linear& layer);
View clipped_linear(const Context& ctx, View x, const Linear& layer, const kernels::Bounds& input,
                    const kernels::Bounds& output, View target = {});
// Rows [begin, end) of a weight
struct RowRange {
  int64_t begin;
  int64_t end;
  bool operator==(const RowRange&) const = default;
};
// linear for some rows of the weight: what belongs to others is left as it was. [T, in] -> [T, out]
View linear_rows(const Context& ctx, View x, const Linear& layer, std::span<const RowRange> rows);
// linear for up to three layers of one input, the first of them not null; empty views for null
// layers.
std::array<View, 3> linear_group(const Context& ctx, View x, std::array<const Linear*, 3> layers);
// gelu(gate · x) ⊙ (up · x): [T, in] -> [T, F]
View gated_linear(const Context& ctx, View x, const Linear& gate, const Linear& up);
// gelu(gate · x) ⊙ per_layer[:, index, :]: x [T, in], per_layer [T, layers, P] -> [T, P]
View gated_linear(const Context& ctx, View x, const Linear& gate, View per_layer, int64_t index);
Rope rope_table(const Context& ctx, std::span<const int32_t> positions,
                std::span<const float> inv_freq);  // [T], [Dh/2] -> two of [T, Dh/2]
// The norms of the heads and the rotary embedding: q [T, Hq · Dh] -> [T, Hq, Dh]. The same for k
// [T, Hkv · Dh], which goes with the weightless norm of v to the slots [T] of the cache; k and v
// are empty when the layer reads another's cache. May write over q.
View prepare_heads(const Context& ctx, View q, View k, View v, const Norm& q_norm,
                   const Norm& k_norm, const Rope& rope, const kernels::KvLayer& cache,
                   std::span<const int32_t> slots);
// k and v [T, Hkv, Dh], each row into its slot
void store_kv(const Context& ctx, const kernels::KvLayer& cache, View k, View v,
              std::span<const int32_t> slots);
View attention(const Context& ctx, View q, const kernels::KvLayer& cache,
               const KeyRange& keys);  // [T, Hq, Dh]
// a + b, like a; written over `target` if there is one, which may be either
View add(const Context& ctx, View a, View b, View target = {});
struct ScaledNorm {
  const Norm* norm = nullptr;
  float scale = 1.0f;
};
struct AddNormed {
  float scale = 1.0f;
  const Norm* next = nullptr;  // null: no `normed`
  NormedSum target;            // written over if there; its sum may be x, its normed not h
  // What else the sum's norms are wanted for, behind `next`; the first ones count
  std::array<ScaledNorm, 2> further = {};
};
// sum = (x + norm(h)) · scale and normed = next(sum), like x
NormedSum add_normed(const Context& ctx, View x, View h, const Norm& norm,
                     const AddNormed& options = {});
// A part of a layer's update, which is normed before the parts are added up
struct Branch {
  View h;
  Norm norm;
};
// one.norm(one.h) + other.norm(other.h)
View sum_branches(const Context& ctx, const Branch& one, const Branch& other);
// add_normed() of that sum
NormedSum add_branches(const Context& ctx, View x, const Branch& one, const Branch& other,
                       const Norm& norm, const AddNormed& options = {});
struct LayerInput {
  Linear gate;        // [P, D]
  Linear projection;  // [D, P]
  Norm norm;          // of what comes of it
};
// y = x + norm(h) and, with slice `index` of per_layer [T, layers, P], the same of y and
// projection(gelu(gate(y)) ⊙ slice): an add_normed() with these options
NormedSum add_layer_input(const Context& ctx, View x, View h, const Norm& norm, View per_layer,
                          int64_t index, const LayerInput& layer, const AddNormed& options);
// weight [cols] or null. Like x; written over `target` if there is one, which may be x.
View scale(const Context& ctx, View x, float factor, const float* weight = nullptr,
           View target = {});
// x[first …] = values [count, cols], which are the program's own memory. Not in a recording.
void put_rows(const Context& ctx, View x, int64_t first, int64_t count, const float* values);
View gather_rows(const Context& ctx, View x, std::span<const int32_t> rows);  // [T, …] -> [R, …]
View soft_cap(const Context& ctx, View x, float cap);  // cap · tanh(x / cap), like x
// RMS of context [T, L, P], which is written over, plus the table's rows [T, L · P], from `column`
// on -> [T, L, P]; see kernels::CombinePerLayerArgs
View combine_per_layer(const Context& ctx, View context, std::span<const int32_t> ids,
                       const Matrix& table, int64_t column, const Norm& norm, float table_scale,
                       float combine_scale);
// logits [T, E], expert_scale [E]: the top_k experts of each row
Routing route(const Context& ctx, View logits, const float* expert_scale, int64_t top_k);
// x [T, D], gate_up [E · 2F, D], down [E · D, F] -> [T, D]
View experts(const Context& ctx, View x, const Routing& routing, const Matrix& gate_up,
             const Matrix& down, int64_t num_experts);

// The best logits of each row [R, V], [R · kCount] in the step arena, where the backend finds them
// itself; empty elsewhere.
std::span<kernels::RankedLogit> best_logits(const Context& ctx, View logits);
// What they need of the arena at most
constexpr size_t best_logits_bytes(int64_t rows) {
  return static_cast<size_t>(rows * kernels::BestLogitsArgs::kCount) *
             sizeof(kernels::RankedLogit) +
         Arena::kAlignment;
}

}  // namespace gemma4::ops

// Positions, heads, the cache of keys and values, and attention.

#include "ops/launch.h"
#include "ops/ops.h"

namespace gemma4::ops {

Rope rope_table(const Context& ctx, std::span<const int32_t> positions,
                std::span<const float> inv_freq) {
  const auto half = static_cast<int64_t>(inv_freq.size());
  const Rope rope{allocate(ctx, {count(positions), half}), allocate(ctx, {count(positions), half})};
  LAUNCH(rope_table, RopeTableArgs,
         {.cos = rope.cos.f32(),
          .sin = rope.sin.f32(),
          .positions = positions.data(),
          .inv_freq = inv_freq.data(),
          .tokens = count(positions),
          .half = half});
  return rope;
}

namespace {

// x [T, heads, Dh], in place
void apply_rope(const Context& ctx, View x, const Rope& rope) {
  LAUNCH(rope, RopeArgs,
         {.x = x.f32(),
          .cos = rope.cos.f32(),
          .sin = rope.sin.f32(),
          .tokens = x.shape[0],
          .heads = x.shape[1],
          .half = rope.cos.shape[1]});
}

}  // namespace

void store_kv(const Context& ctx, const kernels::KvLayer& cache, View k, View v,
              std::span<const int32_t> slots) {
  LAUNCH(
      store_kv, StoreKvArgs,
      {.cache = cache, .k = k.f32(), .v = v.f32(), .slots = slots.data(), .tokens = count(slots)});
}

View prepare_heads(const Context& ctx, View q, View k, View v, const Norm& q_norm,
                   const Norm& k_norm, const Rope& rope, const kernels::KvLayer& cache,
                   std::span<const int32_t> slots) {
  const int64_t tokens = q.shape[0];
  const int64_t head_dim = 2 * rope.cos.shape[1];
  G4_CHECK_EQ(tokens, rope.cos.shape[0]);
  G4_CHECK_EQ(head_dim, cache.head_dim);
  G4_CHECK_EQ(q.size() % (tokens * head_dim), 0);
  for (const View& x : {k, v}) {
    if (!k) break;
    G4_CHECK_EQ(tokens, count(slots));
    G4_CHECK_EQ(x.size(), tokens * cache.heads * head_dim);
  }
  q = q.reshaped({tokens, q.size() / (tokens * head_dim), head_dim});
  if (!fuses(ctx, &kernels::Table::prepare_heads)) {
    q = rms_norm(ctx, q, q_norm, q);
    apply_rope(ctx, q, rope);
    if (!k) return q;
    const View keys = rms_norm(ctx, k.reshaped({tokens, cache.heads, head_dim}), k_norm);
    const View values = rms_norm(ctx, v.reshaped({tokens, cache.heads, head_dim}),
                                 {.weight = nullptr, .eps = k_norm.eps});
    apply_rope(ctx, keys, rope);
    store_kv(ctx, cache, keys, values, slots);
    return q;
  }
  View out = allocate_like(ctx, q);
  LAUNCH(prepare_heads, PrepareHeadsArgs,
         {.q = out.f32(),
          .q_raw = q.f32(),
          .k_raw = k ? k.f32() : nullptr,
          .v_raw = v ? v.f32() : nullptr,
          .q_weight = q_norm.weight,
          .k_weight = k_norm.weight,
          .cos = rope.cos.f32(),
          .sin = rope.sin.f32(),
          .cache = cache,
          .slots = slots.data(),
          .tokens = tokens,
          .q_heads = q.shape[1],
          .eps = q_norm.eps});
  return out;
}

View attention(const Context& ctx, View q, const kernels::KvLayer& cache, const KeyRange& keys) {
  G4_CHECK_EQ(q.rank, 3);
  G4_CHECK_EQ(q.shape[2], cache.head_dim);
  G4_CHECK_EQ(q.shape[1] % cache.heads, 0);
  View out = allocate_like(ctx, q);
  LAUNCH(attention, AttentionArgs,
         {.out = out.f32(),
          .q = q.f32(),
          .cache = cache,
          .key_begin = keys.key_begin,
          .key_end = keys.key_end,
          .sequence = keys.sequence,
          .table_offset = keys.table_offset,
          .table_first = keys.table_first,
          .block_table = keys.block_table,
          .tokens = q.shape[0],
          .q_heads = q.shape[1],
          .most_keys = keys.most_keys,
          .sequences = keys.sequences});
  return out;
}

}  // namespace gemma4::ops

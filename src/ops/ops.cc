#include "ops/ops.h"

namespace gemma4::ops {
namespace {

View allocate(const Context& ctx, std::initializer_list<int64_t> shape, DType dtype = DType::kF32) {
  int64_t bytes = size_of(dtype);
  for (const int64_t dim : shape) bytes *= dim;
  return {ctx.arena->allocate(static_cast<size_t>(bytes)), dtype, shape};
}

View allocate_like(const Context& ctx, const View& x) {
  View out = x;
  out.data = ctx.arena->allocate(static_cast<size_t>(x.size() * size_of(x.dtype)));
  return out;
}

template <class Args>
void launch(const Context& ctx, std::string_view name,
            void (*const kernels::Table::*entry)(kernels::Queue, const Args&), const Args& args) {
  if (ctx.dry_run()) return;
  (ctx.kernels->*entry)(ctx.queue, args);
  if (ctx.tape != nullptr) [[unlikely]]
    ctx.tape->record(name, &args, sizeof args);
}

// LAUNCH(rms_norm, {...}) runs the entry of that name.
#define LAUNCH(entry, Args, ...) \
  launch<kernels::Args>(ctx, #entry, &kernels::Table::entry, kernels::Args __VA_ARGS__)

int64_t count(std::span<const int32_t> values) { return static_cast<int64_t>(values.size()); }

}  // namespace

View embed(const Context& ctx, const Matrix& table, std::span<const int32_t> ids, float scale) {
  View out = allocate(ctx, {count(ids), table.cols});
  LAUNCH(
      embed, EmbedArgs,
      {.out = out.f32(), .ids = ids.data(), .tokens = count(ids), .table = table, .scale = scale});
  return out;
}

View rms_norm(const Context& ctx, View x, const Norm& norm) {
  View out = allocate_like(ctx, x);
  LAUNCH(rms_norm, RmsNormArgs,
         {.out = out.f32(),
          .x = x.f32(),
          .weight = norm.weight,
          .rows = x.rows(),
          .cols = x.cols(),
          .eps = norm.eps});
  return out;
}

View linear(const Context& ctx, View x, const Linear& layer) {
  G4_CHECK_EQ(x.size() / x.shape[0], layer.weight.cols);
  View out = allocate(ctx, {x.shape[0], layer.weight.rows});
  LAUNCH(linear, LinearArgs,
         {.out = out.f32(), .x = x.f32(), .tokens = x.shape[0], .weight = layer.weight});
  return out;
}

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

void apply_rope(const Context& ctx, View x, const Rope& rope) {
  G4_CHECK_EQ(x.rank, 3);
  G4_CHECK_EQ(x.shape[0], rope.cos.shape[0]);
  G4_CHECK_EQ(x.shape[2], 2 * rope.cos.shape[1]);
  LAUNCH(rope, RopeArgs,
         {.x = x.f32(),
          .cos = rope.cos.f32(),
          .sin = rope.sin.f32(),
          .tokens = x.shape[0],
          .heads = x.shape[1],
          .half = rope.cos.shape[1]});
}

void store_kv(const Context& ctx, const kernels::KvLayer& cache, View k, View v,
              std::span<const int32_t> slots) {
  for (const View& x : {k, v}) {
    G4_CHECK_EQ(x.shape[0], count(slots));
    G4_CHECK_EQ(x.size(), count(slots) * cache.heads * cache.head_dim);
  }
  LAUNCH(
      store_kv, StoreKvArgs,
      {.cache = cache, .k = k.f32(), .v = v.f32(), .slots = slots.data(), .tokens = count(slots)});
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
          .q_heads = q.shape[1]});
  return out;
}

View gated_gelu(const Context& ctx, View gate, View up) {
  G4_CHECK_EQ(gate.size(), up.size());
  View out = allocate_like(ctx, gate);
  LAUNCH(gated_gelu, GatedGeluArgs,
         {.out = out.f32(),
          .gate = gate.f32(),
          .up = up.f32(),
          .rows = gate.rows(),
          .cols = gate.cols(),
          .gate_stride = gate.cols(),
          .up_stride = gate.cols()});
  return out;
}

View gate_per_layer(const Context& ctx, View gate, View per_layer, int64_t index) {
  G4_CHECK_EQ(per_layer.rank, 3);
  G4_CHECK_EQ(per_layer.shape[0], gate.shape[0]);
  G4_CHECK_EQ(per_layer.shape[2], gate.cols());
  G4_CHECK_LT(index, per_layer.shape[1]);
  View out = allocate_like(ctx, gate);
  LAUNCH(gated_gelu, GatedGeluArgs,
         {.out = out.f32(),
          .gate = gate.f32(),
          .up = per_layer.f32() + index * gate.cols(),
          .rows = gate.rows(),
          .cols = gate.cols(),
          .gate_stride = gate.cols(),
          .up_stride = per_layer.shape[1] * gate.cols()});
  return out;
}

View add(const Context& ctx, View a, View b, float scale) {
  G4_CHECK_EQ(a.size(), b.size());
  View out = allocate_like(ctx, a);
  LAUNCH(add, AddArgs,
         {.out = out.f32(), .a = a.f32(), .b = b.f32(), .n = a.size(), .scale = scale});
  return out;
}

View scale(const Context& ctx, View x, float factor, const float* weight) {
  View out = allocate_like(ctx, x);
  LAUNCH(scale, ScaleArgs,
         {.out = out.f32(),
          .x = x.f32(),
          .weight = weight,
          .rows = x.rows(),
          .cols = x.cols(),
          .scale = factor});
  return out;
}

View gather_rows(const Context& ctx, View x, std::span<const int32_t> rows) {
  View out = x;
  out.shape[0] = count(rows);
  out = allocate_like(ctx, out);
  LAUNCH(gather_rows, GatherRowsArgs,
         {.out = out.f32(),
          .x = x.f32(),
          .rows = rows.data(),
          .count = count(rows),
          .cols = x.size() / x.shape[0]});
  return out;
}

View soft_cap(const Context& ctx, View x, float cap) {
  View out = allocate_like(ctx, x);
  LAUNCH(soft_cap, SoftCapArgs, {.out = out.f32(), .x = x.f32(), .n = x.size(), .cap = cap});
  return out;
}

View combine_per_layer(const Context& ctx, View context, std::span<const int32_t> ids,
                       const Matrix& table, int64_t column, const Norm& norm, float table_scale,
                       float combine_scale) {
  G4_CHECK_EQ(context.rank, 3);
  G4_CHECK_EQ(context.shape[0], count(ids));
  G4_CHECK_LE(column + context.shape[1] * context.shape[2], table.cols);
  View out = allocate_like(ctx, context);
  LAUNCH(combine_per_layer, CombinePerLayerArgs,
         {.out = out.f32(),
          .context = context.f32(),
          .ids = ids.data(),
          .tokens = count(ids),
          .layers = context.shape[1],
          .width = context.shape[2],
          .table = table,
          .column = column,
          .weight = norm.weight,
          .eps = norm.eps,
          .table_scale = table_scale,
          .combine_scale = combine_scale});
  return out;
}

Routing route(const Context& ctx, View logits, const float* expert_scale, int64_t top_k) {
  G4_CHECK_LE(top_k, logits.cols());
  const Routing routing{allocate(ctx, {logits.rows(), top_k}, DType::kI32),
                        allocate(ctx, {logits.rows(), top_k})};
  LAUNCH(route, RouteArgs,
         {.experts = routing.experts.i32(),
          .weights = routing.weights.f32(),
          .logits = logits.f32(),
          .expert_scale = expert_scale,
          .tokens = logits.rows(),
          .num_experts = logits.cols(),
          .top_k = top_k});
  return routing;
}

View experts(const Context& ctx, View x, const Routing& routing, const Matrix& gate_up,
             const Matrix& down, int64_t num_experts) {
  const int64_t tokens = x.rows();
  const int64_t top_k = routing.experts.cols();
  G4_CHECK_EQ(down.rows, num_experts * x.cols());
  G4_CHECK_EQ(gate_up.rows, num_experts * 2 * down.cols);
  View out = allocate_like(ctx, x);
  View workspace =
      allocate(ctx, {kernels::experts_workspace_floats(tokens, top_k, x.cols(), down.cols)});
  LAUNCH(experts, ExpertsArgs,
         {.out = out.f32(),
          .x = x.f32(),
          .experts = routing.experts.i32(),
          .weights = routing.weights.f32(),
          .workspace = workspace.f32(),
          .tokens = tokens,
          .top_k = top_k,
          .num_experts = num_experts,
          .hidden = x.cols(),
          .width = down.cols,
          .gate_up = gate_up,
          .down = down});
  return out;
}

void assign(const Context& ctx, View target, View x) {
  G4_CHECK_EQ(target.size(), x.size());
  LAUNCH(scale, ScaleArgs,
         {.out = target.f32(),
          .x = x.f32(),
          .weight = nullptr,
          .rows = x.rows(),
          .cols = x.cols(),
          .scale = 1.0f});
}

}  // namespace gemma4::ops

#include "ops/ops.h"

#include <algorithm>
#include <cstring>

#include "ops/launch.h"

namespace gemma4::ops {
namespace {

// The backend runs several operations in one launch, and nobody needs to see them one by one.
template <class Entry>
bool fuses(const Context& ctx, Entry kernels::Table::*entry) {
  return ctx.kernels != nullptr && ctx.kernels->*entry != nullptr && ctx.tape == nullptr;
}

int64_t count(std::span<const int32_t> values) { return static_cast<int64_t>(values.size()); }

}  // namespace

View like(const Context& ctx, const View& x) { return allocate_like(ctx, x); }

View embed(const Context& ctx, const Matrix& table, std::span<const int32_t> ids, float scale) {
  View out = allocate(ctx, {count(ids), table.cols});
  LAUNCH(
      embed, EmbedArgs,
      {.out = out.f32(), .ids = ids.data(), .tokens = count(ids), .table = table, .scale = scale});
  return out;
}

View rms_norm(const Context& ctx, View x, const Norm& norm, View target) {
  if (!target) target = allocate_like(ctx, x);
  G4_CHECK_EQ(x.size(), target.size());
  LAUNCH(rms_norm, RmsNormArgs,
         {.out = target.f32(),
          .x = x.f32(),
          .weight = norm.weight,
          .rows = x.rows(),
          .cols = x.cols(),
          .eps = norm.eps});
  return target;
}

View linear(const Context& ctx, View x, const Linear& layer, View target) {
  return clipped_linear(ctx, x, layer, {}, {}, target);
}

bool clips_products(const Context& ctx, const Linear& layer) {
  return ctx.kernels != nullptr && ctx.kernels->clips_products && ctx.many_rows &&
         layer.weight.packed == nullptr && !is_block_dtype(layer.weight.dtype);
}

View clipped_linear(const Context& ctx, View x, const Linear& layer, const kernels::Bounds& input,
                    const kernels::Bounds& output, View target) {
  G4_CHECK_EQ(x.size() / x.shape[0], layer.weight.cols);
  if (!target) target = allocate(ctx, {x.shape[0], layer.weight.rows});
  G4_CHECK_EQ(target.size(), x.shape[0] * layer.weight.rows);
  LAUNCH(linear, LinearArgs,
         {.out = target.f32(),
          .x = x.f32(),
          .tokens = x.shape[0],
          .weight = layer.weight,
          .many_rows = ctx.many_rows,
          .input = input,
          .output = output});
  return target;
}

View linear_rows(const Context& ctx, View x, const Linear& layer, std::span<const RowRange> rows) {
  G4_CHECK_EQ(x.size() / x.shape[0], layer.weight.cols);
  View out = allocate(ctx, {x.shape[0], layer.weight.rows});
  for (const RowRange& range : rows)
    for (int64_t t = 0; t < x.shape[0]; ++t)  // an entry writes its rows one after the other
      LAUNCH(linear, LinearArgs,
             {.out = out.f32() + t * layer.weight.rows + range.begin,
              .x = x.f32() + t * layer.weight.cols,
              .tokens = 1,
              .weight = layer.weight.row_slice(range.begin, range.end - range.begin)});
  return out;
}

std::array<View, 3> linear_group(const Context& ctx, View x, std::array<const Linear*, 3> layers) {
  static_assert(kernels::LinearGroupArgs::kMost == 3);
  std::array<View, 3> outs;
  kernels::LinearGroupArgs args{.x = x.f32(), .tokens = x.shape[0]};
  const bool fused = fuses(ctx, &kernels::Table::linear_group) &&
                     std::all_of(layers.begin(), layers.end(), [&](const Linear* layer) {
                       return layer == nullptr || layer->weight.dtype == layers[0]->weight.dtype;
                     });
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i] == nullptr) continue;
    const Matrix& weight = layers[i]->weight;
    if (!fused) {
      outs[i] = linear(ctx, x, *layers[i]);
      continue;
    }
    G4_CHECK_EQ(x.size() / x.shape[0], weight.cols);
    outs[i] = allocate(ctx, {x.shape[0], weight.rows});
    args.weight[args.count] = weight;
    args.out[args.count++] = outs[i].f32();
  }
  if (fused) LAUNCH(linear_group, LinearGroupArgs, (args));
  return outs;
}

namespace {

// gelu(gate) ⊙ up, over `gate`; rows of `up` are `up_stride` elements apart
View gated_gelu(const Context& ctx, View gate, const float* up, int64_t up_stride) {
  LAUNCH(gated_gelu, GatedGeluArgs,
         {.out = gate.f32(),
          .gate = gate.f32(),
          .up = up,
          .rows = gate.rows(),
          .cols = gate.cols(),
          .gate_stride = gate.cols(),
          .up_stride = up_stride});
  return gate;
}

}  // namespace

View gated_linear(const Context& ctx, View x, const Linear& gate, const Linear& up) {
  G4_CHECK_EQ(gate.weight.rows, up.weight.rows);
  if (!fuses(ctx, &kernels::Table::gated_linear) || gate.weight.dtype != up.weight.dtype) {
    const View g = linear(ctx, x, gate);
    const View u = linear(ctx, x, up);
    return gated_gelu(ctx, g, u.f32(), u.cols());
  }
  G4_CHECK_EQ(x.size() / x.shape[0], gate.weight.cols);
  View out = allocate(ctx, {x.shape[0], gate.weight.rows});
  LAUNCH(
      gated_linear, GatedLinearArgs,
      {.out = out.f32(), .x = x.f32(), .tokens = x.shape[0], .gate = gate.weight, .up = up.weight});
  return out;
}

View gated_linear(const Context& ctx, View x, const Linear& gate, View per_layer, int64_t index) {
  const int64_t width = gate.weight.rows;
  G4_CHECK_EQ(per_layer.rank, 3);
  G4_CHECK_EQ(per_layer.shape[0], x.shape[0]);
  G4_CHECK_EQ(per_layer.shape[2], width);
  G4_CHECK_LT(index, per_layer.shape[1]);
  const float* slice = per_layer.f32() + index * width;
  const int64_t stride = per_layer.shape[1] * width;
  if (!fuses(ctx, &kernels::Table::gated_linear))
    return gated_gelu(ctx, linear(ctx, x, gate), slice, stride);
  G4_CHECK_EQ(x.size() / x.shape[0], gate.weight.cols);
  View out = allocate(ctx, {x.shape[0], width});
  LAUNCH(gated_linear, GatedLinearArgs,
         {.out = out.f32(),
          .x = x.f32(),
          .tokens = x.shape[0],
          .gate = gate.weight,
          .multiplier = slice,
          .multiplier_stride = stride});
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

namespace {

// (a + b) · scale -> out, which may be a
View add_into(const Context& ctx, View out, View a, View b, float scale) {
  LAUNCH(add, AddArgs,
         {.out = out.f32(), .a = a.f32(), .b = b.f32(), .n = a.size(), .scale = scale});
  return out;
}

}  // namespace

View add(const Context& ctx, View a, View b, View target) {
  if (!target) target = allocate_like(ctx, a);
  G4_CHECK_EQ(a.size(), b.size());
  G4_CHECK_EQ(a.size(), target.size());
  return add_into(ctx, target, a, b, 1.0f);
}

namespace {

// Takes the results' room into `out` and says everything that the fused entry needs.
kernels::AddNormedArgs add_normed_args(const Context& ctx, View x, View h, const Norm& norm,
                                       const AddNormed& options, NormedSum& out) {
  static_assert(std::tuple_size_v<decltype(out.further)> + 1 == kernels::AddNormedArgs::kMost);
  G4_CHECK_EQ(x.size(), h.size());
  out = options.target;
  const auto make = [&](View& view) {
    if (!view) view = allocate_like(ctx, x);
    G4_CHECK_EQ(x.size(), view.size());
    return view.f32();
  };
  kernels::AddNormedArgs args{.sum = make(out.sum),
                              .x = x.f32(),
                              .h = h.f32(),
                              .weight = norm.weight,
                              .rows = x.rows(),
                              .cols = x.cols(),
                              .eps = norm.eps,
                              .scale = options.scale};
  size_t count = 0;
  const auto add = [&](View& view, const Norm& next, float scale) {
    G4_CHECK_EQ(norm.eps, next.eps);
    args.normed[count++] = {.out = make(view), .weight = next.weight, .scale = scale};
  };
  if (options.next != nullptr) add(out.normed, *options.next, 1.0f);
  for (size_t i = 0; i < options.further.size() && options.further[i].norm != nullptr; ++i)
    add(out.further[i], *options.further[i].norm, options.further[i].scale);
  return args;
}

}  // namespace

NormedSum add_normed(const Context& ctx, View x, View h, const Norm& norm,
                     const AddNormed& options) {
  NormedSum out;
  const bool fused = fuses(ctx, &kernels::Table::add_normed);
  const View update = fused ? View() : rms_norm(ctx, h, norm);
  const kernels::AddNormedArgs args = add_normed_args(ctx, x, h, norm, options, out);
  if (fused) {
    LAUNCH(add_normed, AddNormedArgs, (args));
    return out;
  }
  add_into(ctx, out.sum, x, update, options.scale);
  if (options.next != nullptr) rms_norm(ctx, out.sum, *options.next, out.normed);
  for (size_t i = 0; i < options.further.size(); ++i) {
    const auto& [next, factor] = options.further[i];
    if (next == nullptr) break;
    rms_norm(ctx, out.sum, *next, out.further[i]);
    if (factor != 1) scale(ctx, out.further[i], factor, nullptr, out.further[i]);
  }
  return out;
}

View sum_branches(const Context& ctx, const Branch& one, const Branch& other) {
  return add_normed(ctx, rms_norm(ctx, one.h, one.norm), other.h, other.norm).sum;
}

NormedSum add_branches(const Context& ctx, View x, const Branch& one, const Branch& other,
                       const Norm& norm, const AddNormed& options) {
  if (!fuses(ctx, &kernels::Table::add_branches))
    return add_normed(ctx, x, sum_branches(ctx, one, other), norm, options);
  G4_CHECK_EQ(one.h.size(), other.h.size());
  G4_CHECK(norm.eps == one.norm.eps && norm.eps == other.norm.eps);
  NormedSum out;
  LAUNCH(add_branches, AddBranchesArgs,
         {.sum = add_normed_args(ctx, x, one.h, norm, options, out),
          .h_weight = one.norm.weight,
          .other = other.h.f32(),
          .other_weight = other.norm.weight});
  return out;
}

NormedSum add_layer_input(const Context& ctx, View x, View h, const Norm& norm, View per_layer,
                          int64_t index, const LayerInput& layer, const AddNormed& options) {
  const Matrix& gate = layer.gate.weight;
  kernels::LayerInputArgs args{
      .x = x.f32(),
      .h = h.f32(),
      .per_layer = per_layer.f32() + index * gate.rows,
      .gate = gate,
      .projection = layer.projection.weight,
      .post_mlp = norm.weight,
      .post_input = layer.norm.weight,
      .next_norm = options.next != nullptr ? options.next->weight : nullptr,
      .rows = x.rows(),
      .per_layer_stride = per_layer.shape[1] * gate.rows,
      .eps = norm.eps,
      .scale = options.scale};
  const bool same_eps =
      norm.eps == layer.norm.eps && (options.next == nullptr || options.next->eps == norm.eps);
  // A dry run makes room for the longer way.
  if (ctx.dry_run() || !same_eps || !fuses(ctx, &kernels::Table::add_layer_input) ||
      !ctx.kernels->can_add_layer_input(ctx.queue, args)) {
    x = add_normed(ctx, x, h, norm).sum;
    const View gated = gated_linear(ctx, x, layer.gate, per_layer, index);  // no norm before it
    return add_normed(ctx, x, linear(ctx, gated, layer.projection), layer.norm, options);
  }
  G4_CHECK_EQ(x.size(), h.size());
  G4_CHECK_EQ(x.cols(), gate.cols);
  G4_CHECK_EQ(layer.projection.weight.rows, gate.cols);
  G4_CHECK_EQ(layer.projection.weight.cols, gate.rows);
  G4_CHECK_EQ(per_layer.shape[0], x.shape[0]);
  G4_CHECK_EQ(per_layer.shape[2], gate.rows);
  G4_CHECK_LT(index, per_layer.shape[1]);
  NormedSum out = options.target;
  if (!out.sum) out.sum = allocate_like(ctx, x);
  G4_CHECK_EQ(x.size(), out.sum.size());
  if (options.next != nullptr) {
    if (!out.normed) out.normed = allocate_like(ctx, x);
    G4_CHECK_EQ(x.size(), out.normed.size());
    args.normed = out.normed.f32();
  }
  args.sum = out.sum.f32();
  LAUNCH(add_layer_input, LayerInputArgs, (args));
  return out;
}

View scale(const Context& ctx, View x, float factor, const float* weight, View target) {
  if (!target) target = allocate_like(ctx, x);
  G4_CHECK_EQ(x.size(), target.size());
  LAUNCH(scale, ScaleArgs,
         {.out = target.f32(),
          .x = x.f32(),
          .weight = weight,
          .rows = x.rows(),
          .cols = x.cols(),
          .scale = factor});
  return target;
}

void put_rows(const Context& ctx, View x, int64_t first, int64_t count, const float* values) {
  G4_CHECK(first >= 0 && first + count <= x.rows());
  if (ctx.dry_run()) return;
  float* const target = x.f32() + first * x.cols();
  const auto bytes = static_cast<size_t>(count * x.cols()) * sizeof(float);
  if (ctx.device == nullptr)
    std::memcpy(target, values, bytes);
  else
    ctx.device->upload(target, values, bytes);
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
  LAUNCH(combine_per_layer, CombinePerLayerArgs,
         {.out = context.f32(),
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
  return context;
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

std::span<kernels::RankedLogit> best_logits(const Context& ctx, View logits) {
  if (!fuses(ctx, &kernels::Table::best_logits)) return {};
  constexpr int64_t kCount = kernels::BestLogitsArgs::kCount;
  const View out = allocate(ctx, {logits.rows(), kCount, 2}, DType::kI32);
  auto* const ranked = static_cast<kernels::RankedLogit*>(out.data);
  LAUNCH(best_logits, BestLogitsArgs,
         {.out = ranked, .logits = logits.f32(), .rows = logits.rows(), .cols = logits.cols()});
  return {ranked, static_cast<size_t>(logits.rows() * kCount)};
}

}  // namespace gemma4::ops

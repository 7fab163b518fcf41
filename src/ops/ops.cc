#include "ops/ops.h"

#include <cstring>

#include "ops/launch.h"

namespace gemma4::ops {

View like(const Context& ctx, const View& x) { return allocate_like(ctx, x); }

View embed(const Context& ctx, const Matrix& table, std::span<const int32_t> ids, float scale) {
  View out = allocate(ctx, {count(ids), table.cols});
  LAUNCH(
      embed, EmbedArgs,
      {.out = out.f32(), .ids = ids.data(), .tokens = count(ids), .table = table, .scale = scale});
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

#include "ops/vision_ops.h"

#include "ops/launch.h"

namespace gemma4::ops {

Rope rope_axes_tables(const Context& ctx, std::span<const int32_t> positions,
                      std::span<const float> inverse_frequencies, int64_t axes) {
  const auto rows = static_cast<int64_t>(positions.size());
  const auto half = static_cast<int64_t>(inverse_frequencies.size());
  G4_CHECK_EQ(rows % axes, 0);
  const Rope rope{allocate(ctx, {axes, rows / axes, half}),
                  allocate(ctx, {axes, rows / axes, half})};
  LAUNCH(rope_table, RopeTableArgs,
         {.cos = rope.cos.f32(),
          .sin = rope.sin.f32(),
          .positions = positions.data(),
          .inv_freq = inverse_frequencies.data(),
          .tokens = rows,
          .half = half});
  return rope;
}

void rope_axes(const Context& ctx, View x, const Rope& rope) {
  const int64_t axes = rope.cos.shape[0], half = rope.cos.shape[2];
  G4_CHECK_EQ(x.rank, 3);
  G4_CHECK_EQ(x.shape[0], rope.cos.shape[1]);
  G4_CHECK_EQ(x.shape[2], axes * 2 * half);
  LAUNCH(rope_axes, RopeAxesArgs,
         {.x = x.f32(),
          .cos = rope.cos.f32(),
          .sin = rope.sin.f32(),
          .tokens = x.shape[0],
          .heads = x.shape[1],
          .axes = axes,
          .half = half});
}

View pool(const Context& ctx, View x, const Pooling& p, View target) {
  const int64_t squares = p.rows / p.side * (p.cols / p.side);
  G4_CHECK_EQ(x.shape[0], squares * p.side * p.side);
  G4_CHECK_EQ(x.shape[0], p.rows * p.cols);
  if (!target) target = allocate(ctx, {squares, x.cols()});
  G4_CHECK_EQ(target.size(), squares * x.cols());
  LAUNCH(pool, PoolArgs,
         {.out = target.f32(),
          .x = x.f32(),
          .bias = p.bias,
          .weight = p.weight,
          .rows = p.rows,
          .cols = p.cols,
          .side = p.side,
          .width = x.cols(),
          .scale = p.scale});
  return target;
}

View layer_norm(const Context& ctx, View x, const float* weight, const float* bias, float eps,
                View target) {
  if (!target) target = allocate_like(ctx, x);
  G4_CHECK_EQ(x.size(), target.size());
  LAUNCH(layer_norm, LayerNormArgs,
         {.out = target.f32(),
          .x = x.f32(),
          .weight = weight,
          .bias = bias,
          .rows = x.rows(),
          .cols = x.cols(),
          .eps = eps});
  return target;
}

View gated_gelu(const Context& ctx, View gate, View up) {
  G4_CHECK_EQ(gate.size(), up.size());
  LAUNCH(gated_gelu, GatedGeluArgs,
         {.out = gate.f32(),
          .gate = gate.f32(),
          .up = up.f32(),
          .rows = gate.rows(),
          .cols = gate.cols(),
          .gate_stride = gate.cols(),
          .up_stride = up.cols()});
  return gate;
}

}  // namespace gemma4::ops

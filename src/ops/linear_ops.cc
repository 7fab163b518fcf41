// Linear layers, alone, in groups and gated.

#include <algorithm>

#include "ops/launch.h"
#include "ops/ops.h"

namespace gemma4::ops {

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

}  // namespace gemma4::ops

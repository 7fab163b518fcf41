// The residual stream: norms, sums, and both together.

#include "ops/launch.h"
#include "ops/ops.h"

namespace gemma4::ops {

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

}  // namespace gemma4::ops

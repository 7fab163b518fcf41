#include "ops/audio_ops.h"

#include "ops/launch.h"

namespace gemma4::ops {

View subsample(const Context& ctx, View x, const Matrix& weight, const Norm& norm) {
  G4_CHECK_EQ(x.rank, 3);
  G4_CHECK_EQ(weight.cols, 9 * x.shape[2]);
  G4_CHECK(weight.dtype == DType::kF32);
  View out = allocate(ctx, {(x.shape[0] + 1) / 2, (x.shape[1] + 1) / 2, weight.rows});
  LAUNCH(subsample, SubsampleArgs,
         {.out = out.f32(),
          .x = x.f32(),
          .frames = x.shape[0],
          .bands = x.shape[1],
          .channels = x.shape[2],
          .weight = weight,
          .norm = norm.weight,
          .eps = norm.eps});
  return out;
}

View clip(const Context& ctx, View x, Bounds bounds, const float* bias, View target) {
  if (!target) target = allocate_like(ctx, x);
  G4_CHECK_EQ(x.size(), target.size());
  LAUNCH(clip, ClipArgs,
         {.out = target.f32(),
          .x = x.f32(),
          .bias = bias,
          .rows = x.rows(),
          .cols = x.cols(),
          .bounds = bounds});
  return target;
}

View silu(const Context& ctx, View x, Bounds before, Bounds after) {
  LAUNCH(silu, SiluArgs,
         {.out = x.f32(), .x = x.f32(), .n = x.size(), .before = before, .after = after});
  return x;
}

View light_conv(const Context& ctx, View x, const LightConv& conv, Bounds before, Bounds after) {
  G4_CHECK_EQ(x.cols() % 2, 0);
  View out = allocate(ctx, {x.rows(), x.cols() / 2});
  LAUNCH(light_conv, LightConvArgs,
         {.out = out.f32(),
          .x = x.f32(),
          .kernel = conv.kernel,
          .norm = conv.norm.weight,
          .tokens = x.rows(),
          .width = x.cols() / 2,
          .taps = conv.taps,
          .eps = conv.norm.eps,
          .before = before,
          .after = after});
  return out;
}

View local_attention(const Context& ctx, View q, View k, View v, const LocalHeads& heads) {
  G4_CHECK_EQ(heads.relative.rank, 3);
  G4_CHECK_EQ(q.cols(), heads.relative.shape[1] * heads.relative.shape[2]);
  G4_CHECK_EQ(q.size(), k.size());
  G4_CHECK_EQ(q.size(), v.size());
  G4_CHECK_LE(heads.relative.shape[0], kernels::kMostLocalKeys);
  View out = allocate_like(ctx, q);
  LAUNCH(local_attention, LocalAttentionArgs,
         {.out = out.f32(),
          .q = q.f32(),
          .k = k.f32(),
          .v = v.f32(),
          .relative = heads.relative.f32(),
          .q_scale = heads.q_scale,
          .k_scale = heads.k_scale,
          .cap = heads.cap,
          .tokens = q.rows(),
          .heads = heads.relative.shape[1],
          .head_dim = heads.relative.shape[2],
          .window = heads.relative.shape[0]});
  return out;
}

}  // namespace gemma4::ops

// The operations that only the audio tower has; equations are in kernels/table.h. T counts rows in
// time.
#pragma once

#include "kernels/table.h"
#include "ops/ops.h"

namespace gemma4::ops {

using kernels::Bounds;

// A block of the front end: x [frames, bands, C] -> [ceil(frames / 2), ceil(bands / 2), N]; weight
// [N, 9·C] F32, norm [N]
View subsample(const Context& ctx, View x, const Matrix& weight, const Norm& norm);
// clip(x + bias), like x; bias [cols] or null. Written over `target` if there is one, which may be
// x.
View clip(const Context& ctx, View x, Bounds bounds, const float* bias = nullptr, View target = {});
// after(silu(before(x))), over x
View silu(const Context& ctx, View x, Bounds before, Bounds after);

struct LightConv {
  const float* kernel = nullptr;  // [J, D], oldest row first
  int64_t taps = 0;               // J
  Norm norm;                      // [D]
};
// x [T, 2·D] -> [T, D]
View light_conv(const Context& ctx, View x, const LightConv& conv, Bounds before, Bounds after);

struct LocalHeads {
  View relative;                   // [W, H, Dh]
  const float* q_scale = nullptr;  // [Dh]
  float k_scale = 1;
  float cap = 0;
};
// q, k, v [T, H·Dh] -> like q
View local_attention(const Context& ctx, View q, View k, View v, const LocalHeads& heads);

}  // namespace gemma4::ops

// The linear layer of the towers: its input and output are held between bounds.
#pragma once

#include <cmath>

#include "ops/audio_ops.h"

namespace gemma4::model {

struct ClippedLinear {
  ops::Linear linear;
  ops::Bounds input;
  ops::Bounds output;
};

// x itself where nothing would change; written over `target` if there is one, which may be x
inline View held(const ops::Context& ctx, View x, const ops::Bounds& bounds, View target = {}) {
  const bool open = std::isinf(bounds.low) && std::isinf(bounds.high);
  return open ? x : ops::clip(ctx, x, bounds, nullptr, target);
}

// x [T, in] -> [T, out]
inline View clipped_linear(const ops::Context& ctx, View x, const ClippedLinear& layer) {
  if (ops::clips_products(ctx, layer.linear))
    return ops::clipped_linear(ctx, x, layer.linear, layer.input, layer.output);
  const View out = ops::linear(ctx, held(ctx, x, layer.input), layer.linear);
  return held(ctx, out, layer.output, out);
}

}  // namespace gemma4::model

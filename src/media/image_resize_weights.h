// Which source samples an output sample of the resampler is made of, and how much of each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "media/image_resize.h"

namespace gemma4::media {

// Output i is clamp((1 << (precision - 1) + Σ_j weights[i][j] · source[first[i] + j]) >>
// precision).
struct AxisWeights {
  int64_t taps = 0;  // of every output; those beyond its own are zero
  int precision = 0;
  std::vector<int32_t> first;    // [n_out]
  std::vector<int32_t> count;    // [n_out], 1 to taps
  std::vector<int32_t> weights;  // [n_out, taps]

  const int32_t* of(int64_t i) const { return weights.data() + i * taps; }
};

AxisWeights axis_weights(int64_t n_in, int64_t n_out, ResizeVariant variant);

}  // namespace gemma4::media

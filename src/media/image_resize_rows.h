// The inner loops of the resampler, vectorised; integers, so that every instruction set gives the
// same bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "media/image_resize_weights.h"

namespace gemma4::media {

// Bytes behind a row of pixels that must be readable, whatever they are.
inline constexpr int64_t kRowPadding = 64;

// The weights of an axis as a row of pixels meets them.
struct PixelWeights {
  int64_t taps = 0;              // of every output, whole vectors
  std::vector<int32_t> weights;  // [n_out, taps, 4]: each weight four times, those beyond are zero
};
PixelWeights pixel_weights(const AxisWeights& axis);

// One row along its columns: out[x, c] for x in [0, width). `row` is readable kRowPadding bytes
// behind the last pixel that has a weight.
void resample_columns_of(const uint8_t* row, const AxisWeights& axis, const PixelWeights& weights,
                         int64_t width, uint8_t* out);

// One output row of several: out[i] from rows[j][i] with weight j, for i in [0, samples).
void resample_rows_of(std::span<const uint8_t* const> rows, const int32_t* weights, int precision,
                      int64_t samples, uint8_t* out);

}  // namespace gemma4::media

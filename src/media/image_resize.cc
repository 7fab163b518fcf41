#include "media/image_resize.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "media/image_resize_weights.h"

namespace gemma4::media {
namespace {

constexpr int64_t kChannels = 3;

uint8_t clamp_to_byte(int32_t value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

void for_rows(ThreadPool* pool, int64_t rows, const auto& body) {
  constexpr int64_t kGrain = 16;
  if (pool == nullptr)
    body(0, rows);
  else
    pool->parallel_for(rows, kGrain, body);
}

void resample_row(const uint8_t* row, const AxisWeights& axis, int64_t width, uint8_t* out) {
  const int32_t half = axis.precision > 0 ? 1 << (axis.precision - 1) : 0;
  for (int64_t x = 0; x < width; ++x, out += kChannels) {
    const auto at = static_cast<size_t>(x);
    const uint8_t* source = row + kChannels * axis.first[at];
    const int32_t* const weights = axis.of(x);
    int32_t sum[kChannels] = {half, half, half};
    for (int32_t j = 0; j < axis.count[at]; ++j, source += kChannels)
      for (int64_t c = 0; c < kChannels; ++c) sum[c] += weights[j] * source[c];
    for (int64_t c = 0; c < kChannels; ++c) out[c] = clamp_to_byte(sum[c] >> axis.precision);
  }
}

Image resample_columns(const Image& image, int64_t width, ResizeVariant variant, ThreadPool* pool) {
  const AxisWeights axis = axis_weights(image.width, width, variant);
  Image out{width, image.height, {}};
  out.rgb.resize(static_cast<size_t>(kChannels * width * image.height));
  for_rows(pool, image.height, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y)
      resample_row(image.rgb.data() + kChannels * image.width * y, axis, width,
                   out.rgb.data() + kChannels * width * y);
  });
  return out;
}

Image resample_rows(const Image& image, int64_t height, ResizeVariant variant, ThreadPool* pool) {
  const AxisWeights axis = axis_weights(image.height, height, variant);
  const int64_t samples = kChannels * image.width;
  Image out{image.width, height, {}};
  out.rgb.resize(static_cast<size_t>(samples * height));
  const int32_t half = axis.precision > 0 ? 1 << (axis.precision - 1) : 0;
  for_rows(pool, height, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> sums(static_cast<size_t>(samples));
    for (int64_t y = begin; y < end; ++y) {
      std::fill(sums.begin(), sums.end(), half);
      for (int32_t j = 0; j < axis.count[static_cast<size_t>(y)]; ++j) {
        const uint8_t* const row =
            image.rgb.data() + samples * (axis.first[static_cast<size_t>(y)] + j);
        const int32_t weight = axis.of(y)[j];
        for (int64_t i = 0; i < samples; ++i) sums[static_cast<size_t>(i)] += weight * row[i];
      }
      uint8_t* const to = out.rgb.data() + samples * y;
      for (int64_t i = 0; i < samples; ++i)
        to[i] = clamp_to_byte(sums[static_cast<size_t>(i)] >> axis.precision);
    }
  });
  return out;
}

}  // namespace

Image resize_bicubic(const Image& image, int64_t width, int64_t height, ResizeVariant variant,
                     ThreadPool* pool) {
  G4_CHECK(width > 0 && height > 0 && image.width > 0 && image.height > 0);
  Image columns;
  const Image* source = &image;
  if (width != image.width) {
    columns = resample_columns(image, width, variant, pool);
    source = &columns;
  }
  if (height != image.height) return resample_rows(*source, height, variant, pool);
  return source == &image ? image : columns;
}

}  // namespace gemma4::media

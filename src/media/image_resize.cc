#include "media/image_resize.h"

#include <cstring>
#include <vector>

#include "base/check.h"
#include "media/image_resize_rows.h"
#include "media/image_resize_weights.h"

namespace gemma4::media {
namespace {

constexpr int64_t kChannels = 3;

void for_rows(ThreadPool* pool, int64_t rows, const auto& body) {
  constexpr int64_t kGrain = 16;
  if (pool == nullptr)
    body(0, rows);
  else
    pool->parallel_for(rows, kGrain, body);
}

Image resample_columns(const Image& image, int64_t width, ResizeVariant variant, ThreadPool* pool) {
  const AxisWeights axis = axis_weights(image.width, width, variant);
  const PixelWeights weights = pixel_weights(axis);
  const int64_t samples = kChannels * image.width;
  Image out{width, image.height, {}};
  out.rgb.resize(static_cast<size_t>(kChannels * width * image.height));
  for_rows(pool, image.height, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> row(static_cast<size_t>(samples + kRowPadding));
    for (int64_t y = begin; y < end; ++y) {
      std::memcpy(row.data(), image.rgb.data() + samples * y, static_cast<size_t>(samples));
      resample_columns_of(row.data(), axis, weights, width, out.rgb.data() + kChannels * width * y);
    }
  });
  return out;
}

Image resample_rows(const Image& image, int64_t height, ResizeVariant variant, ThreadPool* pool) {
  const AxisWeights axis = axis_weights(image.height, height, variant);
  const int64_t samples = kChannels * image.width;
  Image out{image.width, height, {}};
  out.rgb.resize(static_cast<size_t>(samples * height));
  for_rows(pool, height, [&](int64_t begin, int64_t end) {
    std::vector<const uint8_t*> rows;
    for (int64_t y = begin; y < end; ++y) {
      const auto at = static_cast<size_t>(y);
      rows.clear();
      for (int64_t j = 0; j < axis.count[at]; ++j)
        rows.push_back(image.rgb.data() + samples * (axis.first[at] + j));
      resample_rows_of(rows, axis.of(y), axis.precision, samples, out.rgb.data() + samples * y);
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

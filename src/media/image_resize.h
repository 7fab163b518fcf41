// Bicubic resampling with antialiasing, 8 bits in and out, as the reference's image libraries do
// it: one axis after the other, in fixed point, so that results are equal to the bit.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "media/image.h"

namespace gemma4::media {

// Whose fixed point: they differ by one in about one sample of a hundred.
enum class ResizeVariant {
  kTorchvision,  // 16-bit weights, their precision chosen by the largest; the reference's default
  kPillow,       // weights of 22 fractional bits
};

// `image` as width x height pixels; an axis whose size does not change is left alone. Sizes must be
// positive. With a pool, rows are shared by its threads; the result does not depend on it.
Image resize_bicubic(const Image& image, int64_t width, int64_t height,
                     ResizeVariant variant = ResizeVariant::kTorchvision,
                     ThreadPool* pool = nullptr);

}  // namespace gemma4::media

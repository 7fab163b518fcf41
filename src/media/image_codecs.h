// What each format fills in behind image.h. Decoders see whole files in memory.
#pragma once

#include <cstddef>
#include <span>

#include "media/image.h"

namespace gemma4::media {

struct DecodedImage {
  Image image;
  int orientation = 1;  // of EXIF, 1 to 8
};

Result<DecodedImage> decode_jpeg(std::span<const std::byte> file, const ImageLimits& limits);
Result<DecodedImage> decode_png(std::span<const std::byte> file, const ImageLimits& limits);
Result<DecodedImage> decode_webp(std::span<const std::byte> file, const ImageLimits& limits);
Result<DecodedImage> decode_gif(std::span<const std::byte> file, const ImageLimits& limits);

Result<std::vector<std::byte>> encode_png(const Image& image);

// The picture as it is meant to be seen, EXIF's `orientation` being 1 to 8.
Image oriented(Image image, int orientation);

// kResourceExhausted where a picture of this size is beyond the limits.
Status check_size(int64_t width, int64_t height, const ImageLimits& limits);

}  // namespace gemma4::media

// Pictures as 8-bit RGB: JPEG, PNG, WebP and GIF (the first frame) from a file, from memory, from a
// data URL.
//
//   G4_ASSIGN_OR_RETURN(const Image image, read_image("photo.jpg"));
//
// Colours as the reference's loader has them: the EXIF orientation is applied, profiles and gamma
// are not; alpha is dropped, not composed; of 16 bits the high byte stays; CMYK is read as Adobe
// writes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::media {

struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// What a hostile file may cost. Checked against the header, before pixels are decoded.
struct ImageLimits {
  uint64_t max_file_bytes = 256ull << 20;
  int64_t max_pixels = 100'000'000;  // three bytes each, and six more in a progressive JPEG
  int64_t max_side = 131'072;
  int max_scans = 64;  // of a progressive JPEG; each goes through all pixels
};

// Whether this build decodes pictures at all.
bool decodes_images();

// Errors: kInvalidData for a damaged or truncated picture, kUnsupported for another format or a
// build without decoders, kResourceExhausted beyond a limit (says which).
Result<Image> decode_image(std::span<const std::byte> file, const ImageLimits& limits = {});
// The same from a file; errors name it. Also kNotFound, kIo.
Result<Image> read_image(const std::string& path, const ImageLimits& limits = {});
// The same from "data:image/png;base64,…".
Result<Image> image_from_data_url(std::string_view url, const ImageLimits& limits = {});

// "image/png", "image/jpeg", "image/webp" or "image/gif", by the first bytes; empty for another
// file
std::string_view image_media_type(std::span<const std::byte> file);

// Writes a PNG file, replacing it at once. Errors: kIo, kUnsupported as above.
Status write_png(const std::string& path, const Image& image);

}  // namespace gemma4::media

// The one field of EXIF data that changes what a picture shows.
#pragma once

#include <cstddef>
#include <span>

namespace gemma4::media {

// `tiff` is EXIF data from its byte order mark on, or with "Exif\0\0" in front. 1 to 8; 1 (as it
// is) where the field is missing or anything is out of bounds, as the reference does.
int exif_orientation(std::span<const std::byte> tiff);

}  // namespace gemma4::media

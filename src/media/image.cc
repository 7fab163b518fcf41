#include "media/image.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/strings.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "media/data_url.h"
#include "media/image_codecs.h"

namespace gemma4::media {
namespace {

bool begins_with(std::span<const std::byte> file, std::string_view magic, size_t offset = 0) {
  return file.size() >= offset + magic.size() &&
         std::memcmp(file.data() + offset, magic.data(), magic.size()) == 0;
}

using Decoder = Result<DecodedImage> (*)(std::span<const std::byte>, const ImageLimits&);

struct Format {
  std::string_view media_type;
  Decoder decode = nullptr;
};

// Empty where the first bytes are none that a decoder knows.
Format format_of(std::span<const std::byte> file) {
  if (begins_with(file, "\xff\xd8\xff")) return {"image/jpeg", decode_jpeg};
  if (begins_with(file, "\x89PNG\r\n\x1a\n")) return {"image/png", decode_png};
  if (begins_with(file, "RIFF") && begins_with(file, "WEBP", 8)) return {"image/webp", decode_webp};
  if (begins_with(file, "GIF87a") || begins_with(file, "GIF89a")) return {"image/gif", decode_gif};
  return {};
}

Result<DecodedImage> decode_any(std::span<const std::byte> file, const ImageLimits& limits) {
  if (const Decoder decode = format_of(file).decode) return decode(file, limits);
  if (file.empty()) return Error{ErrorCode::kInvalidData, "the file is empty"};
  return Error{ErrorCode::kUnsupported,
               "not a picture of a known format (JPEG, PNG, WebP and GIF are)"};
}

}  // namespace

std::string_view image_media_type(std::span<const std::byte> file) {
  return format_of(file).media_type;
}

// Orientations 5 to 8 change rows and columns; what a pixel
// of the result reads is its own place, mirrored where the number says so.
Image oriented(Image image, int orientation) {
  if (orientation <= 1) return image;
  const bool transposes = orientation >= 5;
  const bool mirrors_x =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirrors_y =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out{transposes ? image.height : image.width, transposes ? image.width : image.height, {}};
  out.rgb.resize(image.rgb.size());
  uint8_t* to = out.rgb.data();
  for (int64_t y = 0; y < out.height; ++y) {
    for (int64_t x = 0; x < out.width; ++x, to += 3) {
      int64_t from_x = transposes ? y : x, from_y = transposes ? x : y;
      if (mirrors_x) from_x = image.width - 1 - from_x;
      if (mirrors_y) from_y = image.height - 1 - from_y;
      std::memcpy(to, image.rgb.data() + 3 * (from_y * image.width + from_x), 3);
    }
  }
  return out;
}

Status check_size(int64_t width, int64_t height, const ImageLimits& limits) {
  if (width < 1 || height < 1)
    return Error{ErrorCode::kInvalidData, str_cat("a picture of ", width, "x", height, " pixels")};
  if (width > limits.max_side || height > limits.max_side || width > limits.max_pixels / height)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("a picture of ", width, "x", height, " pixels is beyond the limit of ",
                         limits.max_pixels, " pixels and ", limits.max_side, " on a side")};
  return {};
}

Result<Image> decode_image(std::span<const std::byte> file, const ImageLimits& limits) {
  if (file.size() > limits.max_file_bytes)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("a file of ", human_bytes(file.size()), " is beyond the limit of ",
                         human_bytes(limits.max_file_bytes), " for pictures")};
  try {
    G4_ASSIGN_OR_RETURN(DecodedImage decoded, decode_any(file, limits));
    return oriented(std::move(decoded.image), decoded.orientation);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kResourceExhausted, "not enough memory for the picture"};
  }
}

Result<Image> read_image(const std::string& path, const ImageLimits& limits) {
  G4_ASSIGN_OR_RETURN(const io::MappedFile file, io::MappedFile::open(path));
  auto image = decode_image(file.bytes(), limits);
  if (!image.ok()) return image.error().with_context(path);
  return image;
}

Result<Image> image_from_data_url(std::string_view url, const ImageLimits& limits) {
  G4_ASSIGN_OR_RETURN(const DataUrl file, parse_data_url(url, limits.max_file_bytes));
  auto image = decode_image(file.bytes, limits);
  if (!image.ok())
    return image.error().with_context(str_cat("data URL of type ", quote(file.media_type)));
  return image;
}

Status write_png(const std::string& path, const Image& image) {
  G4_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, encode_png(image));
  G4_ASSIGN_OR_RETURN(io::AtomicFile file, io::AtomicFile::create(path));
  G4_RETURN_IF_ERROR(file.write(bytes));
  return file.commit();
}

}  // namespace gemma4::media

// PNG by libpng. Its errors leave through longjmp, so everything with a destructor is in a
// PngReader or PngWriter outside of what calls it.
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/strings.h"
#include "media/image_codecs.h"
#include "media/image_exif.h"

namespace gemma4::media {
namespace {

struct PngMessage {
  char text[128] = "damaged";
};

void on_error(png_structp png, png_const_charp message) {
  auto* const kept = static_cast<PngMessage*>(png_get_error_ptr(png));
  std::strncpy(kept->text, message, sizeof kept->text - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

struct PngReader {
  PngMessage message;
  std::span<const std::byte> rest;  // of the file
  png_structp png = nullptr;
  png_infop info = nullptr;
  int orientation = 1;
  bool is_complete = false;  // all pixels are there
  size_t bytes_beyond = 0;   // that were read since
  std::vector<png_bytep> rows;
  Image image;

  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

// Behind the last pixel the library inflates whatever else there is, to throw it away.
constexpr size_t kMostBytesBeyond = 1 << 16;

bool has_all_pixels(png_structp png, const PngReader& reader) {
  if (png_get_interlace_type(png, reader.info) != PNG_INTERLACE_NONE)
    return png_get_current_pass_number(png) >= PNG_INTERLACE_ADAM7_PASSES;
  return png_get_current_row_number(png) >= reader.rows.size();
}

void read_bytes(png_structp png, png_bytep target, size_t count) {
  auto& reader = *static_cast<PngReader*>(png_get_io_ptr(png));
  if (!reader.rows.empty() && has_all_pixels(png, reader)) {
    reader.bytes_beyond += count;
    reader.is_complete = reader.bytes_beyond > kMostBytesBeyond;
    if (reader.is_complete) png_error(png, "");
  }
  if (reader.rest.size() < count) png_error(png, "the file is truncated");
  std::memcpy(target, reader.rest.data(), count);
  reader.rest = reader.rest.subspan(count);
}

bool read_header(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_set_read_fn(reader.png, &reader, read_bytes);
  png_set_user_limits(reader.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // the caller looks, and says
  // Texts and profiles are neither inflated nor kept: a file may have thousands, of megabytes each.
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  constexpr png_byte kExif[] = {'e', 'X', 'I', 'f', 0};
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_AS_DEFAULT, kExif, 1);
  png_set_chunk_malloc_max(reader.png, 8 << 20);
  png_read_info(reader.png, reader.info);
  reader.image.width = png_get_image_width(reader.png, reader.info);
  reader.image.height = png_get_image_height(reader.png, reader.info);
  return true;
}

// To three bytes a pixel; without png_set_tRNS_to_alpha and with strip_alpha, colours stay what
// they are under transparency.
bool read_pixels(PngReader& reader) {
  png_structp png = reader.png;
  png_infop info = reader.info;
  if (setjmp(png_jmpbuf(png)) != 0) return reader.is_complete;
  png_bytep exif = nullptr;
  png_uint_32 exif_bytes = 0;
  if (png_get_eXIf_1(png, info, &exif_bytes, &exif) != 0)
    reader.orientation = exif_orientation({reinterpret_cast<const std::byte*>(exif), exif_bytes});
  png_set_strip_16(png);
  png_set_palette_to_rgb(png);
  if (png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) < 8)
    png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_alpha(png);
  png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != static_cast<size_t>(3 * reader.image.width))
    png_error(png, "pixels of an unknown kind");
  png_read_image(png, reader.rows.data());
  return true;  // what may follow the pixels is not asked for
}

struct PngWriter {
  PngMessage message;
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<std::byte> bytes;
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

void write_bytes(png_structp png, png_bytep bytes, size_t count) {
  auto& writer = *static_cast<PngWriter*>(png_get_io_ptr(png));
  const auto* const from = reinterpret_cast<const std::byte*>(bytes);
  writer.bytes.insert(writer.bytes.end(), from, from + count);
}

bool write_pixels(PngWriter& writer, const Image& image) {
  png_structp png = writer.png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &writer, write_bytes, nullptr);
  png_set_IHDR(png, writer.info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, writer.info);
  for (int64_t y = 0; y < image.height; ++y)
    png_write_row(png, image.rgb.data() + 3 * image.width * y);
  png_write_end(png, nullptr);
  return true;
}

Error failed(ErrorCode code, const PngMessage& message) {
  return {code, str_cat("PNG: ", message.text)};
}

}  // namespace

Result<DecodedImage> decode_png(std::span<const std::byte> file, const ImageLimits& limits) {
  PngReader reader;
  reader.rest = file;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader.message, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) return failed(ErrorCode::kResourceExhausted, {"not enough memory"});
  if (!read_header(reader)) return failed(ErrorCode::kInvalidData, reader.message);
  const int64_t width = reader.image.width, height = reader.image.height;
  G4_RETURN_IF_ERROR(check_size(width, height, limits));
  reader.image.rgb.resize(static_cast<size_t>(3 * width * height));
  for (int64_t y = 0; y < height; ++y)
    reader.rows.push_back(reader.image.rgb.data() + 3 * width * y);
  if (!read_pixels(reader)) return failed(ErrorCode::kInvalidData, reader.message);
  return DecodedImage{std::move(reader.image), reader.orientation};
}

Result<std::vector<std::byte>> encode_png(const Image& image) {
  PngWriter writer;
  writer.png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer.message, on_error, on_warning);
  if (writer.png != nullptr) writer.info = png_create_info_struct(writer.png);
  if (writer.info == nullptr || !write_pixels(writer, image))
    return failed(ErrorCode::kResourceExhausted, writer.message);
  return std::move(writer.bytes);
}

}  // namespace gemma4::media

// JPEG by libjpeg-turbo. Its errors leave through longjmp, so what it calls and what calls it keeps
// everything with a destructor in a JpegReader outside.
#include <csetjmp>
#include <cstdio>
#include <cstring>

// After <cstdio>, which it needs.
#include <jerror.h>
#include <jpeglib.h>

#include "base/strings.h"
#include "media/image_codecs.h"
#include "media/image_exif.h"

namespace gemma4::media {
namespace {

struct JpegReader {
  jpeg_error_mgr errors{};
  jpeg_decompress_struct info{};
  jpeg_progress_mgr progress{};
  jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = "";
  bool ended_early = false;  // a marker was put where bytes are missing
  int max_scans = 0;
  bool too_many_scans = false;
  std::vector<uint8_t> row;  // of CMYK
  Image image;

  ~JpegReader() { jpeg_destroy_decompress(&info); }
};

JpegReader& reader_of(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }

void on_error(j_common_ptr info) {
  info->err->format_message(info, reader_of(info).message);
  longjmp(reader_of(info).escape, 1);
}

// Damage that the decoder passes over is passed over by the reference too; missing bytes are not.
void on_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) reader_of(info).ended_early = true;
}

void on_progress(j_common_ptr info) {
  JpegReader& reader = reader_of(info);
  if (reader.info.input_scan_number <= reader.max_scans) return;
  reader.too_many_scans = true;
  longjmp(reader.escape, 1);
}

bool read_header(JpegReader& reader, std::span<const std::byte> file) {
  reader.info.err = jpeg_std_error(&reader.errors);
  reader.info.client_data = &reader;
  reader.errors.error_exit = on_error;
  reader.errors.emit_message = on_message;
  if (setjmp(reader.escape) != 0) return false;
  jpeg_create_decompress(&reader.info);
  reader.progress.progress_monitor = on_progress;
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, reinterpret_cast<const unsigned char*>(file.data()),
               static_cast<unsigned long>(file.size()));
  jpeg_save_markers(&reader.info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&reader.info, TRUE);
  return true;
}

uint8_t multiply_255(int a, int b) {
  const int t = a * b + 128;
  return static_cast<uint8_t>((t + (t >> 8)) >> 8);
}

// As Adobe writes CMYK: all four inverted, so that `k` here is 255 - K.
void rgb_of_inverted_cmyk(const uint8_t* cmyk, int64_t pixels, uint8_t* rgb) {
  for (int64_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; ++c)
      rgb[c] = static_cast<uint8_t>(cmyk[3] - multiply_255(255 - cmyk[c], cmyk[3]));
}

bool read_pixels(JpegReader& reader) {
  if (setjmp(reader.escape) != 0) return false;
  jpeg_decompress_struct& info = reader.info;
  const bool is_cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&info);
  const auto width = static_cast<int64_t>(info.output_width);
  while (info.output_scanline < info.output_height) {
    uint8_t* row = reader.image.rgb.data() + 3 * width * static_cast<int64_t>(info.output_scanline);
    JSAMPROW target = is_cmyk ? reader.row.data() : row;
    jpeg_read_scanlines(&info, &target, 1);
    if (is_cmyk) rgb_of_inverted_cmyk(reader.row.data(), width, row);
    if (reader.ended_early) return false;
  }
  return true;  // what may follow the last row is not asked for
}

Error invalid(const JpegReader& reader) {
  if (reader.too_many_scans)
    return {ErrorCode::kResourceExhausted,
            str_cat("JPEG: more than ", reader.max_scans, " scans, the limit for pictures")};
  if (reader.ended_early) return {ErrorCode::kInvalidData, "JPEG: the file is truncated"};
  return {ErrorCode::kInvalidData, str_cat("JPEG: ", reader.message)};
}

}  // namespace

bool decodes_images() { return true; }

Result<DecodedImage> decode_jpeg(std::span<const std::byte> file, const ImageLimits& limits) {
  JpegReader reader;
  reader.max_scans = limits.max_scans;
  if (!read_header(reader, file)) return invalid(reader);
  reader.image.width = reader.info.image_width;
  reader.image.height = reader.info.image_height;
  G4_RETURN_IF_ERROR(check_size(reader.image.width, reader.image.height, limits));
  DecodedImage decoded;
  for (const jpeg_marker_struct* marker = reader.info.marker_list; marker != nullptr;
       marker = marker->next) {
    const std::span data(reinterpret_cast<const std::byte*>(marker->data), marker->data_length);
    if (data.size() >= 6 && std::memcmp(data.data(), "Exif\0\0", 6) == 0) {
      decoded.orientation = exif_orientation(data);
      break;
    }
  }
  reader.image.rgb.resize(static_cast<size_t>(3 * reader.image.width * reader.image.height));
  reader.row.resize(static_cast<size_t>(4 * reader.image.width));
  if (!read_pixels(reader)) return invalid(reader);
  decoded.image = std::move(reader.image);
  return decoded;
}

}  // namespace gemma4::media

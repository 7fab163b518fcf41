// WebP by libwebp: still pictures, and the first frame of moving ones.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "base/strings.h"
#include "media/image_codecs.h"
#include "media/image_exif.h"

namespace gemma4::media {
namespace {

Error invalid(const char* problem) { return {ErrorCode::kInvalidData, str_cat("WebP: ", problem)}; }

const uint8_t* bytes_of(std::span<const std::byte> file) {
  return reinterpret_cast<const uint8_t*>(file.data());
}

int orientation_of(std::span<const std::byte> file) {
  const WebPData data{bytes_of(file), file.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(WebPDemux(&data),
                                                                     WebPDemuxDelete);
  if (demuxer == nullptr) return 1;
  WebPChunkIterator chunk;
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &chunk) != 0)
    orientation =
        exif_orientation({reinterpret_cast<const std::byte*>(chunk.chunk.bytes), chunk.chunk.size});
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

// The first frame on its canvas, which is black where the frame does not reach.
Status decode_first_frame(std::span<const std::byte> file, Image& image) {
  WebPAnimDecoderOptions options;
  if (WebPAnimDecoderOptionsInit(&options) == 0) return invalid("unknown version of libwebp");
  options.color_mode = MODE_RGBA;
  const WebPData data{bytes_of(file), file.size()};
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(
      WebPAnimDecoderNew(&data, &options), WebPAnimDecoderDelete);
  if (decoder == nullptr) return invalid("damaged or truncated");
  uint8_t* canvas = nullptr;  // the decoder's
  int time_ms = 0;
  if (WebPAnimDecoderGetNext(decoder.get(), &canvas, &time_ms) == 0)
    return invalid("the first frame is damaged or truncated");
  for (size_t pixel = 0; pixel < image.rgb.size() / 3; ++pixel)
    for (size_t c = 0; c < 3; ++c) image.rgb[3 * pixel + c] = canvas[4 * pixel + c];
  return {};
}

}  // namespace

Result<DecodedImage> decode_webp(std::span<const std::byte> file, const ImageLimits& limits) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes_of(file), file.size(), &features) != VP8_STATUS_OK)
    return invalid("the header is damaged or truncated");
  G4_RETURN_IF_ERROR(check_size(features.width, features.height, limits));
  DecodedImage decoded;
  Image& image = decoded.image;
  image.width = features.width;
  image.height = features.height;
  image.rgb.resize(static_cast<size_t>(3 * image.width * image.height));
  if (features.has_animation != 0) {
    G4_RETURN_IF_ERROR(decode_first_frame(file, image));
  } else if (WebPDecodeRGBInto(bytes_of(file), file.size(), image.rgb.data(), image.rgb.size(),
                               3 * features.width) == nullptr) {
    return invalid("damaged or truncated");
  }
  decoded.orientation = orientation_of(file);
  return decoded;
}

}  // namespace gemma4::media

// A build without decoders of pictures: each says so.
#include "media/image_codecs.h"

namespace gemma4::media {
namespace {

Error left_out() {
  return {ErrorCode::kUnsupported,
          "this build cannot read pictures; build it with -DGEMMA4_IMAGES=ON"};
}

}  // namespace

bool decodes_images() { return false; }
Result<DecodedImage> decode_jpeg(std::span<const std::byte>, const ImageLimits&) {
  return left_out();
}
Result<DecodedImage> decode_png(std::span<const std::byte>, const ImageLimits&) {
  return left_out();
}
Result<DecodedImage> decode_webp(std::span<const std::byte>, const ImageLimits&) {
  return left_out();
}
Result<DecodedImage> decode_gif(std::span<const std::byte>, const ImageLimits&) {
  return left_out();
}
Result<std::vector<std::byte>> encode_png(const Image&) { return left_out(); }

}  // namespace gemma4::media

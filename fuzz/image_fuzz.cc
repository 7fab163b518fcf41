// Any bytes as a picture, from memory and from a data URL: one error of one line, or as many pixels
// as its size says.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "media/image.h"

namespace {

void check(const gemma4::Result<gemma4::media::Image>& image,
           const gemma4::media::ImageLimits& limits) {
  if (!image.ok()) {
    const std::string& message = image.error().message;
    if (message.empty() || message.find('\n') != std::string::npos) std::abort();
    return;
  }
  const gemma4::media::Image& pixels = image.value();
  if (pixels.width < 1 || pixels.height < 1 || pixels.width > limits.max_side ||
      pixels.height > limits.max_side || pixels.width * pixels.height > limits.max_pixels ||
      static_cast<int64_t>(pixels.rgb.size()) != 3 * pixels.width * pixels.height)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gemma4::media;
  const ImageLimits limits{.max_pixels = 1 << 20, .max_side = 1 << 14};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with("data:"))
    check(image_from_data_url(text, limits), limits);
  else
    check(decode_image(std::as_bytes(std::span(data, size)), limits), limits);
  return 0;
}

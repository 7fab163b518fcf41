// The whole way of a film from a file to pictures: container, codec, colours.

#include <cstdint>
#include <cstdlib>

#include "media/video.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gemma4::media;
  const VideoSampling sampling{.num_frames = 4};
  const VideoLimits limits{.max_pixels = 1 << 16, .max_seconds = 5};
  int64_t last = -1;
  int64_t frames = 0;
  const auto film =
      decode_video(std::as_bytes(std::span(data, size)), sampling, limits, [&](VideoFrame&& frame) {
        const Image& image = frame.image;
        if (frame.index <= last || !(frame.seconds >= 0) || image.width < 1 || image.height < 1 ||
            image.width * image.height > limits.max_pixels ||
            static_cast<int64_t>(image.rgb.size()) != image.width * image.height * 3)
          std::abort();
        last = frame.index;
        ++frames;
        return gemma4::Status();
      });
  if (!film.ok()) {
    if (film.error().message.empty() || film.error().message.find('\n') != std::string::npos)
      std::abort();
    return 0;
  }
  if (frames < 1 || frames > sampling.num_frames || frames > film.value().total_frames)
    std::abort();
  return 0;
}

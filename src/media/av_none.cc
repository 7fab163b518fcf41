// A build without FFmpeg: every sound and video is refused.

#include "media/sound.h"
#include "media/video.h"

namespace gemma4::media {
namespace {

Error refused() {
  return {ErrorCode::kUnsupported,
          "this build decodes no sound and video; build it with -DGEMMA4_AV=ON"};
}

}  // namespace

bool decodes_av() { return false; }

Result<Sound> decode_sound(std::span<const std::byte>, const SoundLimits&, const std::string&) {
  return refused();
}

Result<bool> has_moving_pictures(std::span<const std::byte>, const std::string&) {
  return refused();
}

Result<VideoSummary> decode_video(std::span<const std::byte>, const VideoSampling&,
                                  const VideoLimits&, const FrameConsumer&, const std::string&) {
  return refused();
}

}  // namespace gemma4::media

// Sound and video from files and data URLs: the same whatever decodes them.

#include "base/strings.h"
#include "io/mapped_file.h"
#include "media/data_url.h"
#include "media/sound.h"
#include "media/video.h"

namespace gemma4::media {
namespace {

// decode(bytes, name) of the file at `path`; its errors name the file.
template <typename Decode>
auto from_file(const std::string& path, const Decode& decode)
    -> decltype(decode(std::span<const std::byte>(), path)) {
  G4_ASSIGN_OR_RETURN(const io::MappedFile file, io::MappedFile::open(path));
  auto result = decode(file.bytes(), path.substr(path.rfind('/') + 1));
  if (!result.ok()) return result.error().with_context(path);
  return result;
}

template <typename Decode>
auto from_data_url(std::string_view url, uint64_t max_bytes, const Decode& decode)
    -> decltype(decode(std::span<const std::byte>(), std::string())) {
  G4_ASSIGN_OR_RETURN(const DataUrl file, parse_data_url(url, max_bytes));
  auto result = decode(file.bytes, std::string());
  if (!result.ok())
    return result.error().with_context(str_cat("data URL of type ", quote(file.media_type)));
  return result;
}

}  // namespace

Result<Sound> read_sound(const std::string& path, const SoundLimits& limits) {
  return from_file(path, [&](std::span<const std::byte> file, const std::string& name) {
    return decode_sound(file, limits, name);
  });
}

Result<Sound> sound_from_data_url(std::string_view url, const SoundLimits& limits) {
  return from_data_url(url, limits.max_file_bytes,
                       [&](std::span<const std::byte> file, const std::string& name) {
                         return decode_sound(file, limits, name);
                       });
}

Result<VideoSummary> read_video(const std::string& path, const VideoSampling& sampling,
                                const VideoLimits& limits, const FrameConsumer& consume) {
  return from_file(path, [&](std::span<const std::byte> file, const std::string& name) {
    return decode_video(file, sampling, limits, consume, name);
  });
}

Result<VideoSummary> video_from_data_url(std::string_view url, const VideoSampling& sampling,
                                         const VideoLimits& limits, const FrameConsumer& consume) {
  return from_data_url(url, limits.max_file_bytes,
                       [&](std::span<const std::byte> file, const std::string& name) {
                         return decode_video(file, sampling, limits, consume, name);
                       });
}

}  // namespace gemma4::media

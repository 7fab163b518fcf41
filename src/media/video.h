// Films as the model sees them: a few still pictures with their times (video.md, sections 1 and 2).
//
//   G4_ASSIGN_OR_RETURN(const VideoSummary film, read_video("film.mp4", {}, {}, [&](VideoFrame&& f)
//   {
//     frames.push_back(resize(f.image));  // one at a time: whole films do not fit memory
//     return Status();
//   }));
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "media/image.h"

namespace gemma4::media {

// What is seen of pixels that are not opaque: as much white as they let through, or their colour as
// if they were (the encoder-free models, multimodal-prompt.md, section 9.1).
enum class FrameAlpha { kOverWhite, kDropped };

// Which frames are taken: `num_frames`, spread over the whole film, or `fps` of each second.
struct VideoSampling {
  int64_t num_frames = 32;
  double fps = 0;           // 0: num_frames
  int64_t max_frames = 60;  // of either
  FrameAlpha alpha = FrameAlpha::kOverWhite;
};

struct VideoLimits {
  uint64_t max_file_bytes = 4ull << 30;
  int64_t max_pixels = 40'000'000;  // of a frame
  double max_seconds = 120;         // of work
};

struct VideoFrame {
  Image image;         // upright
  int64_t index = 0;   // in the film, from 0
  double seconds = 0;  // index / frames per second
};

struct VideoSummary {
  int64_t total_frames = 0;
  double fps = 0;
  bool fps_is_assumed = false;  // the film does not say
  bool has_sound = false;
  bool is_damaged = false;      // frames could not be decoded; others stand for them
  int64_t frames_left_out = 0;  // were asked for beyond VideoSampling::max_frames
  double seconds() const { return static_cast<double>(total_frames) / fps; }
};

// Frames that are asked for, before the limit: at most `total`.
int64_t wanted_frames(int64_t total, double fps, const VideoSampling& sampling);
// floor(i · total / n) for the n frames that are taken: those wanted, at most max_frames.
std::vector<int64_t> sampled_frames(int64_t total, double fps, const VideoSampling& sampling);
// "00:07": minutes and whole seconds.
std::string time_stamp(double seconds);

// Whether the file is a film; if not, it holds sound. Errors: as those of decode_sound, of a file
// with neither too.
Result<bool> has_moving_pictures(std::span<const std::byte> file, const std::string& name = {});

// Calls `consume` for each chosen frame, in order; its error ends the call. Errors: as those of
// decode_sound, of a file without pictures too.
using FrameConsumer = std::function<Status(VideoFrame&&)>;
Result<VideoSummary> decode_video(std::span<const std::byte> file, const VideoSampling& sampling,
                                  const VideoLimits& limits, const FrameConsumer& consume,
                                  const std::string& name = {});
Result<VideoSummary> read_video(const std::string& path, const VideoSampling& sampling,
                                const VideoLimits& limits, const FrameConsumer& consume);
Result<VideoSummary> video_from_data_url(std::string_view url, const VideoSampling& sampling,
                                         const VideoLimits& limits, const FrameConsumer& consume);

}  // namespace gemma4::media

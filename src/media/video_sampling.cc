#include <algorithm>
#include <cmath>
#include <cstdio>

#include "media/video.h"

namespace gemma4::media {

int64_t wanted_frames(int64_t total, double fps, const VideoSampling& sampling) {
  int64_t count = sampling.num_frames;
  if (sampling.fps > 0) {
    const double wanted = static_cast<double>(total) / fps * sampling.fps;
    count = static_cast<int64_t>(std::clamp(wanted, 1.0, 1e9));
  }
  return std::clamp<int64_t>(count, 0, total);
}

std::vector<int64_t> sampled_frames(int64_t total, double fps, const VideoSampling& sampling) {
  const int64_t count = std::min(wanted_frames(total, fps, sampling), sampling.max_frames);
  std::vector<int64_t> indexes;
  for (int64_t i = 0; i < count; ++i)  // i · total / count without overflow
    indexes.push_back(i * (total / count) + i * (total % count) / count);
  return indexes;
}

std::string time_stamp(double seconds) {
  const auto whole = static_cast<int64_t>(std::clamp(seconds, 0.0, 1e12));
  char text[32];
  std::snprintf(text, sizeof text, "%02lld:%02lld", static_cast<long long>(whole / 60),
                static_cast<long long>(whole % 60));
  return text;
}

}  // namespace gemma4::media

// Any samples: as many features as samples make, finite where the samples are, and of the beginning
// alone what they are of the whole.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "media/log_mel.h"

namespace {

using namespace gemma4::media;

void require(bool holds) {
  if (!holds) std::abort();
}

// The samples that frame `i` hears.
bool hears_only_finite(const std::vector<float>& samples, int64_t i) {
  const int64_t begin = std::max<int64_t>(160 * i - 160, 0), end = 160 * i + 160;
  return std::all_of(samples.begin() + begin, samples.begin() + end,
                     [](float sample) { return std::isfinite(sample); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<float> samples(std::min<size_t>(size / sizeof(float), 4 * kSampleRate));
  if (!samples.empty()) std::memcpy(samples.data(), data, samples.size() * sizeof(float));
  const auto count = static_cast<int64_t>(samples.size());
  const std::vector<float> features = log_mel(samples);
  const int64_t frames = num_mel_frames(count);
  require(static_cast<int64_t>(features.size()) == frames * kMelBands);
  require(frames <= num_padded_mel_frames(count));
  const float floor = static_cast<float>(std::log(0.001));
  for (int64_t i = 0; i < frames; ++i) {
    if (!hears_only_finite(samples, i)) continue;
    for (int64_t m = 0; m < kMelBands; ++m) {
      const float value = features[static_cast<size_t>(i * kMelBands + m)];
      require(std::isfinite(value) && value >= floor && (m > 0 || value == floor));
    }
  }
  const std::vector<float> part = log_mel(std::span(samples).first(samples.size() / 2));
  require(part.empty() ||
          std::memcmp(part.data(), features.data(), part.size() * sizeof(float)) == 0);
  return 0;
}

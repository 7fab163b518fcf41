// The whole way of a sound from a file: container, codec, resampler, features.

#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "media/sound.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gemma4::media;
  const SoundLimits limits{.max_samples = 4 * kSampleRate, .max_seconds = 5};
  const auto sound = decode_sound(std::as_bytes(std::span(data, size)), limits);
  if (!sound.ok()) {
    if (sound.error().message.empty() || sound.error().message.find('\n') != std::string::npos)
      std::abort();
    return 0;
  }
  const std::vector<float>& samples = sound.value().samples;
  const auto count = static_cast<int64_t>(samples.size());
  if (count < 1 || count > limits.max_samples) std::abort();
  const std::vector<float> features = log_mel(samples);
  if (static_cast<int64_t>(features.size()) != num_mel_frames(count) * kMelBands) std::abort();
  for (const float value : features)
    if (!std::isfinite(value)) std::abort();
  return 0;
}

// Sound as the audio tower wants it: the logarithm of 128 mel bands, one row every 10 ms. Source:
// audio.md, sections 4 to 6, the feature extractor that the models were published with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gemma4::media {

inline constexpr int64_t kSampleRate = 16000;              // of all sound behind the decoder, in Hz
inline constexpr int64_t kClipSamples = 30 * kSampleRate;  // what one clip of E2B and E4B may have
inline constexpr int64_t kMelBands = 128;

// F: frames of 20 ms, 10 ms apart, that `samples` samples fill; none below 161.
int64_t num_mel_frames(int64_t samples);
// The frames that the reference computes, the last of which may lie in its padding: the length of
// its mask, of which the first num_mel_frames() are set.
int64_t num_padded_mel_frames(int64_t samples);
// Rows of the tower's output, of which each stands for 40 ms.
int64_t num_audio_tokens(int64_t frames);

// [F, kMelBands], natural logarithms, not normalised. `samples` at kSampleRate, by convention in
// [-1, 1]; only frames with samples that are not finite have features that are not. Computed in
// double from the window on, as the reference does.
std::vector<float> log_mel(std::span<const float> samples);

}  // namespace gemma4::media

// A long sound in pieces that a model can hear.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gemma4::media {

// Pieces of at most `most` samples that together are the sound, cut where it is quietest within the
// last fifth of a piece: between words, if there is a pause.
std::vector<std::span<const float>> split_sound(std::span<const float> samples, int64_t most);

// A WAV file of one channel of float32 at kSampleRate.
std::string wav_of(std::span<const float> samples);

}  // namespace gemma4::media

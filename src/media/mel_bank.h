// The filters that gather the bins of a spectrum into mel bands. Source: audio.md, section 4.
#pragma once

#include <cstdint>
#include <vector>

namespace gemma4::media {

inline constexpr int64_t kSpectrum = 512;            // points of the transform of kSampleRate
inline constexpr int64_t kBins = kSpectrum / 2 + 1;  // of its positive frequencies

// A triangular filter: its weights for the bins from `first` on. Its peak is 1; there is no
// normalisation by area. The lowest one lies between two bins and is empty.
struct MelBand {
  int64_t first = 0;
  std::vector<double> weights;
};

// kMelBands of them, from 0 Hz to half of kSampleRate.
std::vector<MelBand> mel_bank();

}  // namespace gemma4::media

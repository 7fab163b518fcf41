#include "media/mel_bank.h"

#include <algorithm>
#include <cmath>

#include "media/log_mel.h"

namespace gemma4::media {
namespace {

constexpr double kBinHertz = static_cast<double>(kSampleRate) / kSpectrum;

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz_of(double mel) { return 700 * (std::pow(10.0, mel / 2595) - 1); }

}  // namespace

std::vector<MelBand> mel_bank() {
  const double top = mel_of(kSampleRate / 2.0);
  const auto corner = [top](int64_t i) {
    return hertz_of(top * static_cast<double>(i) / (kMelBands + 1));
  };
  std::vector<MelBand> bank(static_cast<size_t>(kMelBands));
  for (int64_t m = 0; m < kMelBands; ++m) {
    MelBand& band = bank[static_cast<size_t>(m)];
    const double low = corner(m), peak = corner(m + 1), high = corner(m + 2);
    for (int64_t k = 0; k < kBins; ++k) {
      const double hertz = kBinHertz * static_cast<double>(k);
      const double weight = std::min((hertz - low) / (peak - low), (high - hertz) / (high - peak));
      if (weight <= 0) continue;
      if (band.weights.empty()) band.first = k;
      band.weights.push_back(weight);
    }
  }
  return bank;
}

}  // namespace gemma4::media

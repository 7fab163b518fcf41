#include "media/log_mel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <kissfft/kissfft.hh>
#include <numbers>

#include "base/check.h"
#include "media/mel_bank.h"

namespace gemma4::media {
namespace {

constexpr int64_t kHop = 160;
constexpr int64_t kWindow = 320;
constexpr double kFloor = 0.001;       // added to each band before the logarithm
constexpr int64_t kPaddingUnit = 128;  // samples; the reference pads to a multiple

// Periodic Hann window, rounded to float32 as the reference keeps it
std::array<float, kWindow> hann_window() {
  std::array<float, kWindow> window{};
  for (size_t n = 0; n < window.size(); ++n)
    window[n] = static_cast<float>(
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(n) / kWindow));
  return window;
}

// Magnitudes of the spectrum of one frame.
class Spectrum {
 public:
  // `frame` [kSpectrum]
  const std::array<double, kBins>& operator()(const std::array<double, kSpectrum>& frame) {
    transform_.transform_real(frame.data(), complex_.data());
    // The library puts the highest frequency, which is real like the lowest, beside it.
    magnitudes_[0] = std::abs(complex_[0].real());
    magnitudes_[kBins - 1] = std::abs(complex_[0].imag());
    for (size_t k = 1; k + 1 < magnitudes_.size(); ++k) magnitudes_[k] = std::abs(complex_[k]);
    return magnitudes_;
  }

 private:
  kissfft<double> transform_{kSpectrum / 2, false};
  std::array<std::complex<double>, kSpectrum / 2> complex_;
  std::array<double, kBins> magnitudes_;
};

}  // namespace

int64_t num_mel_frames(int64_t samples) {
  G4_CHECK_LE(0, samples);
  return samples == 0 ? 0 : (samples - 1) / kHop;
}

int64_t num_padded_mel_frames(int64_t samples) {
  G4_CHECK_LE(0, samples);
  const int64_t padded = (samples + kPaddingUnit - 1) / kPaddingUnit * kPaddingUnit;
  // Half a window of zeros stands before; a frame takes one sample more than its window.
  return padded <= kHop ? 0 : (padded + kHop - (kWindow + 1)) / kHop + 1;
}

int64_t num_audio_tokens(int64_t frames) { return (frames + 3) / 4; }

std::vector<float> log_mel(std::span<const float> samples) {
  static const std::array<float, kWindow> kHann = hann_window();
  static const std::vector<MelBand> kBank = mel_bank();
  const int64_t frames = num_mel_frames(static_cast<int64_t>(samples.size()));
  std::vector<float> out;
  out.reserve(static_cast<size_t>(frames * kMelBands));
  Spectrum spectrum;
  std::array<double, kSpectrum> frame{};  // from kWindow on it stays zero
  for (int64_t i = 0; i < frames; ++i) {
    const int64_t begin = i * kHop - kHop;  // half a window of zeros stands before the first sample
    for (int64_t n = 0; n < kWindow; ++n) {
      const float sample = begin + n < 0 ? 0.0f : samples[static_cast<size_t>(begin + n)];
      frame[static_cast<size_t>(n)] = sample * kHann[static_cast<size_t>(n)];  // in float32
    }
    const auto& magnitudes = spectrum(frame);
    for (const MelBand& band : kBank) {
      double sum = 0;
      for (size_t j = 0; j < band.weights.size(); ++j)
        sum += band.weights[j] * magnitudes[static_cast<size_t>(band.first) + j];
      out.push_back(static_cast<float>(std::log(sum + kFloor)));
    }
  }
  return out;
}

}  // namespace gemma4::media

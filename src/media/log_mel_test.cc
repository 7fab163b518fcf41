#include "media/log_mel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "io/safetensors.h"
#include "media/mel_bank.h"

namespace gemma4::media {
namespace {

std::string golden(const std::string& name) {
  return std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/audio/" + name;
}

// The samples of a 16-bit mono WAV file as the golden's maker wrote it: a header of 44 bytes.
std::vector<float> read_wav(const std::string& path) {
  const std::string bytes = io::read_file(path).value();
  std::vector<float> samples;
  for (size_t i = 44; i + 1 < bytes.size(); i += 2) {
    const auto word = static_cast<uint16_t>(static_cast<uint8_t>(bytes[i]) |
                                            static_cast<uint8_t>(bytes[i + 1]) << 8);
    samples.push_back(static_cast<float>(static_cast<int16_t>(word)) / 32768.0f);
  }
  return samples;
}

double mean(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

float at(const std::vector<float>& features, int64_t frame, int64_t band) {
  return features[static_cast<size_t>(frame * kMelBands + band)];
}

TEST(LogMel, AgreesWithTheReference) {
  const auto store = io::TensorStore::open(golden("features.safetensors"));
  ASSERT_TRUE(store.ok()) << store.error().message;
  for (const std::string name : {"sound0", "sound1", "sound2"}) {
    const std::vector<float> samples = read_wav(golden(name + ".wav"));
    const std::vector<float> out = log_mel(samples);
    const auto expected = io::read_floats(*store.value().find(name + ".input_features")).value();
    const auto mask = io::read_integers(*store.value().find(name + ".mask")).value();
    const auto count = static_cast<int64_t>(samples.size());
    ASSERT_EQ(num_padded_mel_frames(count), static_cast<int64_t>(mask.size())) << name;
    for (size_t i = 0; i < mask.size(); ++i)
      EXPECT_EQ(mask[i], static_cast<int64_t>(i) < num_mel_frames(count) ? 1 : 0) << name << i;
    ASSERT_EQ(out.size(), static_cast<size_t>(num_mel_frames(count) * kMelBands));
    double worst = 0;
    for (size_t i = 0; i < out.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(out[i]) - expected[i]));
    EXPECT_LE(worst, 1e-4) << name;
    RecordProperty(name, std::to_string(worst));
  }
}

// The signals and numbers of audio.md, section 4.
TEST(LogMel, HasThePublishedValuesOfATone) {
  std::vector<float> samples(16000);
  for (size_t n = 0; n < samples.size(); ++n)
    samples[n] = static_cast<float>(
        0.5 * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(n) / 16000));
  const std::vector<float> f = log_mel(samples);
  ASSERT_EQ(f.size(), 99u * 128u);
  EXPECT_NEAR(at(f, 0, 0), -6.907755, 1e-6);
  EXPECT_NEAR(at(f, 0, 1), 0.808556, 2e-5);
  EXPECT_NEAR(at(f, 0, 2), -0.376336, 2e-5);
  EXPECT_NEAR(at(f, 2, 20), -0.334960, 2e-5);
  EXPECT_NEAR(at(f, 10, 24), 3.527270, 2e-5);
  EXPECT_NEAR(at(f, 10, 40), -4.458443, 1e-4);
  EXPECT_NEAR(at(f, 10, 127), -6.901654, 1e-4);
  EXPECT_EQ(std::max_element(f.begin() + 1280, f.begin() + 1408) - f.begin(), 1280 + 24);
  EXPECT_NEAR(mean(f), -5.01665, 1e-4);
  EXPECT_NEAR(*std::max_element(f.begin(), f.begin() + 128), 2.837567, 2e-5);
  EXPECT_EQ(std::max_element(f.begin(), f.begin() + 128) - f.begin(), 24);
}

TEST(LogMel, HasThePublishedValuesOfAnImpulse) {
  std::vector<float> samples(1600);
  samples[400] = 1;
  const std::vector<float> f = log_mel(samples);
  ASSERT_EQ(f.size(), 9u * 128u);
  for (int64_t frame = 0; frame < 9; ++frame) {
    const bool hears = frame == 2 || frame == 3;
    EXPECT_NEAR(at(f, frame, 0), -6.907755, 1e-6);
    EXPECT_NEAR(at(f, frame, 64), hears ? -0.294047 : -6.907755, 1e-5);
    EXPECT_NEAR(at(f, frame, 127), hears ? 0.976864 : -6.907755, 1e-5);
  }
}

TEST(LogMel, HasThePublishedValuesOfNoise) {
  std::vector<float> samples(3200);
  uint32_t s = 12345;
  for (float& sample : samples) {
    s = 1664525u * s + 1013904223u;
    sample = static_cast<float>((s >> 8) / 16777216.0 * 2 - 1) * 0.1f;
  }
  const std::vector<float> f = log_mel(samples);
  ASSERT_EQ(f.size(), 19u * 128u);
  const double published[] = {-6.907755, -1.753503, -2.926362, -1.344473};
  for (int64_t band = 0; band < 4; ++band) EXPECT_NEAR(at(f, 5, band), published[band], 1e-5);
  EXPECT_NEAR(at(f, 5, 100), 0.938684, 1e-5);
  EXPECT_NEAR(at(f, 2, 20), -2.149790, 1e-5);
  EXPECT_NEAR(mean(f), -0.360745, 1e-5);
}

// Its rows in audio.md, section 4: the weights of a bin.
TEST(LogMel, HasThePublishedFilters) {
  const std::vector<MelBand> bank = mel_bank();
  ASSERT_EQ(bank.size(), 128u);
  const auto row = [&](int64_t bin) {
    std::map<int64_t, double> weights;
    for (int64_t m = 0; m < kMelBands; ++m) {
      const MelBand& band = bank[static_cast<size_t>(m)];
      const int64_t at = bin - band.first;
      if (at >= 0 && at < static_cast<int64_t>(band.weights.size()))
        weights[m] = band.weights[static_cast<size_t>(at)];
    }
    return weights;
  };
  const std::map<int64_t, std::map<int64_t, double>> published = {
      {1, {{1, .766007675}, {2, .233992325}}},     {2, {{3, .624370147}, {4, .375629853}}},
      {10, {{17, .106635572}, {18, .893364428}}},  {14, {{23, .147828512}, {24, .852171488}}},
      {100, {{85, .067161454}, {86, .932838546}}}, {255, {{127, .185675809}}}};
  for (const auto& [bin, weights] : published) {
    const auto found = row(bin);
    ASSERT_EQ(found.size(), weights.size()) << bin;
    for (const auto& [band, weight] : weights) EXPECT_NEAR(found.at(band), weight, 1e-9) << bin;
  }
  EXPECT_TRUE(bank[0].weights.empty());
  size_t weights = 0, most = 0;
  for (const MelBand& band : bank) {
    weights += band.weights.size();
    most = std::max(most, band.weights.size());
  }
  EXPECT_EQ(weights, 506u);
  EXPECT_EQ(most, 11u);
}

TEST(LogMel, SilenceIsTheFloor) {
  const std::vector<float> f = log_mel(std::vector<float>(1600));
  ASSERT_EQ(f.size(), 9u * 128u);
  for (const float value : f) EXPECT_EQ(value, static_cast<float>(std::log(0.001)));
}

TEST(LogMel, WhatIsNotFiniteStaysInItsFrames) {
  std::vector<float> samples(3200, 0.25f);
  samples[1600] = std::nanf("");
  const std::vector<float> f = log_mel(samples);
  for (int64_t frame = 0; frame < 19; ++frame) {
    const bool hears = frame == 10 || frame == 11;
    for (int64_t band = 1; band < kMelBands && !hears; ++band)
      ASSERT_TRUE(std::isfinite(at(f, frame, band))) << frame;
  }
  samples[1600] = std::numeric_limits<float>::max();
  for (const float value : log_mel(samples)) ASSERT_TRUE(std::isfinite(value));
}

TEST(LogMel, CountsFramesAndTokens) {
  const std::vector<std::array<int64_t, 3>> table = {
      {0, 0, 0},           {1, 0, 0},          {160, 0, 0},       {161, 1, 1},
      {320, 1, 1},         {321, 2, 1},        {640, 3, 1},       {641, 4, 1},
      {800, 4, 1},         {1600, 9, 3},       {8000, 49, 13},    {16000, 99, 25},
      {48000, 299, 75},    {51200, 319, 80},   {80000, 499, 125}, {160000, 999, 250},
      {208000, 1299, 325}, {480000, 2999, 750}};
  for (const auto& [samples, frames, tokens] : table) {
    EXPECT_EQ(num_mel_frames(samples), frames) << samples;
    EXPECT_EQ(num_audio_tokens(frames), tokens) << samples;
    EXPECT_EQ(log_mel(std::vector<float>(static_cast<size_t>(samples))).size(),
              static_cast<size_t>(frames * kMelBands));
  }
}

}  // namespace
}  // namespace gemma4::media

#include "media/sound_pieces.h"

#include <gtest/gtest.h>

#include <cmath>

#include "media/sound.h"

namespace gemma4::media {
namespace {

// A tone with a pause from `pause` on.
std::vector<float> tone(int64_t count, int64_t pause) {
  std::vector<float> samples(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    samples[static_cast<size_t>(i)] =
        i >= pause && i < pause + kSampleRate / 4 ? 0 : 0.5f * std::sin(0.1f * float(i % 6283));
  return samples;
}

TEST(SoundPieces, AreCutInPausesAndTogetherTheSound) {
  const std::vector<float> sound = tone(50 * kSampleRate, 26 * kSampleRate);
  const auto pieces = split_sound(sound, kClipSamples);
  ASSERT_EQ(pieces.size(), 2);
  EXPECT_EQ(pieces[0].data(), sound.data());
  EXPECT_GE(std::ssize(pieces[0]), 26 * kSampleRate);
  EXPECT_LE(std::ssize(pieces[0]), 26 * kSampleRate + kSampleRate / 4);
  EXPECT_EQ(pieces[1].data(), pieces[0].data() + pieces[0].size());
  EXPECT_EQ(pieces[0].size() + pieces[1].size(), sound.size());
}

TEST(SoundPieces, AreNeverLongerThanAllowed) {
  const struct {
    int64_t samples, most;
  } cases[] = {{1, kClipSamples},
               {kClipSamples, kClipSamples},
               {kClipSamples + 1, kClipSamples},
               {10 * kClipSamples + 7, kClipSamples},
               {5000, 1600},
               {100, 7},
               {10, 1}};
  for (const auto& [samples, most] : cases) {
    const std::vector<float> sound = tone(samples, 0);
    size_t total = 0;
    for (const auto& piece : split_sound(sound, most)) {
      EXPECT_LE(std::ssize(piece), most);
      EXPECT_FALSE(piece.empty());
      total += piece.size();
    }
    EXPECT_EQ(total, sound.size());
  }
}

TEST(SoundPieces, AFileOfAPieceIsThePiece) {
  if (!decodes_av()) GTEST_SKIP() << "this build has no decoders of sound (GEMMA4_AV=OFF)";
  const std::vector<float> sound = tone(3 * kSampleRate, kSampleRate);
  const std::string file = wav_of(sound);
  const auto read = decode_sound(std::as_bytes(std::span(file)));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read.value().samples, sound);
}

}  // namespace
}  // namespace gemma4::media

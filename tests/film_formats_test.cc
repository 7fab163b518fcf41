// Films of several containers, made here: turned ones, several tracks, none, damage.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/splitmix.h"
#include "media/sound.h"
#include "media/video.h"
#include "tests/film_testing.h"

namespace gemma4::media {
namespace {

using testing::FilmPictures;
using testing::FilmSound;
using testing::FilmTracks;
using ::testing::HasSubstr;
using testing::make_film;

constexpr const char* kFormats[] = {"mp4", "mov", "matroska", "avi", "mpegts", "nut"};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

struct Watched {
  VideoSummary summary;
  std::vector<VideoFrame> frames;
};
Result<Watched> watch(const std::string& file, const VideoSampling& sampling = {}) {
  Watched watched;
  G4_ASSIGN_OR_RETURN(watched.summary,
                      decode_video(bytes_of(file), sampling, {}, [&](VideoFrame&& frame) {
                        watched.frames.push_back(std::move(frame));
                        return Status();
                      }));
  return watched;
}

double grey_at(const Image& image, int64_t x, int64_t y) {
  const auto at = static_cast<size_t>(3 * (y * image.width + x));
  return (image.rgb[at] + image.rgb[at + 1] + image.rgb[at + 2]) / 3.0;
}

void expect_one_sentence(const Error& error) {
  EXPECT_FALSE(error.message.empty());
  EXPECT_EQ(error.message.find('\n'), std::string::npos) << error.message;
}

TEST(FilmFormats, AllGiveTheirFrames) {
  for (const char* format : kFormats) {
    const auto film =
        watch(make_film({.format = format, .pictures = {{.frames = 20}}}), {.num_frames = 5});
    ASSERT_TRUE(film.ok()) << format << ": " << film.error().message;
    EXPECT_EQ(film.value().summary.total_frames, 20) << format;
    EXPECT_NEAR(film.value().summary.fps, 10, 0.6) << format;
    EXPECT_FALSE(film.value().summary.has_sound) << format;
    EXPECT_FALSE(film.value().summary.is_damaged) << format;
    ASSERT_EQ(film.value().frames.size(), 5u) << format;
    for (size_t i = 0; i < 5; ++i) {
      const VideoFrame& frame = film.value().frames[i];
      EXPECT_EQ(frame.index, static_cast<int64_t>(4 * i)) << format;
      EXPECT_NEAR(grey_at(frame.image, 60, 44), 20 + 8 * static_cast<double>(frame.index), 4)
          << format << ", frame " << frame.index;
      EXPECT_NEAR(grey_at(frame.image, 4, 4), 255, 4) << format;
    }
  }
}

// Which corner the white quarter, the upper left one of the stored frame, is seen in.
struct Turn {
  const char* name;
  std::array<int, 4> matrix;
  bool is_tall;
  bool right, lower;
};
constexpr Turn kTurns[] = {
    {"as it is", {1, 0, 0, 1}, false, false, false},
    {"a quarter clockwise", {0, 1, -1, 0}, true, true, false},
    {"upside down", {-1, 0, 0, -1}, false, true, true},
    {"a quarter counter-clockwise", {0, -1, 1, 0}, true, false, true},
    {"mirrored left and right", {-1, 0, 0, 1}, false, true, false},
    {"mirrored up and down", {1, 0, 0, -1}, false, false, true},
    {"transposed", {0, 1, 1, 0}, true, false, false},
    {"transposed the other way", {0, -1, -1, 0}, true, true, true},
};

TEST(FilmFormats, TurnedFilmsAreSeenUpright) {
  for (const char* format : {"mp4", "mov"})
    for (const Turn& turn : kTurns) {
      const auto film =
          watch(make_film({.format = format, .pictures = {{.frames = 2, .matrix = turn.matrix}}}));
      ASSERT_TRUE(film.ok()) << turn.name << ": " << film.error().message;
      const Image& image = film.value().frames[0].image;
      EXPECT_EQ(image.width, turn.is_tall ? 48 : 64) << format << " " << turn.name;
      EXPECT_EQ(image.height, turn.is_tall ? 64 : 48) << format << " " << turn.name;
      for (const bool right : {false, true})
        for (const bool lower : {false, true})
          EXPECT_NEAR(grey_at(image, right ? image.width - 4 : 4, lower ? image.height - 4 : 4),
                      right == turn.right && lower == turn.lower ? 255 : 20, 6)
              << format << " " << turn.name << (right ? " right" : " left")
              << (lower ? " lower" : " upper");
    }
}

TEST(FilmFormats, OneTrackOfEachKindIsTaken) {
  const std::string file =
      make_film({.pictures = {{.frames = 12}, {.width = 32, .height = 32, .frames = 12}},
                 .sounds = {{.value = 0.5, .seconds = 1}, {.value = -0.25, .seconds = 1}}});
  const auto film = watch(file);
  ASSERT_TRUE(film.ok()) << film.error().message;
  EXPECT_EQ(film.value().summary.total_frames, 12);
  EXPECT_TRUE(film.value().summary.has_sound);
  EXPECT_EQ(film.value().frames[0].image.width, 64);  // the larger picture
  const auto sound = decode_sound(bytes_of(file));
  ASSERT_TRUE(sound.ok()) << sound.error().message;
  ASSERT_EQ(sound.value().samples.size(), 16000u);
  for (const float sample : sound.value().samples)
    ASSERT_EQ(sample, sound.value().samples[0]);  // one track, and no mixture
  EXPECT_TRUE(sound.value().samples[0] == 0.5f || sound.value().samples[0] == -0.25f);
}

TEST(FilmFormats, APartThatIsNotThereIsSaid) {
  const auto silent = decode_sound(bytes_of(make_film({.pictures = {{.frames = 3}}})));
  ASSERT_FALSE(silent.ok());
  EXPECT_THAT(silent.error().message, HasSubstr("holds no sound"));
  const auto dark = watch(make_film({.sounds = {{.seconds = 0.5}}}));
  ASSERT_FALSE(dark.ok());
  EXPECT_THAT(dark.error().message, HasSubstr("no moving pictures"));
  // A sound track without a sample beside pictures
  const std::string mute = make_film({.pictures = {{.frames = 3}}, .sounds = {{.seconds = 0}}});
  const auto seen = watch(mute);
  ASSERT_TRUE(seen.ok()) << seen.error().message;
  const auto heard = decode_sound(bytes_of(mute));
  ASSERT_FALSE(heard.ok());
  expect_one_sentence(heard.error());
}

TEST(FilmFormats, ChannelsAndRatesOfSoundTracksArrive) {
  for (const auto& [rate, channels] :
       {std::pair(8000, 1), std::pair(44100, 2), std::pair(48000, 6), std::pair(48000, 8),
        std::pair(192000, 2), std::pair(384000, 1)}) {
    const auto sound = decode_sound(bytes_of(make_film(
        {.sounds = {{.value = 0.25, .seconds = 0.5, .rate = rate, .channels = channels}}})));
    ASSERT_TRUE(sound.ok()) << rate << " x " << channels << ": " << sound.error().message;
    const std::vector<float>& samples = sound.value().samples;
    EXPECT_NEAR(static_cast<double>(samples.size()), 8000, 16) << rate;
    for (size_t n = 200; n + 200 < samples.size(); ++n)
      ASSERT_NEAR(samples[n], 0.25, 1e-3) << rate << " x " << channels << ", sample " << n;
  }
}

TEST(FilmFormats, TruncatedOnesGiveWhatIsThereOrOneSentence) {
  for (const char* format : kFormats) {
    const std::string whole =
        make_film({.format = format, .pictures = {{.frames = 40}}, .sounds = {{.seconds = 4}}});
    for (size_t tenth = 1; tenth < 10; ++tenth) {
      const std::string part = whole.substr(0, whole.size() * tenth / 10);
      const auto film = watch(part);
      if (film.ok()) {
        EXPECT_LE(film.value().summary.total_frames, 40) << format << " " << tenth;
        EXPECT_EQ(static_cast<int64_t>(film.value().frames.size()),
                  std::min<int64_t>(32, film.value().summary.total_frames));
      } else {
        expect_one_sentence(film.error());
      }
      const auto sound = decode_sound(bytes_of(part));
      if (sound.ok())
        EXPECT_LE(sound.value().samples.size(), 64000u) << format << " " << tenth;
      else
        expect_one_sentence(sound.error());
    }
  }
}

TEST(FilmFormats, LyingHeadersCostNothingAndGiveOneSentence) {
  for (const char* format : kFormats) {
    const std::string whole =
        make_film({.format = format, .pictures = {{.frames = 8}}, .sounds = {{.seconds = 0.5}}});
    for (uint64_t seed = 0; seed < 40; ++seed) {
      std::string lies = whole;
      for (uint64_t i = 0; i < 8; ++i) {
        const uint64_t random = splitmix(seed * 8 + i + kSplitMixStep);
        // In what most often is a header, at either end
        const size_t at = random % std::min<size_t>(512, lies.size());
        lies[i % 2 == 0 ? at : lies.size() - 1 - at] = static_cast<char>(random >> 32);
      }
      const auto film = watch(lies, {.num_frames = 4});
      if (!film.ok()) expect_one_sentence(film.error());
      const auto sound = decode_sound(bytes_of(lies));
      if (!sound.ok()) expect_one_sentence(sound.error());
    }
  }
}

// What is beyond the limit of frames is said.
TEST(FilmFormats, FramesThatAreLeftOutAreCounted) {
  const std::string file = make_film({.pictures = {{.frames = 30}}});  // of three seconds
  const auto all = watch(file, {.fps = 10, .max_frames = 12}).value();
  EXPECT_EQ(all.frames.size(), 12u);
  EXPECT_EQ(all.summary.frames_left_out, 18);
  EXPECT_EQ(watch(file, {.fps = 4, .max_frames = 12}).value().summary.frames_left_out, 0);
  EXPECT_EQ(watch(file, {.num_frames = 32}).value().summary.frames_left_out, 0);  // all are seen
}

}  // namespace
}  // namespace gemma4::media

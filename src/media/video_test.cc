#include "media/video.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "io/mapped_file.h"
#include "media/sound.h"

namespace gemma4::media {
namespace {

using ::testing::HasSubstr;

// Sampling and time stamps: the table of video.md, section 2.
TEST(VideoSampling, TakesTheFramesOfTheReference) {
  const auto expect = [](int64_t total, double fps, const std::vector<int64_t>& first,
                         const std::vector<int64_t>& last, const std::string& last_stamp) {
    const std::vector<int64_t> frames = sampled_frames(total, fps, {});
    ASSERT_EQ(frames.size(), 32u);
    EXPECT_EQ(
        std::vector<int64_t>(frames.begin(), frames.begin() + static_cast<long>(first.size())),
        first);
    EXPECT_EQ(std::vector<int64_t>(frames.end() - static_cast<long>(last.size()), frames.end()),
              last);
    EXPECT_EQ(time_stamp(static_cast<double>(frames.back()) / fps), last_stamp);
  };
  expect(960, 30, {0, 30, 60}, {930}, "00:31");
  expect(300, 30, {0, 9, 18, 28, 37, 46}, {281, 290}, "00:09");
  expect(1798, 29.97, {0, 56, 112, 168}, {1685, 1741}, "00:58");
  expect(1440, 24, {0, 45, 90, 135}, {1350, 1395}, "00:58");
  expect(2700, 30, {0, 84, 168}, {2531, 2615}, "01:27");
}

TEST(VideoSampling, TakesSoManyPerSecond) {
  EXPECT_EQ(sampled_frames(300, 30, {.fps = 1}).size(), 10u);
  EXPECT_EQ(sampled_frames(300, 30, {.fps = 1})[9], 270);
  EXPECT_EQ(sampled_frames(300, 30, {.fps = 2.5}).size(), 25u);
  EXPECT_EQ(sampled_frames(30 * 600, 30, {.fps = 1}).size(), 60u);  // the most
  EXPECT_EQ(sampled_frames(10, 30, {.fps = 1}).size(), 1u);         // of a third of a second
  EXPECT_EQ(sampled_frames(10, 30, {.fps = 1000}).size(), 10u);     // all there are
}

TEST(VideoSampling, TakesNoFrameTwice) {
  EXPECT_EQ(sampled_frames(3, 30, {}), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(sampled_frames(0, 30, {}), std::vector<int64_t>());
  const std::vector<int64_t> long_film = sampled_frames(int64_t{1} << 60, 30, {});
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(long_film[i], static_cast<int64_t>(i) << 55);
}

TEST(VideoSampling, WritesMinutesAndSeconds) {
  EXPECT_EQ(time_stamp(0), "00:00");
  EXPECT_EQ(time_stamp(59.999), "00:59");
  EXPECT_EQ(time_stamp(60), "01:00");
  EXPECT_EQ(time_stamp(87.16), "01:27");
  EXPECT_EQ(time_stamp(6000), "100:00");
}

// A film whose frame i is grey 2·i, in an uncompressed format that needs no encoder.
std::string film(int frames, int width = 32, int height = 16, const std::string& rate = "30:1") {
  std::string out = "YUV4MPEG2 W" + std::to_string(width) + " H" + std::to_string(height) + " F" +
                    rate + " Ip A1:1 C444 XCOLORRANGE=FULL\n";
  for (int i = 0; i < frames; ++i) {
    out += "FRAME\n";
    out.append(static_cast<size_t>(width * height), static_cast<char>(2 * i));
    out.append(static_cast<size_t>(2 * width * height), static_cast<char>(128));
  }
  return out;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class Videos : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!decodes_av()) GTEST_SKIP() << "this build has no FFmpeg (-DGEMMA4_AV=ON)";
  }
  Result<VideoSummary> decode(const std::string& file, const VideoSampling& sampling = {},
                              const VideoLimits& limits = {}) {
    frames_.clear();
    return decode_video(bytes_of(file), sampling, limits, [this](VideoFrame&& frame) {
      frames_.push_back(std::move(frame));
      return Status();
    });
  }
  std::vector<VideoFrame> frames_;
};

TEST_F(Videos, GiveTheFramesThatWereChosen) {
  for (const int total : {1, 5, 31, 32, 33, 100}) {
    const auto summary = decode(film(total));
    ASSERT_TRUE(summary.ok()) << total << ": " << summary.error().message;
    EXPECT_EQ(summary.value().total_frames, total);
    EXPECT_DOUBLE_EQ(summary.value().fps, 30);
    EXPECT_FALSE(summary.value().fps_is_assumed);
    EXPECT_FALSE(summary.value().has_sound);
    EXPECT_FALSE(summary.value().is_damaged);
    const std::vector<int64_t> wanted = sampled_frames(total, 30, {});
    ASSERT_EQ(frames_.size(), wanted.size()) << total;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const VideoFrame& frame = frames_[i];
      EXPECT_EQ(frame.index, wanted[i]);
      EXPECT_DOUBLE_EQ(frame.seconds, static_cast<double>(wanted[i]) / 30);
      ASSERT_EQ(frame.image.width, 32);
      ASSERT_EQ(frame.image.height, 16);
      ASSERT_EQ(frame.image.rgb.size(), 32u * 16 * 3);
      for (const uint8_t value : frame.image.rgb)
        ASSERT_NEAR(value, 2 * wanted[i], 1) << total << " frames, frame " << wanted[i];
    }
  }
}

TEST_F(Videos, StopWhereTheConsumerSaysSo) {
  int seen = 0;
  const auto result = decode_video(bytes_of(film(40)), {}, {}, [&](VideoFrame&&) -> Status {
    if (++seen < 3) return {};
    return Error{ErrorCode::kCancelled, "enough"};
  });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(seen, 3);
}

TEST_F(Videos, TruncatedOnesGiveWhatIsThere) {
  const std::string whole = film(64);
  const auto summary = decode(whole.substr(0, whole.size() / 2));
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_LE(summary.value().total_frames, 33);
  EXPECT_EQ(frames_.size(),
            static_cast<size_t>(std::min<int64_t>(32, summary.value().total_frames)));
}

TEST_F(Videos, DamagedAndLargeOnesGetOneSentence) {
  const auto large = decode("YUV4MPEG2 W20000 H20000 F30:1 C444\nFRAME\n" + std::string(100, 'a'));
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().message.find('\n'), std::string::npos);
  const auto limited = decode(film(3, 64, 64), {}, {.max_pixels = 1000});
  ASSERT_FALSE(limited.ok());
  EXPECT_EQ(limited.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(limited.error().message, HasSubstr("64x64"));
  for (const std::string& file :
       {std::string(), std::string("YUV4MPEG2 W0 H0 F30:1\nFRAME\n"), std::string("no film"),
        film(0), film(1).substr(0, 200), std::string(10000, '\xff')}) {
    const auto broken = decode(file);
    ASSERT_FALSE(broken.ok());
    EXPECT_FALSE(broken.error().message.empty());
    EXPECT_EQ(broken.error().message.find('\n'), std::string::npos) << broken.error().message;
  }
}

// A picture with alpha as a film of one frame: over white, or as the picture itself is read.
TEST_F(Videos, TransparencyIsWhiteOrDropped) {
  if (!decodes_images()) GTEST_SKIP() << "this build has no decoders (-DGEMMA4_IMAGES=ON)";
  const std::string path = std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/image/formats/rgba8.png";
  const auto frame = [&](FrameAlpha alpha) {
    Image image;
    const auto summary = read_video(path, {.alpha = alpha}, {}, [&](VideoFrame&& given) {
      image = std::move(given.image);
      return Status();
    });
    EXPECT_TRUE(summary.ok()) << summary.error().message;
    return image.rgb;
  };
  const std::vector<uint8_t> dropped = frame(FrameAlpha::kDropped);
  EXPECT_EQ(dropped, read_image(path).value().rgb);
  const std::vector<uint8_t> white = frame(FrameAlpha::kOverWhite);
  ASSERT_EQ(white.size(), dropped.size());
  EXPECT_NE(white, dropped);
  for (size_t i = 0; i < white.size(); ++i) EXPECT_GE(white[i], dropped[i]);
}

TEST_F(Videos, ASoundHasNoPictures) {
  const std::string path = std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/audio/sound0.wav";
  const auto result = read_video(path, {}, {}, [](VideoFrame&&) { return Status(); });
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("sound0.wav"));
  EXPECT_THAT(result.error().message, HasSubstr("no moving pictures"));
}

// FFmpeg would draw a text, letter by letter.
TEST_F(Videos, FilesAreTakenForWhatTheyHold) {
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  EXPECT_TRUE(has_moving_pictures(bytes(film(3))).value());
  const auto sound =
      io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/audio/sound0.wav");
  EXPECT_FALSE(has_moving_pictures(bytes(sound.value())).value());
  const std::string text = "This is a letter,\nand this is its second line.\n";
  for (const char* name :
       {"", "letter.txt", "letter.nfo", "letter.png", "letter.mp3", "letter.mp4"})
    EXPECT_FALSE(has_moving_pictures(bytes(text), name).ok()) << name;
}

}  // namespace
}  // namespace gemma4::media

// Real sounds and films, all files under GEMMA4_CLIPS (scripts/check_clips.sh fetches some): each
// is decoded or refused in one clear sentence, within its time.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "media/sound.h"
#include "media/video.h"
#include "tests/real_files.h"

namespace gemma4::media {
namespace {

constexpr double kSeconds = 30;

void expect_one_sentence(const Error& error, const std::string& path) {
  EXPECT_FALSE(error.message.empty()) << path;
  EXPECT_EQ(error.message.find('\n'), std::string::npos) << error.message;
  EXPECT_EQ(error.message.find(path), 0u) << error.message;
  std::printf("  refused: %s\n", error.message.c_str());
}

void try_sound(const std::string& path) {
  const auto sound = read_sound(path);
  if (!sound.ok()) return expect_one_sentence(sound.error(), path);
  const std::vector<float>& samples = sound.value().samples;
  EXPECT_LE(static_cast<int64_t>(samples.size()), kClipSamples);
  std::printf("  sound: %.2f s%s%s\n",
              static_cast<double>(samples.size()) / static_cast<double>(kSampleRate),
              sound.value().was_cut ? ", cut" : "", sound.value().is_damaged ? ", damaged" : "");
}

void try_video(const std::string& path) {
  int64_t frames = 0, last = -1, width = 0, height = 0;
  const auto film = read_video(path, {}, {}, [&](VideoFrame&& frame) {
    EXPECT_GT(frame.index, last);
    last = frame.index;
    width = frame.image.width;
    height = frame.image.height;
    ++frames;
    return Status();
  });
  if (!film.ok()) return expect_one_sentence(film.error(), path);
  EXPECT_EQ(frames, std::min<int64_t>(32, film.value().total_frames));
  std::printf("  film: %lld of %lld frames of %lldx%lld at %.3f, the last at %s%s%s\n",
              static_cast<long long>(frames), static_cast<long long>(film.value().total_frames),
              static_cast<long long>(width), static_cast<long long>(height), film.value().fps,
              time_stamp(static_cast<double>(last) / film.value().fps).c_str(),
              film.value().has_sound ? ", with sound" : "",
              film.value().is_damaged ? ", damaged" : "");
}

TEST(Clips, AreDecodedOrRefusedInOneSentence) {
  const char* folder = std::getenv("GEMMA4_CLIPS");
  if (folder == nullptr)
    GTEST_SKIP()
        << "GEMMA4_CLIPS names no folder of sounds and films; scripts/check_clips.sh fetches one";
  for (const std::string& path : testing::files_under(folder)) {
    std::printf("%s\n", path.c_str());
    const auto start = std::chrono::steady_clock::now();
    try_sound(path);
    try_video(path);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took.count(), kSeconds) << path;
    std::printf("  %.2f s\n", took.count());
  }
}

}  // namespace
}  // namespace gemma4::media

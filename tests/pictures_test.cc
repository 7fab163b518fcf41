// Real pictures, all files under GEMMA4_PICTURES (scripts/check_pictures.sh fetches some): each is
// decoded and made ready for a model, or refused in one clear sentence, within its time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>

#include "media/image_processor.h"
#include "tests/real_files.h"

namespace gemma4::media {
namespace {

constexpr double kSeconds = 30;

bool try_picture(const std::string& path) {
  const auto image = read_image(path);
  if (!image.ok()) {
    const std::string& message = image.error().message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_EQ(message.find(path), 0u) << message;
    EXPECT_GT(message.size(), path.size() + 2) << message;
    std::printf("  refused: %s\n", message.substr(path.size() + 2).c_str());
    return false;
  }
  const auto seen = process_image(image.value(), {});
  if (!seen.ok()) {
    ADD_FAILURE() << path << ": " << seen.error().message;
    return false;
  }
  EXPECT_LE(seen.value().size().soft_tokens(), kDefaultImageBudget) << path;
  std::printf("  %lldx%lld, seen as %lldx%lld\n", static_cast<long long>(image.value().width),
              static_cast<long long>(image.value().height),
              static_cast<long long>(seen.value().image.width),
              static_cast<long long>(seen.value().image.height));
  return true;
}

TEST(Pictures, AreDecodedOrRefusedInOneSentence) {
  const char* folder = std::getenv("GEMMA4_PICTURES");
  if (folder == nullptr)
    GTEST_SKIP()
        << "GEMMA4_PICTURES names no folder of pictures; scripts/check_pictures.sh fetches one";
  std::map<std::string, std::pair<int, int>> counts;  // by ending: taken, refused
  for (const std::string& path : testing::files_under(folder)) {
    std::printf("%s\n", path.c_str());
    const std::clock_t start = std::clock();  // of this process: others may keep the machine busy
    auto& [taken, refused] = counts[std::filesystem::path(path).extension().string()];
    ++(try_picture(path) ? taken : refused);
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_LT(seconds, kSeconds) << path;
  }
  int all_taken = 0;
  for (const auto& [ending, count] : counts) {
    std::printf("%-8s %5d taken, %5d refused\n", ending.c_str(), count.first, count.second);
    all_taken += count.first;
  }
  EXPECT_GT(all_taken, 0) << folder << " holds no picture that could be read";
}

}  // namespace
}  // namespace gemma4::media

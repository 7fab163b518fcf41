// What was saved comes back as it went, or not at all.
#include "serve/prefix_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "io/mapped_file.h"
#include "serve/log.h"

namespace gemma4::serve {
namespace {

namespace fs = std::filesystem;

class PrefixFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    silence_log();
    folder_ = testing::TempDir() + "gemma4_prefixes";
    fs::remove_all(folder_);
  }
  std::shared_ptr<PrefixFiles> open(const std::string& identity = "model 1",
                                    int64_t max_bytes = 1 << 20) {
    return PrefixFiles::open({folder_, identity, max_bytes}).value();
  }
  std::vector<fs::path> files() const {
    return {fs::directory_iterator(folder_), fs::directory_iterator()};
  }
  static engine::SavedPrefix prefix(int32_t first, size_t rows = 1000) {
    engine::SavedPrefix made{.sliding_first = 1, .rows = std::vector<std::byte>(rows)};
    for (int32_t i = 0; i < 100; ++i) made.tokens.push_back(first + i);
    for (size_t i = 0; i < rows; ++i) made.rows[i] = static_cast<std::byte>(i * 7 + made.tokens[0]);
    return made;
  }
  static void expect_same(const std::optional<engine::SavedPrefix>& a,
                          const engine::SavedPrefix& b) {
    ASSERT_TRUE(a.has_value());
    EXPECT_EQ(a->tokens, b.tokens);
    EXPECT_EQ(a->sliding_first, b.sliding_first);
    EXPECT_TRUE(a->rows == b.rows);
  }
  std::string folder_;
};

TEST_F(PrefixFilesTest, LastSavedComesFirst) {
  for (const int32_t first : {1, 2, 3}) {
    open()->save(prefix(first));
    const auto time = fs::file_time_type::clock::now() - std::chrono::seconds(100 - first);
    for (const fs::path& file : files())
      if (fs::last_write_time(file) > time) fs::last_write_time(file, time);
  }
  // Of files that are equally old, any may be first; all come, once.
  const auto archive = open();
  std::vector<int32_t> firsts;
  while (const auto next = archive->next()) {
    expect_same(next, prefix(next->tokens[0]));
    firsts.push_back(next->tokens[0]);
  }
  EXPECT_THAT(firsts, testing::UnorderedElementsAre(1, 2, 3));
}

TEST_F(PrefixFilesTest, OtherModelsAreLeftAlone) {
  open("model 1")->save(prefix(1));
  EXPECT_FALSE(open("model 2")->next().has_value());
  expect_same(open("model 1")->next(), prefix(1));
}

TEST_F(PrefixFilesTest, DamagedFilesAreRemoved) {
  open()->save(prefix(1));
  ASSERT_EQ(files().size(), 1u);
  const std::string whole = io::read_file(files()[0].string()).value();
  for (size_t at = 0; at < whole.size(); at += 97) {
    for (const bool cut : {false, true}) {
      const std::string path = folder_ + "/" + [&] {
        open()->save(prefix(1));
        return files()[0].filename().string();
      }();
      std::string damaged = cut ? whole.substr(0, at) : whole;
      if (!cut) damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
      std::ofstream(path, std::ios::binary) << damaged;
      EXPECT_FALSE(open()->next().has_value()) << at << cut;
      EXPECT_TRUE(files().empty());
    }
  }
}

TEST_F(PrefixFilesTest, TheOldestGoWhenThereIsNoRoom) {
  const auto archive = open("model 1", 10'000);
  for (int32_t first = 1; first <= 20; ++first) {
    archive->save(prefix(first, 3000));
    int64_t bytes = 0;
    for (const fs::path& file : files()) bytes += static_cast<int64_t>(fs::file_size(file));
    EXPECT_LE(bytes, 10'000);
    EXPECT_GE(files().size(), 1u);
  }
  EXPECT_EQ(files().size(), 2u);
  archive->save(prefix(99, 20'000));  // alone too large: others stay
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(PrefixFilesTest, AFolderThatCannotBeWrittenIsAnError) {
  const auto none = PrefixFiles::open({"/proc/gemma4/none", "model 1"});
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, testing::HasSubstr("/proc/gemma4/none"));
}

}  // namespace
}  // namespace gemma4::serve

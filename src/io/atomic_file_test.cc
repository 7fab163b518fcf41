// A file appears whole or not at all, also when the disk is full in the middle.

#include "io/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "io/mapped_file.h"

namespace gemma4::io {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  size_t num_files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  std::string folder_ = ::testing::TempDir() + "atomic-XXXXXX";
};

TEST_F(AtomicFileTest, AppearsWholeWithCommit) {
  auto file = AtomicFile::create(path("a"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_TRUE(file.value().write("hello ").ok());
  ASSERT_TRUE(file.value().write("world").ok());
  EXPECT_FALSE(fs::exists(path("a")));
  EXPECT_EQ(file.value().bytes_written(), 11u);
  ASSERT_TRUE(file.value().commit().ok());
  EXPECT_EQ(read_file(path("a")).value(), "hello world");
  EXPECT_EQ(num_files(), 1u);
  struct stat info {};
  ASSERT_EQ(::stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644u);
}

TEST_F(AtomicFileTest, WithoutCommitNothingIsLeftAndTheOldFileStays) {
  std::ofstream(path("a")) << "old";
  {
    auto file = AtomicFile::create(path("a")).value();
    ASSERT_TRUE(file.write("new").ok());
    AtomicFile moved = std::move(file);  // ownership moves, once
    ASSERT_TRUE(moved.write("er").ok());
  }
  EXPECT_EQ(read_file(path("a")).value(), "old");
  EXPECT_EQ(num_files(), 1u);
  auto file = AtomicFile::create(path("a")).value();
  ASSERT_TRUE(file.write("new").ok());
  ASSERT_TRUE(file.commit().ok());
  EXPECT_EQ(read_file(path("a")).value(), "new");
}

TEST_F(AtomicFileTest, AFullDiskIsAnErrorAndLeavesNothing) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 10'000;  // the file system "fills" here: EFBIG instead of ENOSPC
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  Status status;
  {
    auto file = AtomicFile::create(path("a")).value();
    const std::string piece(3'000, 'x');
    for (int i = 0; i < 5 && status.ok(); ++i) status = file.write(piece);
    EXPECT_EQ(file.bytes_written(), 10'000u);
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(status.error().message, HasSubstr("cannot write " + path("a")));
  EXPECT_THAT(status.error().message, HasSubstr("nothing was written"));
  EXPECT_EQ(num_files(), 0u);
}

TEST_F(AtomicFileTest, ImpossiblePlacesAreErrors) {
  const auto missing = AtomicFile::create(path("no/such/a"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_THAT(missing.error().message, HasSubstr("no/such/a"));
  ASSERT_TRUE(make_folder(path("folder")).ok());
  std::ofstream(path("folder/inside")) << "x";
  auto file = AtomicFile::create(path("folder")).value();  // the target is a full folder
  EXPECT_FALSE(file.commit().ok());
}

TEST_F(AtomicFileTest, MakeFolderIsContentWithAnExistingOne) {
  EXPECT_TRUE(make_folder(path("f")).ok());
  EXPECT_TRUE(make_folder(path("f")).ok());
  std::ofstream(path("plain")) << "x";
  EXPECT_FALSE(make_folder(path("plain")).ok());
  EXPECT_FALSE(make_folder(path("no/parent")).ok());
}

TEST_F(AtomicFileTest, MappedFilesReadWhatIsThere) {
  std::ofstream(path("a")) << "hello";
  std::ofstream(path("empty"));
  auto map = MappedFile::open(path("a"));
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map.value().bytes().size(), 5u);
  MappedFile moved = std::move(map).value();
  EXPECT_EQ(moved.bytes()[4], std::byte{'o'});
  auto empty = MappedFile::open(path("empty"));
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty.value().bytes().empty());
  moved = std::move(empty).value();
  EXPECT_TRUE(moved.bytes().empty());
  EXPECT_EQ(MappedFile::open(path("none")).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(MappedFile::open(folder_).error().message, HasSubstr("is a folder"));
  EXPECT_THAT(MappedFile::open("/dev/null").error().message, HasSubstr("not a regular file"));
  EXPECT_THAT(read_file(path("a"), 4).error().message, HasSubstr("more than the 4"));
  EXPECT_EQ(read_file(path("a"), 5).value(), "hello");
}

}  // namespace
}  // namespace gemma4::io

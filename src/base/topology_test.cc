#include "base/topology.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/strings.h"

namespace gemma4 {
namespace {

namespace fs = std::filesystem;

using Numbers = std::vector<int>;

TEST(Topology, ReadsListsOfNumbers) {
  EXPECT_EQ(parse_number_list("0"), Numbers({0}));
  EXPECT_EQ(parse_number_list("0-3,8,6-7"), Numbers({0, 1, 2, 3, 6, 7, 8}));
  EXPECT_EQ(parse_number_list("4,4"), Numbers({4}));
}

TEST(Topology, EndsListsAtWhatCannotBeRead) {
  for (const char* text : {"", "x", "-1", "99999999999", "2000000"})
    EXPECT_TRUE(parse_number_list(text).empty()) << text;
  EXPECT_EQ(parse_number_list("1,"), Numbers({1}));
  EXPECT_EQ(parse_number_list("1-"), Numbers());
  EXPECT_EQ(parse_number_list("1,2 3"), Numbers({1, 2}));
  EXPECT_EQ(parse_number_list("5-3"), Numbers());
}

// A machine of some CPUs, each with the list of its core's hardware threads.
class FakeSystem {
 public:
  explicit FakeSystem(const std::vector<const char*>& siblings)
      : root_(fs::temp_directory_path() / str_cat("gemma4-topology-", ::getpid())) {
    for (size_t cpu = 0; cpu < siblings.size(); ++cpu) {
      const fs::path folder = root_ / str_cat("devices/system/cpu/cpu", cpu, "/topology");
      fs::create_directories(folder);
      std::ofstream(folder / "thread_siblings_list") << siblings[cpu] << "\n";
    }
  }
  ~FakeSystem() { fs::remove_all(root_); }
  std::string root() const { return root_.string(); }

 private:
  fs::path root_;
};

TEST(Topology, TakesEveryCoreBeforeItsSecondHardwareThread) {
  const FakeSystem neighbours({"0-1", "0-1", "2-3", "2-3"});
  const CpuOrder order = order_cpus({0, 1, 2, 3}, neighbours.root());
  EXPECT_EQ(order.cpus, Numbers({0, 2, 1, 3}));
  EXPECT_EQ(order.cores, 2);
}

TEST(Topology, CountsCoresAmongTheAllowedCpusOnly) {
  const FakeSystem halves({"0,2", "1,3", "0,2", "1,3"});
  const CpuOrder order = order_cpus({1, 2, 3}, halves.root());
  EXPECT_EQ(order.cpus, Numbers({1, 2, 3}));
  EXPECT_EQ(order.cores, 2);
}

TEST(Topology, TakesUnknownCpusForCores) {
  const CpuOrder order = order_cpus({0, 5}, "/nonexistent");
  EXPECT_EQ(order.cpus, Numbers({0, 5}));
  EXPECT_EQ(order.cores, 2);
}

TEST(Topology, InterleavedMemoryIsMemory) {
  constexpr size_t kBytes = size_t{4} << 20;
  auto* memory = static_cast<char*>(std::aligned_alloc(4096, kBytes));
  ASSERT_NE(memory, nullptr);
  interleave_over_nodes(memory, kBytes);
  memory[0] = memory[kBytes - 1] = 7;
  EXPECT_EQ(memory[0] + memory[kBytes - 1], 14);
  std::free(memory);
}

}  // namespace
}  // namespace gemma4

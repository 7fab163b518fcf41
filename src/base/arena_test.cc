#include "base/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace gemma4 {
namespace {

TEST(Arena, AllocationsAreAlignedAndDisjoint) {
  Arena arena(4096);
  std::vector<std::pair<std::byte*, size_t>> pieces;
  for (const size_t bytes : {1, 63, 64, 65, 100, 7}) {
    auto* p = static_cast<std::byte*>(arena.allocate(bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % Arena::kAlignment, 0u);
    std::memset(p, static_cast<int>(pieces.size()), bytes);  // the sanitizer sees the bounds
    pieces.emplace_back(p, bytes);
  }
  for (size_t i = 0; i < pieces.size(); ++i)
    for (size_t j = 0; j < pieces[i].second; ++j)
      ASSERT_EQ(pieces[i].first[j], static_cast<std::byte>(i));
}

TEST(Arena, TheSameSequenceGivesTheSameAddresses) {
  Arena arena(1024);
  void* first = arena.allocate(10);
  void* second = arena.allocate(200);
  arena.reset();
  EXPECT_EQ(arena.allocate(10), first);
  EXPECT_EQ(arena.allocate(200), second);
}

TEST(Arena, ScopeReleasesWhatItSawAndHighWaterRemembers) {
  Arena arena(1024);
  arena.allocate(64);
  void* inner = nullptr;
  {
    const Arena::Scope scope(arena);
    inner = arena.allocate(256);
  }
  EXPECT_EQ(arena.allocate(64), inner);
  EXPECT_EQ(arena.high_water_bytes(), 64u + 256u);
}

TEST(Arena, MeasuringPredictsTheCapacityExactly) {
  const auto work = [](Arena& arena) {
    arena.allocate(1);
    {
      const Arena::Scope scope(arena);
      arena.allocate(1000);
    }
    arena.allocate(300);
  };
  Arena measure = Arena::measuring();
  EXPECT_TRUE(measure.is_measuring());
  work(measure);
  Arena arena(measure.high_water_bytes());
  EXPECT_FALSE(arena.is_measuring());
  EXPECT_EQ(arena.capacity_bytes(), measure.high_water_bytes());
  work(arena);
  EXPECT_EQ(arena.high_water_bytes(), measure.high_water_bytes());
}

TEST(ArenaDeathTest, AskingForMoreThanTheCapacityIsABug) {
  Arena arena(128);
  arena.allocate(64);
  EXPECT_DEATH(arena.allocate(65), "internal error");
  Arena other(128);
  EXPECT_DEATH(other.allocate(SIZE_MAX / 2), "internal error");
}

}  // namespace
}  // namespace gemma4

// Run under the thread sanitizer too: that is where most of these would fail.

#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <numeric>
#include <set>

namespace gemma4 {
namespace {

using Pieces = std::set<std::pair<int64_t, int64_t>>;

Pieces pieces_of(ThreadPool& pool, int64_t count, int64_t grain) {
  Pieces pieces;
  std::mutex mutex;
  pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(pieces.emplace(begin, end).second) << "piece at " << begin << " ran twice";
  });
  return pieces;
}

TEST(ThreadPool, EveryElementIsVisitedExactlyOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.num_threads(), threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1000})
      for (const int64_t grain : {-1, 0, 1, 3, 64, 5000}) {
        std::vector<int> visits(static_cast<size_t>(count));
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        for (const int n : visits) ASSERT_EQ(n, 1) << count << " by " << grain;
      }
  }
}

TEST(ThreadPool, PiecesDependOnCountAndGrainAlone) {
  ThreadPool one(1);
  for (const int threads : {2, 4}) {
    ThreadPool many(threads);
    for (const int64_t count : {1, 5, 64, 65, 999})
      for (const int64_t grain : {1, 4, 64}) {
        const Pieces expected = pieces_of(one, count, grain);
        EXPECT_EQ(static_cast<int64_t>(expected.size()), (count + grain - 1) / grain);
        EXPECT_EQ(pieces_of(many, count, grain), expected);
      }
  }
}

TEST(ThreadPool, ManyShortLoopsSeeEachOthersResults) {
  ThreadPool pool(4);
  std::vector<int64_t> values(64, 0);
  constexpr int kLoops = 3000;
  for (int loop = 0; loop < kLoops; ++loop)
    pool.parallel_for(64, 1, [&](int64_t begin, int64_t end) {
      // Reads a neighbour written by another thread in the loop before.
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += 1;
    });
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 64 * kLoops);
}

TEST(ThreadPool, OneLoopsOutputIsTheNextOnesInput) {
  ThreadPool pool(3);
  std::vector<int64_t> a(257, 1), b(257, 0);
  for (int loop = 0; loop < 500; ++loop) {
    pool.parallel_for(257, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        b[static_cast<size_t>(i)] = a[static_cast<size_t>(256 - i)] + 1;
    });
    std::swap(a, b);
  }
  for (const int64_t value : a) ASSERT_EQ(value, 501);
}

TEST(ThreadPool, SleepingWorkersWakeUp) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 5; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // longer than they spin
    std::atomic<int> ran{0};
    pool.parallel_for(100, 1, [&](int64_t, int64_t) { ran.fetch_add(1); });
    EXPECT_EQ(ran.load(), 100);
  }
}

// Most of them have no CPU when a loop begins: they may miss it, join late, or leave last.
TEST(ThreadPool, MoreThreadsThanCpusDoEachPieceOnce) {
  ThreadPool pool(4 * ThreadPool::available_cores() + 3);
  std::vector<int> visits(40);
  for (int loop = 1; loop <= 3000; ++loop) {
    const auto count = static_cast<int64_t>(1 + loop % 40);
    std::fill(visits.begin(), visits.end(), 0);
    pool.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    for (int64_t i = 0; i < 40; ++i) ASSERT_EQ(visits[static_cast<size_t>(i)], i < count ? 1 : 0);
  }
}

// Workers that missed the loop are on their way when the pool ends.
TEST(ThreadPool, PoolsStopRightAfterALoop) {
  for (int i = 0; i < 2000; ++i) {
    ThreadPool pool(4);
    std::atomic<int> done{0};
    pool.parallel_for(1 + i % 5, 1,
                      [&](int64_t begin, int64_t end) { done += static_cast<int>(end - begin); });
    EXPECT_EQ(done, 1 + i % 5);
  }
}

TEST(ThreadPool, PoolsStartAndStopWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(1 + i % 4);
}

TEST(ThreadPool, PinningLeavesTheCpuCountOfTheProcess) {
  const int before = ThreadPool::available_cores();
  EXPECT_GE(before, 1);
  std::thread([] {  // pinning binds the calling thread, so not this one
    ThreadPool pool(ThreadPool::available_cores(), ThreadPool::Pinning::kOneCpuEach);
    std::atomic<int64_t> sum{0};
    pool.parallel_for(1000, 1, [&](int64_t begin, int64_t) { sum.fetch_add(begin); });
    EXPECT_EQ(sum.load(), 499500);
  })
      .join();
  EXPECT_EQ(ThreadPool::available_cores(), before);
}

TEST(ThreadPoolDeathTest, NoThreadsIsABug) { EXPECT_DEATH(ThreadPool(0), "internal error"); }

}  // namespace
}  // namespace gemma4

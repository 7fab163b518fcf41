#include "apps/memory_bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>

#include "base/huge_pages.h"

namespace gemma4::apps {
namespace {

// Several independent sums, so that the additions never wait for each other, and reads so far ahead
// that they never wait for memory: the best that kernels could do.
uint64_t sum(const uint64_t* data, int64_t count) {
  constexpr int64_t kAhead = 512;  // words: 4 KiB
  uint64_t sums[8] = {};
  for (int64_t i = 0; i < count; i += 8) {
    __builtin_prefetch(data + i + kAhead);
    for (int64_t j = 0; j < 8; ++j) sums[j] += data[i + j];
  }
  uint64_t total = 0;
  for (const uint64_t s : sums) total += s;
  return total;
}

}  // namespace

ReadBandwidth measure_read_bandwidth(ThreadPool& pool) {
  constexpr int64_t kWords = int64_t{64} << 20;  // 512 MiB
  constexpr int64_t kPiece = 1 << 16;
  constexpr int kPasses = 7;
  const std::unique_ptr<uint64_t[], decltype(&std::free)> data(
      static_cast<uint64_t*>(allocate_pages(kWords * sizeof(uint64_t))), &std::free);
  if (data == nullptr) return {};
  std::atomic<uint64_t> sink{0};
  pool.parallel_for(kWords, kPiece,
                    [&](int64_t begin, int64_t end) { std::fill(&data[begin], &data[end], 1); });
  double least = std::numeric_limits<double>::infinity(), total = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(kWords, kPiece, [&](int64_t begin, int64_t end) {
      sink.fetch_add(sum(&data[begin], end - begin), std::memory_order_relaxed);
    });
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    least = std::min(least, seconds);
    total += seconds;
  }
  constexpr auto kBytes = static_cast<double>(kWords * sizeof(uint64_t));
  return {.best = kBytes / least, .mean = kPasses * kBytes / total};
}

}  // namespace gemma4::apps

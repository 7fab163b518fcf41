// The largest logits of a row, in two passes: the maxima of blocks tell a floor that kCount of them
// reach, and only blocks that reach it are looked at again.
// Included once per instruction set.

#if defined(GEMMA4_KERNELS_CPU_BEST_LOGITS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_BEST_LOGITS_INL_H_
#undef GEMMA4_KERNELS_CPU_BEST_LOGITS_INL_H_
#else
#define GEMMA4_KERNELS_CPU_BEST_LOGITS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// Logits of a block: a second pass looks into kCount blocks at most, a sixteenth of a row, whatever
// its length. (With 128 for all, a row of 8,192 had too few blocks to leave any out.)
inline int64_t logit_block(int64_t cols) {
  return std::clamp<int64_t>(cols / (16 * BestLogitsArgs::kCount) / 16 * 16, 16, 128);
}

inline bool ranks_before(const RankedLogit& a, const RankedLogit& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// NaN counts as -infinity.
HWY_INLINE float largest_logit(const float* logits, int64_t count) {
  const FloatTag d;
  const auto none = hn::Set(d, -std::numeric_limits<float>::infinity());
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto largest = none;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto v = hn::LoadU(d, logits + i);
    largest = hn::Max(largest, hn::IfThenElse(hn::IsNaN(v), none, v));
  }
  float result = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < count; ++i)
    if (logits[i] > result) result = logits[i];
  return result;
}

// Those of `logits` [cols] that come before all others; `maxima` are of its blocks, in order.
inline void rank_row(const float* logits, int64_t cols, std::span<const float> maxima,
                     RankedLogit* out) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  constexpr size_t kCount = BestLogitsArgs::kCount;
  float floor = kNone;
  if (maxima.size() > kCount) {
    std::vector<float> sorted(maxima.begin(), maxima.end());
    const auto last = sorted.begin() + (kCount - 1);
    std::nth_element(sorted.begin(), last, sorted.end(), std::greater<>());
    floor = *last;
  }
  const int64_t length = logit_block(cols);
  std::vector<RankedLogit> found;
  for (size_t block = 0; block < maxima.size(); ++block) {
    if (maxima[block] < floor) continue;
    const int64_t begin = static_cast<int64_t>(block) * length;
    for (int64_t i = begin; i < std::min(begin + length, cols); ++i) {
      const float logit = std::isnan(logits[i]) ? kNone : logits[i];
      if (logit >= floor) found.push_back({logit, static_cast<int32_t>(i)});
    }
  }
  const size_t count = std::min(found.size(), kCount);
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(found.begin(), end, found.end(), ranks_before);
  std::copy(found.begin(), end, out);
  std::fill(out + count, out + kCount, RankedLogit{kNone, -1});
}

inline void best_logits(Queue queue, const BestLogitsArgs& a) {
  constexpr int64_t kLogitsPerPiece = 16 << 10;
  const int64_t length = logit_block(a.cols);
  const int64_t blocks = (a.cols + length - 1) / length;
  std::vector<float> maxima(static_cast<size_t>(a.rows * blocks));  // [R, blocks]
  queue.pool->parallel_for(
      a.rows * blocks, kLogitsPerPiece / length, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i % blocks * length;
          maxima[static_cast<size_t>(i)] = largest_logit(a.logits + i / blocks * a.cols + first,
                                                         std::min(length, a.cols - first));
        }
      });
  queue.pool->parallel_for(a.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      rank_row(
          a.logits + r * a.cols, a.cols,
          std::span(maxima).subspan(static_cast<size_t>(r * blocks), static_cast<size_t>(blocks)),
          a.out + r * a.kCount);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

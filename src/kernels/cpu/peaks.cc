// Compiled once per instruction set, like the kernels.

#define HWY_WANT_AVX3_DL
// As in cpu_table.cc, whose kernels this measures the limit of: sums are an array of vectors.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/peaks.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "kernels/cpu/dot4-inl.h"
#include "kernels/peaks.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums that do not wait for each other: as many as hide the latency of two units.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
constexpr int kSums = 12;
#else
constexpr int kSums = 8;
#endif
constexpr int64_t kRounds = 200'000;

// A number that depends on every sum, so that none of them can be left out; the operands come from
// outside, so that nothing is known about them.
float int8_rounds(uint32_t weights, int32_t values) {
  const IntTag d;
  WordVec w = hn::Set(WordTag(), weights);
  const IntVec x = hn::Set(d, values);
  IntVec sums[kSums];
  for (IntVec& sum : sums) sum = hn::Zero(d);
  for (int64_t i = 0; i < kRounds; ++i)
    for (IntVec& sum : sums) sum = SetDot::dot4<true>(sum, w, x);
  for (int i = 1; i < kSums; ++i) sums[0] = hn::Xor(sums[0], sums[i]);
  return static_cast<float>(hn::GetLane(sums[0]));
}

float float32_rounds(float weight, float value) {
  const hn::ScalableTag<float> d;
  const auto w = hn::Set(d, weight);
  const auto x = hn::Set(d, value);
  hn::Vec<decltype(d)> sums[kSums];
  for (auto& sum : sums) sum = w;
  for (int64_t i = 0; i < kRounds; ++i)
    for (auto& sum : sums) sum = hn::MulAdd(sum, x, w);
  for (int i = 1; i < kSums; ++i) sums[0] = hn::Add(sums[0], sums[i]);
  return hn::GetLane(sums[0]);
}

// Multiplications and additions of one run of float32_rounds; int8_rounds has four times as many.
double operations() {
  return 2.0 * static_cast<double>(hn::Lanes(hn::ScalableTag<float>())) * kSums * kRounds;
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gemma4::kernels {

HWY_EXPORT(int8_rounds);
HWY_EXPORT(float32_rounds);
HWY_EXPORT(operations);

namespace {

// Runs of `rounds` on every thread at once, per second.
template <typename Rounds>
double runs_per_second(ThreadPool& pool, const Rounds& rounds) {
  constexpr int kRuns = 5;
  std::atomic<float> sink{0};
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(pool.num_threads(), 1, [&](int64_t, int64_t) { sink = rounds(); });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, pool.num_threads() / seconds.count());
  }
  return best;
}

}  // namespace

Peaks measure_peaks(ThreadPool& pool) {
  std::atomic<uint32_t> weights{0x01020304};
  std::atomic<float> factor{0.5f};
  const double per_run = HWY_DYNAMIC_DISPATCH(operations)();
  const auto int8 = [&] {
    return HWY_DYNAMIC_DISPATCH(int8_rounds)(weights, static_cast<int32_t>(weights.load()));
  };
  const auto float32 = [&] { return HWY_DYNAMIC_DISPATCH(float32_rounds)(factor, factor); };
  return {.int8 = 4 * per_run * runs_per_second(pool, int8),
          .float32 = per_run * runs_per_second(pool, float32)};
}

}  // namespace gemma4::kernels
#endif

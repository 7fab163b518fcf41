// The vision tower's kernels beside its matrix products and its attention. Included once per
// instruction set.

#if defined(GEMMA4_KERNELS_CPU_VISION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_VISION_INL_H_
#undef GEMMA4_KERNELS_CPU_VISION_INL_H_
#else
#define GEMMA4_KERNELS_CPU_VISION_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>

#include "kernels/cpu/audio-inl.h"
#include "kernels/cpu/elementwise-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE void rotate_part(float* part, const float* cos, const float* sin, int64_t half) {
  for_vectors(0, half, [&](auto d, int64_t i) {
    const auto low = hn::LoadU(d, part + i), high = hn::LoadU(d, part + half + i);
    const auto c = hn::LoadU(d, cos + i), s = hn::LoadU(d, sin + i);
    hn::StoreU(hn::NegMulAdd(high, s, hn::Mul(low, c)), d, part + i);
    hn::StoreU(hn::MulAdd(high, c, hn::Mul(low, s)), d, part + half + i);
  });
}

inline void rope_axes(Queue queue, const RopeAxesArgs& a) {
  const int64_t cols = a.heads * a.axes * 2 * a.half;
  queue.pool->parallel_for(a.tokens, grain_of(cols), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t part = 0; part < a.heads * a.axes; ++part) {
        const int64_t angles = (part % a.axes * a.tokens + t) * a.half;
        rotate_part(a.x + t * cols + part * 2 * a.half, a.cos + angles, a.sin + angles, a.half);
      }
  });
}

inline void pool(Queue queue, const PoolArgs& a) {
  const int64_t out_cols = a.cols / a.side;
  const float mean = 1.0f / static_cast<float>(a.side * a.side);
  const auto pool_cell = [&](int64_t cell) {
    const float* const first =
        a.x + (cell / out_cols * a.side * a.cols + cell % out_cols * a.side) * a.width;
    for_vectors(0, a.width, [&](auto d, int64_t j) {
      auto sum = hn::Zero(d);
      for (int64_t y = 0; y < a.side; ++y)
        for (int64_t x = 0; x < a.side; ++x)
          sum = hn::Add(sum, hn::LoadU(d, first + (y * a.cols + x) * a.width + j));
      sum = hn::Mul(hn::Mul(sum, hn::Set(d, mean)), hn::Set(d, a.scale));
      if (a.bias != nullptr) sum = hn::Sub(sum, hn::LoadU(d, a.bias + j));
      if (a.weight != nullptr) sum = hn::Mul(sum, hn::LoadU(d, a.weight + j));
      hn::StoreU(sum, d, a.out + cell * a.width + j);
    });
  };
  queue.pool->parallel_for(a.rows / a.side * out_cols, grain_of(a.side * a.side * a.width),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t cell = begin; cell < end; ++cell) pool_cell(cell);
                           });
}

HWY_INLINE float sum_of(const float* x, int64_t n) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  FloatVec sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) sum = hn::Add(sum, hn::LoadU(d, x + i));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) total += x[i];
  return total;
}

// Two passes: the variance of what is far from zero would vanish in a difference of sums.
inline void layer_norm(Queue queue, const LayerNormArgs& a) {
  const auto n = static_cast<float>(a.cols);
  queue.pool->parallel_for(a.rows, grain_of(a.cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* const x = a.x + r * a.cols;
      float* const out = a.out + r * a.cols;
      const float mean = sum_of(x, a.cols) / n;
      for_vectors(0, a.cols, [&](auto d, int64_t j) {
        hn::StoreU(hn::Sub(hn::LoadU(d, x + j), hn::Set(d, mean)), d, out + j);
      });
      const float inverse = 1.0f / std::sqrt(sum_of_squares(out, a.cols) / n + a.eps);
      for_vectors(0, a.cols, [&](auto d, int64_t j) {
        const auto normed = hn::Mul(hn::LoadU(d, out + j), hn::Set(d, inverse));
        hn::StoreU(hn::MulAdd(normed, hn::LoadU(d, a.weight + j), hn::LoadU(d, a.bias + j)), d,
                   out + j);
      });
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

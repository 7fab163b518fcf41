// The audio tower's kernels beside its matrix products. Included once per instruction set.

#if defined(GEMMA4_KERNELS_CPU_AUDIO_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_AUDIO_INL_H_
#undef GEMMA4_KERNELS_CPU_AUDIO_INL_H_
#else
#define GEMMA4_KERNELS_CPU_AUDIO_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// body(tag, i) for the vectors of [begin, end) and then its last elements one by one.
template <class Body>
HWY_INLINE void for_vectors(int64_t begin, int64_t end, const Body& body) {
  const FloatTag d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) body(d, i);
  for (; i < end; ++i) body(one, i);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V held(D d, V x, const Bounds& bounds) {
  return hn::Min(hn::Max(x, hn::Set(d, bounds.low)), hn::Set(d, bounds.high));
}

// a · sigmoid(b). Exp is defined up to 104; from 89 on it is infinite, which makes the far tail
// zero.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gated_by(D d, V a, V b) {
  const V e = hn::Exp(d, hn::Min(hn::Neg(b), hn::Set(d, 100.0f)));
  return hn::Div(a, hn::Add(hn::Set(d, 1.0f), e));
}

// LayerNorm without bias, then ReLU, in place
inline void layer_norm_relu(float* x, const float* weight, int64_t n, float eps) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  FloatVec sum = hn::Zero(d);
  float total = 0;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) sum = hn::Add(sum, hn::LoadU(d, x + i));
  for (; i < n; ++i) total += x[i];
  const float mean = (total + hn::GetLane(hn::SumOfLanes(d, sum))) / static_cast<float>(n);
  for_vectors(0, n, [&](auto tag, int64_t j) {
    hn::StoreU(hn::Sub(hn::LoadU(tag, x + j), hn::Set(tag, mean)), tag, x + j);
  });
  const float inverse = 1.0f / std::sqrt(sum_of_squares(x, n) / static_cast<float>(n) + eps);
  for_vectors(0, n, [&](auto tag, int64_t j) {
    const auto scaled = hn::Mul(hn::LoadU(tag, x + j), hn::Set(tag, inverse));
    hn::StoreU(hn::Max(hn::Mul(scaled, hn::LoadU(tag, weight + j)), hn::Zero(tag)), tag, x + j);
  });
}

// The inputs of one row of outputs, [out_bands, 9·C], zeros where there are none.
inline void gather_taps(const SubsampleArgs& a, int64_t t, float* out) {
  for (int64_t m = 0; m < (a.bands + 1) / 2; ++m)
    for (int64_t tap = 0; tap < 9; ++tap, out += a.channels) {
      const int64_t time = 2 * t - 1 + tap / 3;
      const int64_t band = 2 * m - 1 + tap % 3;
      const auto bytes = static_cast<size_t>(a.channels) * sizeof(float);
      if (time < 0 || time >= a.frames || band < 0 || band >= a.bands)
        std::memset(out, 0, bytes);
      else
        std::memcpy(out, a.x + (time * a.bands + band) * a.channels, bytes);
    }
}

inline void subsample(Queue queue, const SubsampleArgs& a) {
  const int64_t bands = (a.bands + 1) / 2;
  const int64_t cols = 9 * a.channels;
  const int64_t outputs = a.weight.rows;
  const auto* weight = static_cast<const float*>(a.weight.data);
  queue.pool->parallel_for((a.frames + 1) / 2, 4, [&](int64_t begin, int64_t end) {
    static thread_local std::vector<float> taps;
    taps.resize(static_cast<size_t>(bands * cols));
    for (int64_t t = begin; t < end; ++t) {
      float* out = a.out + t * bands * outputs;
      gather_taps(a, t, taps.data());
      dot_block<F32Weights>(taps.data(), cols, bands, weight, cols, outputs, cols, out, outputs);
      for (int64_t m = 0; m < bands; ++m)
        layer_norm_relu(out + m * outputs, a.norm, outputs, a.eps);
    }
  });
}

inline void clip(Queue queue, const ClipArgs& a) {
  queue.pool->parallel_for(a.rows, grain_of(a.cols), [&](int64_t begin, int64_t end) {
    if (a.bias == nullptr)
      return for_vectors(begin * a.cols, end * a.cols, [&](auto d, int64_t i) {
        hn::StoreU(held(d, hn::LoadU(d, a.x + i), a.bounds), d, a.out + i);
      });
    for (int64_t r = begin; r < end; ++r)
      for_vectors(0, a.cols, [&](auto d, int64_t j) {
        const auto sum = hn::Add(hn::LoadU(d, a.x + r * a.cols + j), hn::LoadU(d, a.bias + j));
        hn::StoreU(held(d, sum, a.bounds), d, a.out + r * a.cols + j);
      });
  });
}

inline void silu(Queue queue, const SiluArgs& a) {
  queue.pool->parallel_for(a.n, grain_of(1), [&](int64_t begin, int64_t end) {
    for_vectors(begin, end, [&](auto d, int64_t i) {
      const auto x = held(d, hn::LoadU(d, a.x + i), a.before);
      hn::StoreU(held(d, gated_by(d, x, x), a.after), d, a.out + i);
    });
  });
}

// g = a ⊙ sigmoid(b) of one row
HWY_INLINE void gate_row(const LightConvArgs& a, int64_t row, float* out) {
  const float* x = a.x + row * 2 * a.width;
  for_vectors(0, a.width, [&](auto d, int64_t j) {
    const auto value = held(d, hn::LoadU(d, x + j), a.before);
    const auto gate = held(d, hn::LoadU(d, x + a.width + j), a.before);
    hn::StoreU(gated_by(d, value, gate), d, out + j);
  });
}

// One row of outputs from its `taps` rows of g, the oldest first.
HWY_INLINE void convolve_row(const LightConvArgs& a, const float* g, float* out) {
  for_vectors(0, a.width, [&](auto d, int64_t j) {
    auto sum = hn::Zero(d);
    for (int64_t tap = 0; tap < a.taps; ++tap)
      sum = hn::MulAdd(hn::LoadU(d, g + tap * a.width + j),
                       hn::LoadU(d, a.kernel + tap * a.width + j), sum);
    hn::StoreU(sum, d, out + j);
  });
  normalise_row(out, out, a.norm, a.width, a.eps);
  for_vectors(0, a.width, [&](auto d, int64_t j) {
    const auto x = hn::LoadU(d, out + j);
    hn::StoreU(held(d, gated_by(d, x, x), a.after), d, out + j);
  });
}

inline void light_conv(Queue queue, const LightConvArgs& a) {
  constexpr int64_t kRows = 32;  // of a piece, which gates taps - 1 rows before it once more
  const int64_t past = a.taps - 1;
  queue.pool->parallel_for(a.tokens, kRows, [&](int64_t begin, int64_t end) {
    static thread_local std::vector<float> gated;
    gated.resize(static_cast<size_t>((kRows + past) * a.width));
    for (int64_t row = begin - past; row < end; ++row) {
      float* out = gated.data() + (row - begin + past) * a.width;
      if (row < 0)
        std::fill(out, out + a.width, 0.0f);
      else
        gate_row(a, row, out);
    }
    for (int64_t t = begin; t < end; ++t)
      convolve_row(a, gated.data() + (t - begin) * a.width, a.out + t * a.width);
  });
}

HWY_INLINE float dot_product(const float* x, const float* y, int64_t n) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  FloatVec sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    sum = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, y + i), sum);
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) total += x[i] * y[i];
  return total;
}

// Scores [keys] become what the values are weighted with. All are below the cap.
HWY_INLINE void softmax_of_capped(float* scores, int64_t keys, float cap) {
  for_vectors(0, keys, [&](auto d, int64_t i) {
    const auto z = hn::Mul(hn::LoadU(d, scores + i), hn::Set(d, 1.0f / cap));
    hn::StoreU(hn::Mul(hn::Tanh(d, z), hn::Set(d, cap)), d, scores + i);
  });
  const float best = *std::max_element(scores, scores + keys);
  for_vectors(0, keys, [&](auto d, int64_t i) {
    hn::StoreU(hn::Exp(d, hn::Sub(hn::LoadU(d, scores + i), hn::Set(d, best))), d, scores + i);
  });
  float total = 0;
  for (int64_t i = 0; i < keys; ++i) total += scores[i];
  for (int64_t i = 0; i < keys; ++i) scores[i] /= total;
}

// Row t of head `head`; q has room for a head.
HWY_INLINE void attend_locally(const LocalAttentionArgs& a, int64_t t, int64_t head, float* q) {
  const int64_t stride = a.heads * a.head_dim;
  const int64_t at = t * stride + head * a.head_dim;
  const int64_t keys = std::min(t + 1, a.window);
  std::array<float, kMostLocalKeys> scores{};
  for_vectors(0, a.head_dim, [&](auto d, int64_t j) {
    hn::StoreU(hn::Mul(hn::LoadU(d, a.q + at + j), hn::LoadU(d, a.q_scale + j)), d, q + j);
  });
  for (int64_t distance = 0; distance < keys; ++distance)
    scores[static_cast<size_t>(distance)] =
        dot_product(q, a.k + at - distance * stride, a.head_dim) * a.k_scale +
        dot_product(q, a.relative + distance * stride + head * a.head_dim, a.head_dim);
  softmax_of_capped(scores.data(), keys, a.cap);
  for_vectors(0, a.head_dim, [&](auto d, int64_t j) {
    auto sum = hn::Zero(d);
    for (int64_t distance = 0; distance < keys; ++distance)
      sum = hn::MulAdd(hn::Set(d, scores[static_cast<size_t>(distance)]),
                       hn::LoadU(d, a.v + at - distance * stride + j), sum);
    hn::StoreU(sum, d, a.out + at + j);
  });
}

inline void local_attention(Queue queue, const LocalAttentionArgs& a) {
  queue.pool->parallel_for(a.tokens, 16, [&](int64_t begin, int64_t end) {
    static thread_local std::vector<float> q;
    q.resize(static_cast<size_t>(a.head_dim));
    for (int64_t t = begin; t < end; ++t)
      for (int64_t head = 0; head < a.heads; ++head) attend_locally(a, t, head, q.data());
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

// The arithmetic of attention inside one block of the cache: scores, softmax and weighted sums for
// a few queries. Included once per instruction set.
//
// Keys and values are widened to floats in registers, which is exact (kv_formats-inl.h says how
// they lie). Every score is one chain over Dh and every output one chain over keys, whatever the
// tile.

#if defined(GEMMA4_KERNELS_CPU_ATTENTION_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_ATTENTION_TILES_INL_H_
#undef GEMMA4_KERNELS_CPU_ATTENTION_TILES_INL_H_
#else
#define GEMMA4_KERNELS_CPU_ATTENTION_TILES_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/cpu/kv_formats-inl.h"
#include "kernels/cpu/linear-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls tile(integral_constant<int, n>, first) for tiles that together cover [0, count).
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
constexpr int kAttentionQueries = 8;  // of models with 8 query heads to a KV head
constexpr int vectors_beside(int queries) { return queries == kAttentionQueries ? 2 : 4; }
#else
constexpr int kAttentionQueries = 4;
constexpr int vectors_beside(int) { return 2; }
#endif
template <class Tile>
HWY_INLINE void tile_queries(int64_t count, const Tile& tile) {
  int64_t i = 0;
  for (; i + kAttentionQueries <= count; i += kAttentionQueries)
    tile(std::integral_constant<int, kAttentionQueries>(), i);
  if constexpr (kAttentionQueries > 4)
    for (; i + 4 <= count; i += 4) tile(std::integral_constant<int, 4>(), i);
  for (; i + 2 <= count; i += 2) tile(std::integral_constant<int, 2>(), i);
  if (i < count) tile(std::integral_constant<int, 1>(), i);
}

// Part of a part, as floats in the nearest cache: what several tiles of queries read.
struct NearKv : F32Kv {};

// While a tile reads elements at `at` + `n` of one part, asks for the line there in another, once
// for the lines of a tile's row.
template <class Format>
HWY_INLINE void prefetch_beside(const void* part, int64_t at, int64_t n) {
  if constexpr (!std::is_same_v<Format, NearKv>) {
    constexpr int64_t kLine = 64 / sizeof(typename Format::Raw);
    constexpr int kRead = 0, kNotNearest = 2;  // it may be larger than the nearest cache
    if (n % kLine == 0)
      __builtin_prefetch(static_cast<const typename Format::Raw*>(part) + at + n, kRead,
                         kNotNearest);
  }
}

// Queries beside some keys: x[q · dim + i] meets row i of them, i in [0, rows).
struct ScoreTile {
  const float* HWY_RESTRICT x;
  int64_t dim;
  int64_t rows;
  float* HWY_RESTRICT scores;  // [kQueries, …], rows `stride` apart
  int64_t stride;
  int64_t width;      // of a row of keys
  const void* ahead;  // a part that is needed next
};

// scores[q, j + …] = Σ_i x[q, i] · k[i, j + …] for kQueries queries and kVectors vectors of keys;
// kGoOn adds to the scores that are there.
template <class Format, class D, int kQueries, int kVectors, bool kGoOn = false>
HWY_INLINE void score_tile(const ScoreTile& t, const KvPart<Format>& k, int64_t j) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t group = Format::kScaled ? kKvGroup : t.rows;
  hn::Vec<D> sum[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n)
      sum[q][n] = kGoOn ? hn::LoadU(d, t.scores + q * t.stride + j + n * lanes) : hn::Zero(d);
  for (int64_t begin = 0; begin < t.rows; begin += group) {
    hn::Vec<D> scale[kVectors];
    if constexpr (Format::kScaled)
      for (int n = 0; n < kVectors; ++n)
        scale[n] = load_f16(d, k.scales + begin / kKvGroup * t.width + j + n * lanes);
    for (int64_t i = begin; i < begin + group; ++i) {
      hn::Vec<D> key[kVectors];
      for (int n = 0; n < kVectors; ++n) {
        key[n] = Format::load(d, k.elements + i * t.width + j + n * lanes);
        if constexpr (Format::kScaled) key[n] = hn::Mul(key[n], scale[n]);
        prefetch_beside<Format>(t.ahead, i * t.width + j, n * lanes);
      }
      for (int q = 0; q < kQueries; ++q) {
        const hn::Vec<D> value = hn::Set(d, t.x[q * t.dim + i]);
        for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::MulAdd(value, key[n], sum[q][n]);
      }
    }
  }
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n)
      hn::StoreU(sum[q][n], d, t.scores + q * t.stride + j + n * lanes);
}

// Scores of a block's keys from those that hold `from` to the one before `to`, whole vectors where
// they fit into the block. What lies beside these keys may be anything.
template <class Format, int kQueries>
HWY_INLINE void block_scores(const ScoreTile& t, const KvPart<Format>& k, int64_t from,
                             int64_t to) {
  using One = hn::CappedTag<float, 1>;
  constexpr int kVectors = vectors_beside(kQueries);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  int64_t j = from / lanes * lanes;
  for (; j < to && j + kVectors * lanes <= t.width; j += kVectors * lanes)
    score_tile<Format, FloatTag, kQueries, kVectors>(t, k, j);
  for (; j < to && j + lanes <= t.width; j += lanes)
    score_tile<Format, FloatTag, kQueries, 1>(t, k, j);
  for (; j < to; ++j) score_tile<Format, One, kQueries, 1>(t, k, j);
}

// Weights of keys [from, to) beside a part of the cache.
struct SumTile {
  float* HWY_RESTRICT acc;  // [kQueries, …], rows `dim` apart
  int64_t dim;
  const float* HWY_RESTRICT p;  // [kQueries, block_tokens], rows `stride` apart
  int64_t stride;
  int64_t from;
  int64_t to;
  int64_t width;      // of a row of values
  const void* ahead;  // a part that is needed next
};

// acc[q, i + …] += Σ_j p[q, j] · v[j, i + …] for kQueries queries and kVectors vectors of a row.
template <class Format, class D, int kQueries, int kVectors>
HWY_INLINE void weighted_sum_tile(const SumTile& t, const KvPart<Format>& v, int64_t i) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::LoadU(d, t.acc + q * t.dim + i + n * lanes);
  for (int64_t j = t.from; j < t.to; ++j) {
    hn::Vec<D> value[kVectors];
    [[maybe_unused]] hn::Vec<D> scale = hn::Zero(d);
    for (int n = 0; n < kVectors; ++n) {
      value[n] = Format::load(d, v.elements + j * t.width + i + n * lanes);
      if constexpr (Format::kScaled) {
        if (n * lanes % kKvGroup == 0)  // groups are whole vectors, tiles whole groups or parts
          scale = scale_of(d, v.scales[(j * t.width + i + n * lanes) / kKvGroup]);
        value[n] = hn::Mul(value[n], scale);
      }
      prefetch_beside<Format>(t.ahead, j * t.width + i, n * lanes);
    }
    for (int q = 0; q < kQueries; ++q) {
      const hn::Vec<D> weight = hn::Set(d, t.p[q * t.stride + j]);
      for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::MulAdd(weight, value[n], sum[q][n]);
    }
  }
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n) hn::StoreU(sum[q][n], d, t.acc + q * t.dim + i + n * lanes);
}

// From column `i` on.
template <class Format, int kQueries>
HWY_INLINE void weighted_sum(const SumTile& t, const KvPart<Format>& v, int64_t i) {
  using One = hn::CappedTag<float, 1>;
  constexpr int kVectors = vectors_beside(kQueries);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  for (; i + kVectors * lanes <= t.dim; i += kVectors * lanes)
    weighted_sum_tile<Format, FloatTag, kQueries, kVectors>(t, v, i);
  for (; i + lanes <= t.dim; i += lanes) weighted_sum_tile<Format, FloatTag, kQueries, 1>(t, v, i);
  using Half = hn::Half<FloatTag>;  // heads of the vision tower have 72 elements
  if (i + lanes / 2 <= t.dim && lanes > 1) {
    weighted_sum_tile<Format, Half, kQueries, 1>(t, v, i);
    i += lanes / 2;
  }
  for (; i < t.dim; ++i) weighted_sum_tile<Format, One, kQueries, 1>(t, v, i);
}

// How much of a part becomes floats for several tiles of queries: rows of kNearVectors vectors,
// 16 KiB with AVX-512. Fewer queries read the part itself.
constexpr int kNearVectors = vectors_beside(kAttentionQueries);
constexpr int64_t kNearRows = 128;
using NearTile = float[kNearRows * kNearVectors * HWY_LANES(float)];

// out[r - first, …] = elements of rows [first, last) of a part, `width` elements each, from column
// `column` on; scale(r, c) is what those of row r from column c on are multiplied by.
template <class Format, class Scale>
HWY_INLINE void bring_near(const KvPart<Format>& part, int64_t width, int64_t first, int64_t last,
                           int64_t column, const void* ahead, const Scale& scale, NearTile& out) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = first; r < last; ++r)
    for (int64_t n = 0; n < kNearVectors; ++n) {
      const int64_t c = column + n * lanes;
      auto value = Format::load(d, part.elements + r * width + c);
      if constexpr (Format::kScaled) value = hn::Mul(value, scale(r, c));
      prefetch_beside<Format>(ahead, r * width + column, n * lanes);
      hn::StoreU(value, d, out + ((r - first) * kNearVectors + n) * lanes);
    }
}

// block_scores for any number of queries.
template <class Format>
void scores_of_queries(const ScoreTile& t, int64_t queries, const KvPart<Format>& k, int64_t from,
                       int64_t to) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  const int64_t width = kNearVectors * lanes;
  const auto behind = [&t](int64_t q) {
    ScoreTile rest = t;
    rest.x += q * t.dim;
    rest.scores += q * t.stride;
    return rest;
  };
  const auto scale = [&](int64_t i, int64_t j) HWY_ATTR {
    return load_f16(FloatTag(), k.scales + i / kKvGroup * t.width + j);
  };
  int64_t j = from / lanes * lanes;
  alignas(64) NearTile near_tile;
  if (queries > kAttentionQueries)
    for (; j < to && j + width <= t.width; j += width)
      for (int64_t i = 0; i < t.rows; i += kNearRows) {
        const int64_t rows = std::min(kNearRows, t.rows - i);
        bring_near(k, t.width, i, i + rows, j, t.ahead, scale, near_tile);
        tile_queries(queries, [&](auto tile, int64_t q) HWY_ATTR {
          constexpr int kQueries = decltype(tile)::value;
          const ScoreTile some = {behind(q).x + i, t.dim, rows,   behind(q).scores + j,
                                  t.stride,        width, nullptr};
          if (i == 0)
            score_tile<NearKv, FloatTag, kQueries, kNearVectors>(some, {near_tile, nullptr}, 0);
          else
            score_tile<NearKv, FloatTag, kQueries, kNearVectors, true>(some, {near_tile, nullptr},
                                                                       0);
        });
      }
  if (j < to)
    tile_queries(queries, [&](auto tile, int64_t q) HWY_ATTR {
      block_scores<Format, decltype(tile)::value>(behind(q), k, j, to);
    });
}

// weighted_sum for any number of queries.
template <class Format>
void sums_of_queries(const SumTile& t, int64_t queries, const KvPart<Format>& v) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  const int64_t width = kNearVectors * lanes;
  const auto scale = [&](int64_t j, int64_t i) HWY_ATTR {
    return scale_of(FloatTag(), v.scales[(j * t.width + i) / kKvGroup]);
  };
  int64_t i = 0;
  alignas(64) NearTile near_tile;
  if (queries > kAttentionQueries)
    for (; i + width <= t.dim; i += width)
      for (int64_t j = t.from; j < t.to; j += kNearRows) {
        const int64_t rows = std::min(kNearRows, t.to - j);
        bring_near(v, t.width, j, j + rows, i, t.ahead, scale, near_tile);
        tile_queries(queries, [&](auto tile, int64_t q) HWY_ATTR {
          weighted_sum_tile<NearKv, FloatTag, decltype(tile)::value, kNearVectors>(
              {t.acc + q * t.dim + i, t.dim, t.p + q * t.stride + j, t.stride, 0, rows, width,
               nullptr},
              {near_tile, nullptr}, 0);
        });
      }
  if (i < t.dim)
    tile_queries(queries, [&](auto tile, int64_t q) HWY_ATTR {
      SumTile rest = t;
      rest.acc += q * t.dim;
      rest.p += q * t.stride;
      weighted_sum<Format, decltype(tile)::value>(rest, v, i);
    });
}

// Weights below e^this, beside the largest of 1, are taken as none: a million of them change no bit
// of a float, and the products of those that are no normal numbers take a hundred times as long.
constexpr float kLowestExponent = -60.0f;

// One query's scores of a block -> weights relative to the running maximum; returns the rescaling
// of what was accumulated before. `scores` is padded to whole vectors.
HWY_INLINE float softmax_step(float* scores, int64_t begin, int64_t end, int64_t padded, float& max,
                              float& total) {
  const FloatTag d;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  std::fill(scores, scores + begin, kNone);
  std::fill(scores + end, scores + padded, kNone);
  FloatVec largest = hn::Set(d, max);
  for (int64_t j = 0; j < padded; j += lanes) largest = hn::Max(largest, hn::LoadU(d, scores + j));
  const float new_max = hn::GetLane(hn::MaxOfLanes(d, largest));
  if (new_max == kNone) {  // nothing visible up to here
    std::fill(scores, scores + padded, 0.0f);
    return 1.0f;
  }
  const FloatVec shift = hn::Set(d, new_max);
  const FloatVec lowest = hn::Set(d, kLowestExponent);
  FloatVec sum = hn::Zero(d);
  for (int64_t j = 0; j < padded; j += lanes) {
    const FloatVec difference = hn::Sub(hn::LoadU(d, scores + j), shift);
    const FloatVec weight =
        hn::IfThenElseZero(hn::Gt(difference, lowest), hn::Exp(d, hn::Max(difference, lowest)));
    hn::StoreU(weight, d, scores + j);
    sum = hn::Add(sum, weight);
  }
  const float rescale = max - new_max > kLowestExponent ? std::exp(max - new_max) : 0.0f;
  total = total * rescale + hn::GetLane(hn::SumOfLanes(d, sum));
  max = new_max;
  return rescale;
}

// A softmax over some of the keys, not divided by its total yet.
struct PartialSoftmax {
  float* acc;    // [queries, Dh]
  float* max;    // [queries]; -infinity: no key so far
  float* total;  // [queries]

  static int64_t floats(int64_t queries, int64_t dim) { return queries * (dim + 2); }
  static PartialSoftmax at(float* memory, int64_t queries, int64_t dim) {
    return {memory, memory + queries * dim, memory + queries * (dim + 1)};
  }
  void clear(int64_t queries, int64_t dim) const {
    std::fill(acc, acc + queries * dim, 0.0f);
    std::fill(max, max + queries, -std::numeric_limits<float>::infinity());
    std::fill(total, total + queries, 0.0f);
  }
  void merge(const PartialSoftmax& next, int64_t queries, int64_t dim) const {
    for (int64_t q = 0; q < queries; ++q) {
      if (next.total[q] == 0) continue;
      const float new_max = std::max(max[q], next.max[q]);
      const float mine = total[q] == 0 ? 0.0f : std::exp(max[q] - new_max);
      const float its = std::exp(next.max[q] - new_max);
      for (int64_t i = q * dim; i < (q + 1) * dim; ++i) acc[i] = acc[i] * mine + next.acc[i] * its;
      total[q] = total[q] * mine + next.total[q] * its;
      max[q] = new_max;
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

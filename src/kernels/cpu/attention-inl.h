// Attention over the block cache with an online softmax. Included once per instruction set.
//
// Inside a block the keys of a head lie transposed, [Dh, block_tokens]: a vector is a run of keys,
// so that scores need no sum over lanes; the values lie as they came, [block_tokens, Dh]. Every
// score is one chain over Dh and every output one chain over the keys of a span. Spans are taken at
// absolute positions and merged in order: the result does not depend on which rows share a piece,
// nor on how spans are handed to threads.

#if defined(GEMMA4_KERNELS_CPU_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#undef GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#else
#define GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kQueriesPerPiece = 24;  // rows x query heads: fills the tiles
constexpr int64_t kSpanKeys = 512;        // about; whole blocks

// Calls tile(integral_constant<int, n>, first) for tiles that together cover [0, count).
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
constexpr int kAttentionQueries = 6;
constexpr int kKeyVectors = 4;
#else
constexpr int kAttentionQueries = 4;
constexpr int kKeyVectors = 2;
#endif
template <class Tile>
HWY_INLINE void tile_queries(int64_t count, const Tile& tile) {
  int64_t i = 0;
  for (; i + kAttentionQueries <= count; i += kAttentionQueries)
    tile(std::integral_constant<int, kAttentionQueries>(), i);
  for (; i + 2 <= count; i += 2) tile(std::integral_constant<int, 2>(), i);
  if (i < count) tile(std::integral_constant<int, 1>(), i);
}

// scores[q, j] = Σ_i x[q, i] · k[i, j] for kQueries queries and kVectors vectors of keys.
template <class D, int kQueries, int kVectors>
HWY_INLINE void score_tile(const float* HWY_RESTRICT x, int64_t dim, const float* HWY_RESTRICT k,
                           int64_t k_stride, float* HWY_RESTRICT scores, int64_t stride) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::Zero(d);
  for (int64_t i = 0; i < dim; ++i) {
    hn::Vec<D> key[kVectors];
    for (int n = 0; n < kVectors; ++n) key[n] = hn::LoadU(d, k + i * k_stride + n * lanes);
    for (int q = 0; q < kQueries; ++q) {
      const hn::Vec<D> value = hn::Set(d, x[q * dim + i]);
      for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::MulAdd(value, key[n], sum[q][n]);
    }
  }
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n) hn::StoreU(sum[q][n], d, scores + q * stride + n * lanes);
}

// Scores of a block's keys from those that hold `from` to the one before `to`, whole vectors where
// they fit into the block. What lies beside these keys may be anything.
template <int kQueries>
HWY_INLINE void block_scores(const float* x, int64_t dim, const float* k, int64_t block_tokens,
                             int64_t from, int64_t to, float* scores, int64_t stride) {
  using One = hn::CappedTag<float, 1>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  int64_t j = from / lanes * lanes;
  for (; j < to && j + kKeyVectors * lanes <= block_tokens; j += kKeyVectors * lanes)
    score_tile<FloatTag, kQueries, kKeyVectors>(x, dim, k + j, block_tokens, scores + j, stride);
  for (; j < to && j + lanes <= block_tokens; j += lanes)
    score_tile<FloatTag, kQueries, 1>(x, dim, k + j, block_tokens, scores + j, stride);
  for (; j < to; ++j) score_tile<One, kQueries, 1>(x, dim, k + j, block_tokens, scores + j, stride);
}

// acc[q, :] += Σ_j p[q, j] · v[j, :] for a tile of kQueries queries.
template <class D, int kQueries, int kVectors>
HWY_INLINE void weighted_sum_tile(float* HWY_RESTRICT acc, int64_t dim, const float* HWY_RESTRICT p,
                                  int64_t p_stride, const float* HWY_RESTRICT v, int64_t keys) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::LoadU(d, acc + q * dim + n * lanes);
  for (int64_t j = 0; j < keys; ++j) {
    hn::Vec<D> value[kVectors];
    for (int n = 0; n < kVectors; ++n) value[n] = hn::LoadU(d, v + j * dim + n * lanes);
    for (int q = 0; q < kQueries; ++q) {
      const hn::Vec<D> weight = hn::Set(d, p[q * p_stride + j]);
      for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::MulAdd(weight, value[n], sum[q][n]);
    }
  }
  for (int q = 0; q < kQueries; ++q)
    for (int n = 0; n < kVectors; ++n) hn::StoreU(sum[q][n], d, acc + q * dim + n * lanes);
}

template <int kQueries>
HWY_INLINE void weighted_sum(float* acc, int64_t dim, const float* p, int64_t p_stride,
                             const float* v, int64_t keys) {
  using One = hn::CappedTag<float, 1>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  int64_t i = 0;
  for (; i + kKeyVectors * lanes <= dim; i += kKeyVectors * lanes)
    weighted_sum_tile<FloatTag, kQueries, kKeyVectors>(acc + i, dim, p, p_stride, v + i, keys);
  for (; i < dim; ++i) weighted_sum_tile<One, kQueries, 1>(acc + i, dim, p, p_stride, v + i, keys);
}

// One query's scores of a block -> weights relative to the running maximum; returns the rescaling
// of what was accumulated before. `scores` is padded to whole vectors.
HWY_INLINE float softmax_step(float* scores, int64_t begin, int64_t end, int64_t padded, float& max,
                              float& total) {
  const FloatTag d;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  float block_max = kNone;
  for (int64_t j = begin; j < end; ++j) block_max = std::max(block_max, scores[j]);
  const float new_max = std::max(max, block_max);
  if (new_max == kNone) {  // nothing visible up to here
    std::fill(scores, scores + padded, 0.0f);
    return 1.0f;
  }
  for (int64_t j = 0; j < begin; ++j) scores[j] = kNone;
  for (int64_t j = end; j < padded; ++j) scores[j] = kNone;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const FloatVec shift = hn::Set(d, new_max);
  const FloatVec lowest =
      hn::Set(d, -100.0f);  // Exp is defined down to -FLT_MAX; e^-100 rounds to nothing beside 1
  FloatVec sum = hn::Zero(d);
  for (int64_t j = 0; j < padded; j += lanes) {
    const FloatVec difference = hn::Sub(hn::LoadU(d, scores + j), shift);
    const FloatVec weight =
        hn::IfThenElseZero(hn::Gt(difference, lowest), hn::Exp(d, hn::Max(difference, lowest)));
    hn::StoreU(weight, d, scores + j);
    sum = hn::Add(sum, weight);
  }
  const float rescale = max == kNone ? 0.0f : std::exp(max - new_max);
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

// A few rows of one sequence with all query heads of one KV head, so that a block of keys is read
// once for all of them.
struct AttentionPiece {
  int64_t row_begin;
  int64_t row_end;
  int64_t first_key;  // of all rows
  int64_t last_key;   // one behind
};

class AttentionRun {
 public:
  explicit AttentionRun(const AttentionArgs& a)
      : a_(a),
        dim_(a.cache.head_dim),
        group_(a.q_heads / a.cache.heads),
        span_(std::max<int64_t>(1, kSpanKeys / a.cache.block_tokens) * a.cache.block_tokens) {
    const int64_t max_rows = std::max<int64_t>(1, kQueriesPerPiece / group_);
    for (int64_t t = 0; t < a.tokens; ++t) {
      if (t == 0 || a.sequence[t] != a.sequence[t - 1] || t - pieces_.back().row_begin >= max_rows)
        pieces_.push_back({t, t, a.key_begin[t], a.key_end[t]});
      AttentionPiece& piece = pieces_.back();
      piece.row_end = t + 1;
      piece.first_key = std::min<int64_t>(piece.first_key, a.key_begin[t]);
      piece.last_key = std::max<int64_t>(piece.last_key, a.key_end[t]);
      most_spans_ = std::max(most_spans_, spans(piece));
    }
  }

  void run(ThreadPool& pool) const {
    const int64_t units = static_cast<int64_t>(pieces_.size()) * a_.cache.heads;
    if (units >= 4 * pool.num_threads() || most_spans_ == 1) {
      pool.parallel_for(units, 1, [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) attend(unit);
      });
      return;
    }
    // Few rows, many keys: threads share the spans of a row.
    static thread_local std::vector<float> memory;
    const int64_t floats = PartialSoftmax::floats(most_queries(), dim_);
    memory.resize(static_cast<size_t>(units * most_spans_ * floats));
    float* partials = memory.data();
    pool.parallel_for(units * most_spans_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (i % most_spans_ < spans(piece_of(i / most_spans_)))
          attend_span(i / most_spans_, i % most_spans_, partial(partials, floats, i));
    });
    pool.parallel_for(units, 1, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit)
        finish(unit,
               [&](int64_t span) { return partial(partials, floats, unit * most_spans_ + span); });
    });
  }

 private:
  const AttentionPiece& piece_of(int64_t unit) const {
    return pieces_[static_cast<size_t>(unit / a_.cache.heads)];
  }
  int64_t queries(const AttentionPiece& piece) const {
    return (piece.row_end - piece.row_begin) * group_;
  }
  int64_t most_queries() const { return std::max(group_, kQueriesPerPiece); }
  int64_t spans(const AttentionPiece& piece) const {
    return (piece.last_key + span_ - 1) / span_ - piece.first_key / span_;
  }
  PartialSoftmax partial(float* memory, int64_t floats, int64_t index) const {
    return PartialSoftmax::at(memory + index * floats, most_queries(), dim_);
  }

  void attend(int64_t unit) const {
    static thread_local std::vector<float> memory;
    memory.resize(static_cast<size_t>(PartialSoftmax::floats(most_queries(), dim_)));
    const PartialSoftmax one = partial(memory.data(), 0, 0);
    finish(unit, [&](int64_t span) {
      attend_span(unit, span, one);
      return one;
    });
  }

  // Merges the spans in their order and divides.
  template <class SpanOf>
  void finish(int64_t unit, const SpanOf& span_of) const {
    static thread_local std::vector<float> memory;
    const AttentionPiece& piece = piece_of(unit);
    const int64_t count = queries(piece);
    memory.resize(static_cast<size_t>(PartialSoftmax::floats(most_queries(), dim_)));
    const PartialSoftmax all = partial(memory.data(), 0, 0);
    all.clear(count, dim_);
    for (int64_t span = 0; span < spans(piece); ++span) all.merge(span_of(span), count, dim_);
    for (int64_t q = 0; q < count; ++q) {
      float* out = a_.out + query_row(unit, q) * dim_;
      for (int64_t i = 0; i < dim_; ++i) out[i] = all.acc[q * dim_ + i] / all.total[q];
    }
  }

  // Which [T, Hq] row the unit's query `q` is.
  int64_t query_row(int64_t unit, int64_t q) const {
    const int64_t kv_head = unit % a_.cache.heads;
    return (piece_of(unit).row_begin + q / group_) * a_.q_heads + kv_head * group_ + q % group_;
  }

  // The keys of the piece that lie in one of its spans.
  void attend_span(int64_t unit, int64_t span, const PartialSoftmax& out) const {
    static thread_local std::vector<float> memory;  // queries, one after the other; their scores
    const AttentionPiece& piece = piece_of(unit);
    const int64_t count = queries(piece);
    const int64_t block_tokens = a_.cache.block_tokens;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
    const int64_t stride = (block_tokens + lanes - 1) / lanes * lanes;
    memory.resize(static_cast<size_t>(count * (dim_ + stride)));
    float* x = memory.data();
    float* scores = x + count * dim_;
    for (int64_t q = 0; q < count; ++q)
      std::memcpy(x + q * dim_, a_.q + query_row(unit, q) * dim_,
                  static_cast<size_t>(dim_) * sizeof(float));
    out.clear(count, dim_);
    const int64_t span_begin = (piece.first_key / span_ + span) * span_;
    const int64_t first = std::max(piece.first_key, span_begin);
    const int64_t last = std::min(piece.last_key, span_begin + span_);
    for (int64_t block = first / block_tokens; block * block_tokens < last; ++block)
      attend_block(unit, block, first, last, x, scores, stride, out);
  }

  void attend_block(int64_t unit, int64_t block, int64_t first, int64_t last, const float* x,
                    float* scores, int64_t stride, const PartialSoftmax& out) const {
    const AttentionPiece& piece = piece_of(unit);
    const int64_t block_tokens = a_.cache.block_tokens;
    const int64_t base = block * block_tokens;          // position of the block's first key
    const int64_t from = std::max(first, base) - base;  // only keys that were written
    const int64_t to = std::min(last, base + block_tokens) - base;
    const int64_t sequence = a_.sequence[piece.row_begin];
    const int64_t number =
        a_.block_table[a_.table_offset[sequence] + block - a_.table_first[sequence]];
    const int64_t storage = (number * a_.cache.heads + unit % a_.cache.heads) * block_tokens * dim_;
    const int64_t count = queries(piece);
    tile_queries(count, [&](auto tile, int64_t q) HWY_ATTR {
      block_scores<decltype(tile)::value>(x + q * dim_, dim_, a_.cache.k + storage, block_tokens,
                                          from, to, scores + q * stride, stride);
    });
    for (int64_t q = 0; q < count; ++q) {
      const int64_t t = piece.row_begin + q / group_;
      const int64_t begin = std::clamp<int64_t>(a_.key_begin[t] - base, from, to);
      const int64_t end = std::clamp<int64_t>(a_.key_end[t] - base, begin, to);
      const float rescale =
          softmax_step(scores + q * stride, begin, end, stride, out.max[q], out.total[q]);
      if (rescale != 1.0f)
        for (int64_t i = 0; i < dim_; ++i) out.acc[q * dim_ + i] *= rescale;
    }
    tile_queries(count, [&](auto tile, int64_t q) HWY_ATTR {
      weighted_sum<decltype(tile)::value>(out.acc + q * dim_, dim_, scores + q * stride + from,
                                          stride, a_.cache.v + storage + from * dim_, to - from);
    });
  }

  const AttentionArgs& a_;
  int64_t dim_;
  int64_t group_;  // query heads of a KV head
  int64_t span_;   // keys
  int64_t most_spans_ = 1;
  std::vector<AttentionPiece> pieces_;
};

inline void attention(Queue queue, const AttentionArgs& a) { AttentionRun(a).run(*queue.pool); }

// Keys transposed inside their block, values as they come.
inline void store_kv(Queue queue, const StoreKvArgs& a) {
  const KvLayer& cache = a.cache;
  const int64_t dim = cache.head_dim;
  // Tokens of one block write the same lines of its keys: threads share heads, not tokens.
  queue.pool->parallel_for(cache.heads, grain_of(a.tokens * dim), [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h)
      for (int64_t t = 0; t < a.tokens; ++t) {
        const int64_t block = a.slots[t] / cache.block_tokens;
        const int64_t offset = a.slots[t] % cache.block_tokens;
        const int64_t from = (t * cache.heads + h) * dim;
        const int64_t storage = (block * cache.heads + h) * cache.block_tokens * dim;
        for (int64_t i = 0; i < dim; ++i)
          cache.k[storage + i * cache.block_tokens + offset] = a.k[from + i];
        std::memcpy(cache.v + storage + offset * dim, a.v + from,
                    static_cast<size_t>(dim) * sizeof(float));
      }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

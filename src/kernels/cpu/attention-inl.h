// Attention over the block cache with an online softmax. Included once per instruction set.
//
// Spans of keys are taken at absolute positions and merged in order: the result does not depend on
// which rows share a piece, nor on how spans are handed to threads.

#if defined(GEMMA4_KERNELS_CPU_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#undef GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#else
#define GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/attention_tiles-inl.h"
#include "kernels/cpu/kv_formats-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kQueriesPerPiece = 64;  // rows x query heads: tiles for a block's keys and values
constexpr int64_t kSpanKeys = 256;        // about; whole blocks

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
  // Units are the pieces of the first KV head, then those of the next: its keys stay in the cache.
  const AttentionPiece& piece_of(int64_t unit) const {
    return pieces_[static_cast<size_t>(unit) % pieces_.size()];
  }
  int64_t kv_head_of(int64_t unit) const { return unit / static_cast<int64_t>(pieces_.size()); }
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
    const int64_t kv_head = kv_head_of(unit);
    return (piece_of(unit).row_begin + q / group_) * a_.q_heads + kv_head * group_ + q % group_;
  }

  // The keys of the piece that lie in one of its spans.
  void attend_span(int64_t unit, int64_t span, const PartialSoftmax& out) const {
    static thread_local std::vector<float> memory;  // scores; queries, one after the other
    const AttentionPiece& piece = piece_of(unit);
    const int64_t count = queries(piece);
    const int64_t block_tokens = a_.cache.block_tokens;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
    const int64_t stride = (block_tokens + lanes - 1) / lanes * lanes;
    memory.resize(static_cast<size_t>(count * (dim_ + stride)));
    float* scores = memory.data();
    const float* x = a_.q + query_row(unit, 0) * dim_;
    if (query_row(unit, count - 1) - query_row(unit, 0) != count - 1) {  // not there already
      float* copy = scores + count * stride;
      for (int64_t q = 0; q < count; ++q)
        std::memcpy(copy + q * dim_, a_.q + query_row(unit, q) * dim_,
                    static_cast<size_t>(dim_) * sizeof(float));
      x = copy;
    }
    out.clear(count, dim_);
    const int64_t span_begin = (piece.first_key / span_ + span) * span_;
    const int64_t first = std::max(piece.first_key, span_begin);
    const int64_t last = std::min(piece.last_key, span_begin + span_);
    with_kv_format(a_.cache.dtype, [&](auto format) {
      for (int64_t block = first / block_tokens; block * block_tokens < last; ++block)
        attend_block<decltype(format)>(unit, block, first, last, x, scores, stride, out);
    });
  }

  template <class Format>
  void attend_block(int64_t unit, int64_t block, int64_t first, int64_t last, const float* x,
                    float* scores, int64_t stride, const PartialSoftmax& out) const {
    const AttentionPiece& piece = piece_of(unit);
    const int64_t block_tokens = a_.cache.block_tokens;
    const int64_t base = block * block_tokens;          // position of the block's first key
    const int64_t from = std::max(first, base) - base;  // only keys that were written
    const int64_t to = std::min(last, base + block_tokens) - base;
    const int64_t sequence = a_.sequence[piece.row_begin];
    const int32_t* number =
        a_.block_table + a_.table_offset[sequence] + block - a_.table_first[sequence];
    const auto k = KvPart<Format>::at(a_.cache, a_.cache.k, *number, kv_head_of(unit));
    const auto v = KvPart<Format>::at(a_.cache, a_.cache.v, *number, kv_head_of(unit));
    const bool more = base + block_tokens < last;
    const void* next =
        KvPart<Format>::at(a_.cache, a_.cache.k, number[more ? 1 : 0], kv_head_of(unit)).elements;
    const int64_t count = queries(piece);
    scores_of_queries<Format>({x, dim_, dim_, scores, stride, block_tokens, v.elements}, count, k,
                              from, to);
    for (int64_t q = 0; q < count; ++q) {
      const int64_t t = piece.row_begin + q / group_;
      const int64_t begin = std::clamp<int64_t>(a_.key_begin[t] - base, from, to);
      const int64_t end = std::clamp<int64_t>(a_.key_end[t] - base, begin, to);
      const float rescale =
          softmax_step(scores + q * stride, begin, end, stride, out.max[q], out.total[q]);
      if (rescale != 1.0f)
        for (int64_t i = 0; i < dim_; ++i) out.acc[q * dim_ + i] *= rescale;
    }
    sums_of_queries<Format>({out.acc, dim_, scores, stride, from, to, dim_, next}, count, v);
  }

  const AttentionArgs& a_;
  int64_t dim_;
  int64_t group_;  // query heads of a KV head
  int64_t span_;   // keys
  int64_t most_spans_ = 1;
  std::vector<AttentionPiece> pieces_;
};

inline void attention(Queue queue, const AttentionArgs& a) { AttentionRun(a).run(*queue.pool); }

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

// Attention over the block cache with an online softmax. Included once per instruction set.
//
// A piece of work is a few rows of one sequence with all query heads of one KV head, so that a
// block of keys is read once for all of them. Blocks are taken at absolute positions and masked
// entries contribute exact zeros: the result does not depend on which rows share a piece.

#if defined(GEMMA4_KERNELS_CPU_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#undef GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#else
#define GEMMA4_KERNELS_CPU_ATTENTION_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <limits>
#include <vector>

#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kQueriesPerPiece = 24;  // rows x query heads: fills the product tiles

// acc[q, :] += Σ_j p[q, j] · v[j, :] for a tile of kQueries queries.
template <int kQueries>
HWY_INLINE void weighted_sum_tile(float* HWY_RESTRICT acc, int64_t dim, const float* HWY_RESTRICT p,
                                  int64_t p_stride, const float* HWY_RESTRICT v, int64_t keys) {
  const FloatTag d;
  constexpr int kVectors = 4;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + kVectors * lanes <= dim; i += kVectors * lanes) {
    FloatVec sum[kQueries][kVectors];
    for (int q = 0; q < kQueries; ++q)
      for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::LoadU(d, acc + q * dim + i + n * lanes);
    for (int64_t j = 0; j < keys; ++j) {
      FloatVec value[kVectors];
      for (int n = 0; n < kVectors; ++n) value[n] = hn::LoadU(d, v + j * dim + i + n * lanes);
      for (int q = 0; q < kQueries; ++q) {
        const FloatVec weight = hn::Set(d, p[q * p_stride + j]);
        for (int n = 0; n < kVectors; ++n) sum[q][n] = hn::MulAdd(weight, value[n], sum[q][n]);
      }
    }
    for (int q = 0; q < kQueries; ++q)
      for (int n = 0; n < kVectors; ++n) hn::StoreU(sum[q][n], d, acc + q * dim + i + n * lanes);
  }
  // The rest uses the same fused multiply-add per element, one lane at a time.
  const hn::CappedTag<float, 1> one;
  for (; i < dim; ++i)
    for (int q = 0; q < kQueries; ++q) {
      auto sum = hn::LoadU(one, acc + q * dim + i);
      for (int64_t j = 0; j < keys; ++j)
        sum = hn::MulAdd(hn::Set(one, p[q * p_stride + j]), hn::LoadU(one, v + j * dim + i), sum);
      hn::StoreU(sum, one, acc + q * dim + i);
    }
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

// Rows [row_begin, row_end) of one sequence, all query heads of `kv_head`.
inline void attend(const AttentionArgs& a, int64_t row_begin, int64_t row_end, int64_t kv_head) {
  const int64_t dim = a.cache.head_dim;
  const int64_t block_tokens = a.cache.block_tokens;
  const int64_t group = a.q_heads / a.cache.heads;
  const int64_t queries = (row_end - row_begin) * group;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  const int64_t stride = (block_tokens + lanes - 1) / lanes * lanes;

  // Queries of one piece, contiguous; then scores, sums, maxima and totals.
  std::vector<float> memory(static_cast<size_t>(queries * (2 * dim + stride + 2)));
  float* q = memory.data();
  float* acc = q + queries * dim;
  float* scores = acc + queries * dim;
  float* max = scores + queries * stride;
  float* total = max + queries;
  std::fill(max, max + queries, -std::numeric_limits<float>::infinity());
  int64_t first_key = a.key_begin[row_begin];
  int64_t last_key = a.key_end[row_begin];
  for (int64_t t = row_begin; t < row_end; ++t) {
    std::memcpy(q + (t - row_begin) * group * dim, a.q + (t * a.q_heads + kv_head * group) * dim,
                static_cast<size_t>(group * dim) * sizeof(float));
    first_key = std::min<int64_t>(first_key, a.key_begin[t]);
    last_key = std::max<int64_t>(last_key, a.key_end[t]);
  }

  const int64_t sequence = a.sequence[row_begin];
  const int32_t* blocks = a.block_table + a.table_offset[sequence];
  for (int64_t block = first_key / block_tokens; block * block_tokens < last_key; ++block) {
    const int64_t base = block * block_tokens;              // position of the block's first key
    const int64_t from = std::max(first_key, base) - base;  // only keys that were written
    const int64_t keys = std::min(last_key, base + block_tokens) - base;
    const int64_t storage =
        ((blocks[block - a.table_first[sequence]] * a.cache.heads + kv_head) * block_tokens +
         from) *
        dim;
    dot_block<F32Weights>(q, dim, queries, a.cache.k + storage, dim, keys - from, dim,
                          scores + from, stride);
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t t = row_begin + i / group;
      const int64_t begin = std::clamp<int64_t>(a.key_begin[t] - base, from, keys);
      const int64_t end = std::clamp<int64_t>(a.key_end[t] - base, begin, keys);
      const float rescale = softmax_step(scores + i * stride, begin, end, stride, max[i], total[i]);
      if (rescale != 1.0f)
        for (int64_t j = 0; j < dim; ++j) acc[i * dim + j] *= rescale;
    }
    int64_t i = 0;
    for (; i + 4 <= queries; i += 4)
      weighted_sum_tile<4>(acc + i * dim, dim, scores + i * stride + from, stride,
                           a.cache.v + storage, keys - from);
    for (; i < queries; ++i)
      weighted_sum_tile<1>(acc + i * dim, dim, scores + i * stride + from, stride,
                           a.cache.v + storage, keys - from);
  }
  for (int64_t i = 0; i < queries; ++i) {
    float* out = a.out + ((row_begin + i / group) * a.q_heads + kv_head * group + i % group) * dim;
    for (int64_t j = 0; j < dim; ++j) out[j] = acc[i * dim + j] / total[i];
  }
}

inline void attention(Queue queue, const AttentionArgs& a) {
  const int64_t group = a.q_heads / a.cache.heads;
  const int64_t max_rows = std::max<int64_t>(1, kQueriesPerPiece / group);
  std::vector<int32_t> starts;  // first row of each group of rows of one sequence
  for (int64_t t = 0; t < a.tokens; ++t)
    if (t == 0 || a.sequence[t] != a.sequence[t - 1] || t - starts.back() >= max_rows)
      starts.push_back(static_cast<int32_t>(t));
  const auto groups = static_cast<int64_t>(starts.size());
  starts.push_back(static_cast<int32_t>(a.tokens));
  queue.pool->parallel_for(groups * a.cache.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const auto g = static_cast<size_t>(piece / a.cache.heads);
      attend(a, starts[g], starts[g + 1], piece % a.cache.heads);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

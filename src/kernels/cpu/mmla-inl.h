// Products of many tokens with packed weights by ARM's instructions for small matrices (USMMLA):
// two rows of weights and two tokens, eight columns of each. Included once per instruction set.

#if defined(GEMMA4_KERNELS_CPU_MMLA_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_MMLA_INL_H_
#undef GEMMA4_KERNELS_CPU_MMLA_INL_H_
#else
#define GEMMA4_KERNELS_CPU_MMLA_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/cpu/quantised-inl.h"

#if HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON
HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// acc + w · xᵀ: w has eight unsigned bytes of two rows, x eight signed ones of two tokens; the sums
// are those of (row, token) 00, 01, 10, 11. Only for a CPU with i8mm.
HWY_INLINE int32x4_t usmmla(int32x4_t acc, uint8x16_t w, int8x16_t x) {
  asm(".arch armv8.2-a+i8mm\n\tusmmla %0.4s, %1.16b, %2.16b" : "+w"(acc) : "w"(w), "w"(x));
  return acc;
}

constexpr size_t kRowPairs = static_cast<size_t>(kPackedRows) / 2;

// What belongs to a row, in the order of the sums: of row 2p in lanes 0 and 1, of row 2p + 1 in
// lanes 2 and 3.
using OfRowPairs = std::array<std::array<float, 4>, kRowPairs>;

// A sub-block taken apart.
struct alignas(64) RowPairBlock {
  std::array<OfRowPairs, 2> scale;  // of each part
  OfRowPairs min;
  std::array<std::array<std::array<uint8_t, 16>, kRowPairs>, 4> q;  // [columns / 8][rows / 2]
};

HWY_INLINE void store_row_pairs(ScaleVec rows, size_t lane, OfRowPairs& out) {
  vst1q_f32(out[lane / 2].data(), vzip1q_f32(rows.raw, rows.raw));
  vst1q_f32(out[lane / 2 + 1].data(), vzip2q_f32(rows.raw, rows.raw));
}

template <class Format>
void open_row_pairs(const typename Format::Block* group, int64_t b, RowPairBlock& out) {
  for (size_t lane = 0; lane < static_cast<size_t>(kPackedRows); lane += kLanes) {
    for (int part = 0; part < Format::kParts; ++part)
      store_row_pairs(Format::scale(group, b, part, lane), lane,
                      out.scale[static_cast<size_t>(part)]);
    if constexpr (Format::kMins) store_row_pairs(Format::min(group, b, lane), lane, out.min);
    for (size_t j = 0; j < out.q.size(); ++j) {
      const uint32x4_t left = Format::load(group, b, 2 * j, lane).raw;
      const uint32x4_t right = Format::load(group, b, 2 * j + 1, lane).raw;
      vst1q_u8(out.q[j][lane / 2].data(), vreinterpretq_u8_u32(vzip1q_u32(left, right)));
      vst1q_u8(out.q[j][lane / 2 + 1].data(), vreinterpretq_u8_u32(vzip2q_u32(left, right)));
    }
  }
}

// Something of two tokens in the order of the sums.
HWY_INLINE float32x4_t of_tokens(float first, float second) {
  const float32x2_t pair = vset_lane_f32(second, vdup_n_f32(first), 1);
  return vcombine_f32(pair, pair);
}
HWY_INLINE int32x4_t of_tokens(int32_t first, int32_t second) {
  const int32x2_t pair = vset_lane_s32(second, vdup_n_s32(first), 1);
  return vcombine_s32(pair, pair);
}

// The blocks of two tokens.
struct TokenPair {
  const QuantisedBlock* first;
  const QuantisedBlock* second;
};
// Their sums with 16 rows, as usmmla orders them.
using PairSums = std::array<std::array<float, 4>, kRowPairs>;

// sums[p] += x[p] · w over sub-blocks [begin, end) of the columns, for kPairs pairs of tokens and
// kRows pairs of rows from `row` on. The steps of an output are those of quantised_tile.
template <class Format, int kPairs, size_t kRows>
HWY_INLINE void row_pair_tile(const TokenPair* x, int64_t begin, int64_t end, const RowPairBlock* w,
                              size_t row, PairSums* sums) {
  constexpr size_t kWords = 4 / Format::kParts;
  float32x4_t total[kPairs][kRows];
  for (int p = 0; p < kPairs; ++p)
    for (size_t r = 0; r < kRows; ++r) total[p][r] = vld1q_f32(sums[p][row + r].data());
  for (int64_t b = begin; b < end; ++b, ++w) {
    for (size_t part = 0; part < Format::kParts; ++part) {
      int32x4_t dot[kPairs][kRows];
      for (int p = 0; p < kPairs; ++p) {
        const int32x4_t start = of_tokens(x[p].first[b].start[part], x[p].second[b].start[part]);
        for (size_t r = 0; r < kRows; ++r) dot[p][r] = start;
      }
      for (size_t j = part * kWords; j < (part + 1) * kWords; ++j)
        for (int p = 0; p < kPairs; ++p) {
          const int8x16_t columns =
              vcombine_s8(vld1_s8(x[p].first[b].q + 8 * j), vld1_s8(x[p].second[b].q + 8 * j));
          for (size_t r = 0; r < kRows; ++r)
            dot[p][r] = usmmla(dot[p][r], vld1q_u8(w->q[j][row + r].data()), columns);
        }
      for (int p = 0; p < kPairs; ++p) {
        const float32x4_t d = of_tokens(x[p].first[b].d, x[p].second[b].d);
        for (size_t r = 0; r < kRows; ++r)
          total[p][r] =
              vfmaq_f32(total[p][r], vmulq_f32(vld1q_f32(w->scale[part][row + r].data()), d),
                        vcvtq_f32_s32(dot[p][r]));
      }
    }
    if constexpr (Format::kMins)
      for (int p = 0; p < kPairs; ++p) {
        const float32x4_t sum = of_tokens(x[p].first[b].sum, x[p].second[b].sum);
        for (size_t r = 0; r < kRows; ++r)
          total[p][r] = vfmsq_f32(total[p][r], vld1q_f32(w->min[row + r].data()), sum);
      }
  }
  for (int p = 0; p < kPairs; ++p)
    for (size_t r = 0; r < kRows; ++r) vst1q_f32(sums[p][row + r].data(), total[p][r]);
}

// All tokens and 16 rows, some columns of which are taken apart.
template <class Format>
void row_pair_tokens(const std::vector<TokenPair>& x, int64_t begin, int64_t end,
                     const RowPairBlock* w, std::vector<PairSums>& sums) {
  constexpr size_t kRows =
      4;  // and two pairs of tokens: 16 sums, and as many registers for the rest
  for (size_t p = 0; p < x.size(); p += 2)
    for (size_t row = 0; row < kRowPairs; row += kRows)
      if (p + 2 <= x.size())
        row_pair_tile<Format, 2, kRows>(&x[p], begin, end, w, row, &sums[p]);
      else
        row_pair_tile<Format, 1, kRows>(&x[p], begin, end, w, row, &sums[p]);
}

// quantised_many by small matrices.
template <class Format>
void row_pair_many(const QuantisedRows& x, int64_t first, int64_t tokens,
                   const typename Format::Block* blocks, int64_t groups, float* out,
                   int64_t out_stride) {
  constexpr int64_t kBlocks = 16;
  static thread_local std::vector<RowPairBlock> open(kBlocks);
  static thread_local std::vector<TokenPair> pairs;
  static thread_local std::vector<PairSums> sums;
  pairs.clear();
  for (int64_t t = 0; t < tokens; t += 2) {  // an odd one is its own partner
    const QuantisedBlock* row = x.data.data() + (first + t) * x.blocks;
    pairs.push_back({row, t + 1 < tokens ? row + x.blocks : row});
  }
  sums.resize(pairs.size());
  for (int64_t g = 0; g < groups; ++g) {
    std::fill(sums.begin(), sums.end(), PairSums{});
    const auto* group = blocks + g * (x.blocks / Format::kSubBlocks);
    for (int64_t begin = 0; begin < x.blocks; begin += kBlocks) {
      const int64_t end = std::min(begin + kBlocks, x.blocks);
      for (int64_t b = begin; b < end; ++b)
        open_row_pairs<Format>(group, b, open[static_cast<size_t>(b - begin)]);
      row_pair_tokens<Format>(pairs, begin, end, open.data(), sums);
    }
    for (int64_t t = 0; t < tokens; ++t) {
      const PairSums& pair = sums[static_cast<size_t>(t / 2)];
      float* row = out + t * out_stride + g * kPackedRows;
      for (size_t n = 0; n < static_cast<size_t>(kPackedRows); ++n)
        row[n] = pair[n / 2][n % 2 * 2 + static_cast<size_t>(t % 2)];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif
#endif

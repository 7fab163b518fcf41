// Products of many tokens with packed weights by matrix tiles. Included once per instruction set.
//
// Tiles is what multiplies them: AmxTiles (amx-inl.h), or the same written out in a test. It has
//   configure(bytes)                   before a product: tiles have that many columns
//   multiply<kNumber>(x, stride, w, c) c[t][n] = Σ_k x[t · stride + k] · w[n][k], 16 tokens by 16
//                                      rows, signed bytes, exact; column k of row n is byte k % 4
//                                      of word w[k / 4][n]. Consecutive ones have different
//                                      numbers.
//   release()                          afterwards
// on the thread that calls.

#if defined(GEMMA4_KERNELS_CPU_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_TILES_INL_H_
#undef GEMMA4_KERNELS_CPU_TILES_INL_H_
#else
#define GEMMA4_KERNELS_CPU_TILES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cpu/quantised-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kTileSide = 16;  // tokens and rows of a tile
static_assert(kTileSide == kPackedRows && kTileSide == kPaddingTokens + 1);
using TileSums = std::array<std::array<int32_t, kTileSide>, kTileSide>;  // [token][row]

// A sub-block taken apart, with bytes that are signed and not too large any more.
template <class Format>
HWY_INLINE void open_signed(const typename Format::Block* group, int64_t b, OpenBlock& out) {
  static_assert(Format::kSmall ||
                Format::kOffset % 128 == 0);  // then what is too much is the top bit
  OpenFormat<Format>::open(group, b, out);
  // Four bytes at a time: the top bits that are set keep them from borrowing from each other.
  constexpr uint32_t kOnes = 0x01010101u;
  const WordTag d;
  const WordVec top = hn::Set(d, 0x80u * kOnes);
  const WordVec excess = hn::Set(d, static_cast<uint32_t>(Format::kOffset % 128) * kOnes);
  for (Words& words : out.q)
    for (size_t lane = 0; lane < words.size(); lane += kLanes) {
      const WordVec bytes = load_words(words, lane);
      const WordVec small =
          Format::kSmall ? hn::Xor(hn::Sub(hn::Or(bytes, top), excess), top) : hn::Xor(bytes, top);
      hn::StoreU(small, d, words.data() + lane);
    }
}

// A tile of outputs: 16 tokens by 16 rows. It stays in registers where vectors are that wide.
using TileTotals = ScaleVec[kTileSide][kGroupVectors];

// total += x · w of part `part` of one sub-block; rows[t · stride] is that of token t.
template <class Tiles, class Format, int kPart, int kNumber>
HWY_INLINE void add_part(const QuantisedBlock* rows, int64_t stride, const OpenBlock& w,
                         TileTotals& total) {
  constexpr size_t kPartBytes = static_cast<size_t>(kPackedCols) / Format::kParts;
  const ScaleTag d;
  alignas(64) TileSums sums;
  Tiles::template multiply<kNumber>(rows->q + kPart * kPartBytes,
                                    stride * static_cast<int64_t>(sizeof(QuantisedBlock)),
                                    &w.q[kPart * kPartBytes / 4], sums);
  ScaleVec scale[kGroupVectors];
  for (size_t n = 0; n < kGroupVectors; ++n)
    scale[n] = hn::LoadU(d, w.scale[kPart].data() + n * kLanes);
  for (size_t t = 0; t < kTileSide; ++t)
    for (size_t n = 0; n < kGroupVectors; ++n) {
      const ScaleVec token_scale = hn::Set(d, rows[static_cast<int64_t>(t) * stride].d);
      const IntVec sum = hn::LoadU(IntTag(), sums[t].data() + n * kLanes);
      total[t][n] = hn::MulAdd(hn::Mul(scale[n], token_scale), hn::ConvertTo(d, sum), total[t][n]);
    }
}

// total -= what the columns of one sub-block are too large by.
HWY_INLINE void take_mins(const QuantisedBlock* rows, int64_t stride, const OpenBlock& w,
                          TileTotals& total) {
  const ScaleTag d;
  for (size_t t = 0; t < kTileSide; ++t)
    for (size_t n = 0; n < kGroupVectors; ++n) {
      const ScaleVec sum = hn::Set(d, rows[static_cast<int64_t>(t) * stride].sum);
      total[t][n] = hn::NegMulAdd(hn::LoadU(d, w.min.data() + n * kLanes), sum, total[t][n]);
    }
}

// total += x · w of one sub-block. The parts of a block have consecutive numbers.
template <class Tiles, class Format, int kNumber>
HWY_INLINE void add_block(const QuantisedBlock* rows, int64_t stride, const OpenBlock& w,
                          TileTotals& total) {
  add_part<Tiles, Format, 0, kNumber>(rows, stride, w, total);
  if constexpr (Format::kParts == 2)
    add_part<Tiles, Format, 1, kNumber + 1>(rows, stride, w, total);
  if constexpr (Format::kMins) take_mins(rows, stride, w, total);
}

// acc[t · 16 + n] += Σ_b x[token + t] · w[n] over sub-blocks [begin, end) of the columns, for 16
// tokens and 16 rows. The steps of an output are those of quantised_tile.
template <class Tiles, class Format>
HWY_INLINE void tile_of_blocks(const QuantisedRows& x, int64_t token, int64_t begin, int64_t end,
                               const OpenBlock* w, float* HWY_RESTRICT acc) {
  const ScaleTag d;
  const auto at = [acc](size_t t, size_t n) { return acc + t * kTileSide + n * kLanes; };
  TileTotals total;
  for (size_t t = 0; t < kTileSide; ++t)
    for (size_t n = 0; n < kGroupVectors; ++n) total[t][n] = hn::LoadU(d, at(t, n));
  const QuantisedBlock* rows = x.data.data() + token * x.blocks;
  int64_t b = begin;
  for (; b + 2 <= end; b += 2) {
    add_block<Tiles, Format, 0>(rows + b, x.blocks, w[b - begin], total);
    add_block<Tiles, Format, 1>(rows + b + 1, x.blocks, w[b + 1 - begin], total);
  }
  if (b < end) add_block<Tiles, Format, 0>(rows + b, x.blocks, w[b - begin], total);
  for (size_t t = 0; t < kTileSide; ++t)
    for (size_t n = 0; n < kGroupVectors; ++n) hn::StoreU(total[t][n], d, at(t, n));
}

// quantised_many by tiles. The last of them may compute what nobody reads: rows of x behind
// `tokens`, which are there (kPaddingTokens).
template <class Tiles, class Format>
void tiled_many(const QuantisedRows& x, int64_t first, int64_t tokens,
                const typename Format::Block* blocks, int64_t groups, float* out,
                int64_t out_stride) {
  constexpr int64_t kBlocks = 16;
  static thread_local std::vector<OpenBlock> open(kBlocks);
  static thread_local std::vector<float> sums;  // [tokens in whole tiles, 16]
  const int64_t tiles = (tokens + kTileSide - 1) / kTileSide;
  sums.resize(static_cast<size_t>(tiles * kTileSide * kPackedRows));
  Tiles::configure(static_cast<int>(kPackedCols) / Format::kParts);
  for (int64_t g = 0; g < groups; ++g) {
    const auto* group = blocks + g * (x.blocks / Format::kSubBlocks);
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (int64_t begin = 0; begin < x.blocks; begin += kBlocks) {
      const int64_t end = std::min(begin + kBlocks, x.blocks);
      for (int64_t b = begin; b < end; ++b)
        open_signed<Format>(group, b, open[static_cast<size_t>(b - begin)]);
      for (int64_t t = 0; t < tiles * kTileSide; t += kTileSide)
        tile_of_blocks<Tiles, Format>(x, first + t, begin, end, open.data(),
                                      sums.data() + t * kPackedRows);
    }
    for (int64_t t = 0; t < tokens; ++t)
      std::memcpy(out + t * out_stride + g * kPackedRows, sums.data() + t * kPackedRows,
                  static_cast<size_t>(kPackedRows) * sizeof(float));
  }
  Tiles::release();
}

// Products by tiles where there are enough tokens to fill one by half.
template <class Tiles>
struct TiledProducts : SetProducts {
  template <class Format>
  static void many(const QuantisedRows& x, int64_t first, int64_t tokens,
                   const typename Format::Block* blocks, int64_t groups, float* out,
                   int64_t out_stride) {
    if (tokens < kTileSide / 2)
      return quantised_many<Format>(x, first, tokens, blocks, groups, out, out_stride);
    tiled_many<Tiles, Format>(x, first, tokens, blocks, groups, out, out_stride);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

// Products with packed weights: activations become signed bytes with a scale for every 32 columns,
// sums over 32 columns are exact integers, and the blocks are added up in float32. Included once
// per instruction set.
//
// A vector lane is a weight row. Every output adds its blocks in the order of the columns whatever
// the tile, so a row's result does not depend on its batch mates, bit for bit.

#if defined(GEMMA4_KERNELS_CPU_QUANTISED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_QUANTISED_INL_H_
#undef GEMMA4_KERNELS_CPU_QUANTISED_INL_H_
#else
#define GEMMA4_KERNELS_CPU_QUANTISED_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/cpu/packed_formats-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 32 columns of an activation as bytes: x[k] ≈ d · q[k], and what their products begin with.
struct QuantisedBlock {
  int8_t q[kPackedCols];  // from -127 to 127
  float d;
  int32_t start[2];  // -kOffset · Σ q of each of the format's parts
  float sum;         // d · Σ q
};
struct QuantisedRows {
  std::vector<QuantisedBlock> data;  // [T + kPaddingTokens, K / 32]
  int64_t blocks = 0;                // K / 32
};
constexpr int64_t kPaddingTokens = 15;  // rows of any bytes, for tiles that reach beyond the last

// The largest magnitude becomes 127.
HWY_INLINE void quantise_block(const float* HWY_RESTRICT x, int32_t offset, int parts,
                               QuantisedBlock& out) {
  const hn::CappedTag<float, kPackedCols / 2> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<int8_t, decltype(d)> bytes;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto largest = hn::Zero(d);
  for (int64_t i = 0; i < kPackedCols; i += lanes)
    largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + i)));
  out.d = hn::GetLane(hn::MaxOfLanes(d, largest)) * (1.0f / 127.0f);
  // Denormal scales have no usable inverse, and infinite ones leave nothing to tell apart.
  const bool usable = out.d >= 0x1p-126f && out.d <= 0x1p120f;
  if (!usable && out.d < 1.0f) out.d = 0.0f;
  const auto inverse = hn::Set(d, usable ? 1.0f / out.d : 0.0f);
  int32_t sums[2];
  for (int64_t half = 0; half < 2; ++half) {
    auto total = hn::Zero(di);
    for (int64_t i = half * kPackedCols / 2; i < (half + 1) * kPackedCols / 2; i += lanes) {
      const auto value = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
      total = hn::Add(total, value);
      hn::StoreU(hn::DemoteTo(bytes, value), bytes, out.q + i);
    }
    sums[half] = hn::GetLane(hn::SumOfLanes(di, total));
  }
  out.start[0] = -offset * (parts == 2 ? sums[0] : sums[0] + sums[1]);
  out.start[1] = -offset * sums[1];
  out.sum = out.d * static_cast<float>(sums[0] + sums[1]);
}

// Rows [0, tokens) of x, `stride` floats apart, for products with weights of one format.
template <class Format>
void quantise_rows(Queue queue, const float* x, int64_t stride, int64_t tokens, int64_t cols,
                   QuantisedRows& out) {
  constexpr int64_t kBlocksPerPiece = 512;
  out.blocks = cols / kPackedCols;
  out.data.resize(static_cast<size_t>((tokens + kPaddingTokens) * out.blocks));
  queue.pool->parallel_for(
      tokens * out.blocks, kBlocksPerPiece, [&](int64_t begin, int64_t end) HWY_ATTR {
        for (int64_t i = begin; i < end; ++i)
          quantise_block(x + i / out.blocks * stride + i % out.blocks * kPackedCols,
                         Format::kOffset, Format::kParts, out.data[static_cast<size_t>(i)]);
      });
}

// Groups of 16 rows side by side: those of group g begin at blocks[g · stride].
template <class Format>
struct Groups {
  const typename Format::Block* blocks;
  int64_t stride;
};

// Reads memory ahead, a few cache lines at a time, while tiles compute: the weights of few tokens
// come as slowly as their products are formed, and neither should wait for the other.
class ReadAhead {
 public:
  // Nothing.
  ReadAhead() = default;
  // `bytes` from `first`, and as many from `stride_bytes` behind it if there are two groups, during
  // `steps` calls of step().
  ReadAhead(const void* first, int64_t groups, int64_t stride_bytes, int64_t bytes, int64_t steps)
      : next_(static_cast<const std::byte*>(first)),
        end_(next_ + bytes),
        other_(groups > 1 ? stride_bytes : 0),
        lines_((bytes + kLine * steps - 1) / (kLine * steps)) {}
  HWY_INLINE void step() {
    for (int64_t i = 0; i < lines_ && next_ < end_; ++i, next_ += kLine) {
      hwy::Prefetch(next_);
      hwy::Prefetch(next_ + other_);
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const std::byte* next_ = nullptr;
  const std::byte* end_ = nullptr;
  int64_t other_ = 0;
  int64_t lines_ = 0;
};

// Sub-block `b` of a group is being read: asks for what comes kDistance bytes later, into the
// second-level cache (level and distance as measured, docs/performance). The hardware sees such
// streams too, but not far enough ahead to hide memory behind the products.
template <class Format>
HWY_INLINE void prefetch_ahead(const typename Format::Block* group, int64_t b) {
  constexpr int64_t kDistance = 8192;
  constexpr int kRead = 0, kSecondLevel = 2;
  constexpr int64_t kBytes = sizeof(typename Format::Block) / Format::kSubBlocks;
  const std::byte* at = reinterpret_cast<const std::byte*>(group) + b * kBytes + kDistance;
  for (int64_t i = 0; i < kBytes; i += 64) __builtin_prefetch(at + i, kRead, kSecondLevel);
}

// Where the sums over some of the columns go, and what they begin with: [tokens, rows].
struct Sums {
  const float* from;  // null: zeros
  int64_t from_stride;
  float* to;  // may be `from`
  int64_t to_stride;

  Sums behind(int64_t tokens) const {
    return {from == nullptr ? nullptr : from + tokens * from_stride, from_stride,
            to + tokens * to_stride, to_stride};
  }
};

// sums[t, n] = from[t, n] + Σ_b x[token + t] · w[n] over sub-blocks [begin, end) of the columns,
// for kTokens tokens and kVectors vectors of rows. Sub-block `begin` of x meets the first of w.
template <class Format, int kTokens, int kVectors>
HWY_INLINE void quantised_tile(const QuantisedRows& x, int64_t token, int64_t begin, int64_t end,
                               Groups<Format> w, const Sums& sums, ReadAhead& ahead) {
  constexpr int kParts = Format::kParts;
  constexpr size_t kWords = 8 / kParts;
  const ScaleTag d;
  const IntTag di;
  const auto group_of = [&](int n) {
    return w.blocks +
           static_cast<int64_t>(static_cast<size_t>(n) * kLanes) / kPackedRows * w.stride;
  };
  const auto lane_of = [](int n) {
    return static_cast<size_t>(n) * kLanes % static_cast<size_t>(kPackedRows);
  };
  const auto row_of = [](int n) { return static_cast<int64_t>(static_cast<size_t>(n) * kLanes); };

  ScaleVec total[kTokens][kVectors];
  for (int t = 0; t < kTokens; ++t)
    for (int n = 0; n < kVectors; ++n)
      total[t][n] = sums.from == nullptr
                        ? hn::Zero(d)
                        : hn::LoadU(d, sums.from + t * sums.from_stride + row_of(n));
  const QuantisedBlock* rows = x.data.data() + token * x.blocks;
  for (int64_t b = begin; b < end; ++b) {
    ahead.step();
    if constexpr (Format::kOpen)  // the next tokens, each a stream too short to be foreseen
      for (int t = 0; t < kTokens; ++t) hwy::Prefetch(rows + (t + kTokens) * x.blocks + b);
    else
      for (int n = 0; n < kVectors; n += kGroupVectors) prefetch_ahead<Format>(group_of(n), b);
    for (int part = 0; part < kParts; ++part) {
      IntVec dot[kTokens][kVectors];
      for (int t = 0; t < kTokens; ++t) {
        const IntVec start = hn::Set(di, rows[t * x.blocks + b].start[part]);
        for (int n = 0; n < kVectors; ++n) dot[t][n] = start;
      }
      HWY_UNROLL(8)
      for (size_t word = 0; word < kWords; ++word) {
        const size_t j = static_cast<size_t>(part) * kWords + word;
        WordVec bytes[kVectors];
        for (int n = 0; n < kVectors; ++n)
          bytes[n] = Format::load(group_of(n), b - begin, j, lane_of(n));
        for (int t = 0; t < kTokens; ++t) {
          int32_t four;
          std::memcpy(&four, rows[t * x.blocks + b].q + 4 * j, sizeof four);
          const IntVec value = hn::Set(di, four);
          for (int n = 0; n < kVectors; ++n) dot[t][n] = Format::dot4(dot[t][n], bytes[n], value);
        }
      }
      ScaleVec scale[kVectors];
      for (int n = 0; n < kVectors; ++n)
        scale[n] = Format::scale(group_of(n), b - begin, part, lane_of(n));
      for (int t = 0; t < kTokens; ++t) {
        const ScaleVec token_scale = hn::Set(d, rows[t * x.blocks + b].d);
        for (int n = 0; n < kVectors; ++n)
          total[t][n] =
              hn::MulAdd(hn::Mul(scale[n], token_scale), hn::ConvertTo(d, dot[t][n]), total[t][n]);
      }
    }
    if constexpr (Format::kMins) {
      ScaleVec min[kVectors];
      for (int n = 0; n < kVectors; ++n) min[n] = Format::min(group_of(n), b - begin, lane_of(n));
      for (int t = 0; t < kTokens; ++t) {
        const ScaleVec sum = hn::Set(d, rows[t * x.blocks + b].sum);
        for (int n = 0; n < kVectors; ++n) total[t][n] = hn::NegMulAdd(min[n], sum, total[t][n]);
      }
    }
  }
  for (int t = 0; t < kTokens; ++t)
    for (int n = 0; n < kVectors; ++n)
      hn::StoreU(total[t][n], d, sums.to + t * sums.to_stride + row_of(n));
}

// Tiles of tokens, the largest first: as many as the registers hold.
#if HWY_TARGET <= HWY_AVX3
constexpr int kQuantisedTokens = 6;
#elif HWY_ARCH_ARM || HWY_TARGET == HWY_AVX2
constexpr int kQuantisedTokens = 2;
#else
constexpr int kQuantisedTokens = 1;
#endif

// quantised_tile for tokens [first, first + tokens); sums begin with token `first`.
template <class Format, int kVectors>
HWY_NOINLINE void quantised_tokens(const QuantisedRows& x, int64_t first, int64_t tokens,
                                   int64_t begin, int64_t end, Groups<Format> w, const Sums& sums,
                                   ReadAhead ahead) {
  int64_t t = 0;
  const auto tile = [&](auto count) HWY_ATTR {
    constexpr int kTokens = decltype(count)::value;
    for (; t + kTokens <= tokens; t += kTokens)
      quantised_tile<Format, kTokens, kVectors>(x, first + t, begin, end, w, sums.behind(t), ahead);
  };
  tile(std::integral_constant<int, kQuantisedTokens>());
  if constexpr (kQuantisedTokens > 4) tile(std::integral_constant<int, 4>());
  if constexpr (kQuantisedTokens > 2) tile(std::integral_constant<int, 2>());
  tile(std::integral_constant<int, 1>());
}

// A few tokens: straight from the packed blocks, one group after the other, so that a thread reads
// one stream that what is asked for ahead runs along. Two groups side by side would share the
// activations' registers, but begin two new streams after every K columns.
template <class Format>
void quantised_few(const QuantisedRows& x, int64_t first, int64_t tokens,
                   const typename Format::Block* blocks, int64_t groups, float* out,
                   int64_t out_stride) {
  const int64_t stride = x.blocks / Format::kSubBlocks;
  for (int64_t g = 0; g < groups; ++g)
    quantised_tokens<Format, kGroupVectors>(
        x, first, tokens, 0, x.blocks, {blocks + g * stride, stride},
        {nullptr, 0, out + g * kPackedRows, out_stride}, ReadAhead());
}

// Many tokens: some columns of two groups of rows are taken apart into the first-level cache, then
// meet all tokens. Sums that are not complete stay close together, out of reach of the rows' pages.
template <class Format>
void quantised_many(const QuantisedRows& x, int64_t first, int64_t tokens,
                    const typename Format::Block* blocks, int64_t groups, float* out,
                    int64_t out_stride) {
  using Open = OpenFormat<Format>;
  constexpr int64_t kBlocks = 16;
  constexpr int64_t kGroups = kGroupVectors == 1 ? 2 : 1;
  constexpr int64_t kWidth = kGroups * kPackedRows;
  constexpr int64_t kReadAheadTokens = 64;  // more of them compute so long that it does not pay
  static thread_local std::vector<OpenBlock> open(kGroups * kBlocks);
  static thread_local std::vector<float> sums;  // [tokens, kWidth]
  const int64_t stride = x.blocks / Format::kSubBlocks;
  const int64_t tiles = (tokens + kQuantisedTokens - 1) / kQuantisedTokens;
  sums.resize(static_cast<size_t>(tokens * kWidth));
  for (int64_t g = 0; g < groups; g += kGroups) {
    const int64_t count = std::min(kGroups, groups - g);
    for (int64_t begin = 0; begin < x.blocks; begin += kBlocks) {
      const int64_t end = std::min(begin + kBlocks, x.blocks);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t b = begin; b < end; ++b)
          Open::open(blocks + (g + i) * stride, b,
                     open[static_cast<size_t>(i * kBlocks + b - begin)]);
      ReadAhead ahead;
      if (tokens <= kReadAheadTokens) {
        const bool last = end == x.blocks;  // of these rows
        const int64_t next_group = last ? g + kGroups : g;
        const int64_t next_begin = last ? 0 : end;
        const int64_t next_blocks = std::min(kBlocks, x.blocks - next_begin) / Format::kSubBlocks;
        constexpr int64_t kBytes = sizeof(typename Format::Block);
        ahead = ReadAhead(blocks + next_group * stride + next_begin / Format::kSubBlocks,
                          std::min(kGroups, groups - next_group), stride * kBytes,
                          next_group < groups ? next_blocks * kBytes : 0, tiles * (end - begin));
      }
      const Groups<Open> w{open.data(), kBlocks};
      Sums part{begin == 0 ? nullptr : sums.data(), kWidth, sums.data(), kWidth};
      if (end == x.blocks) {
        part.to = out + g * kPackedRows;
        part.to_stride = out_stride;
      }
      if (count == kGroups)
        quantised_tokens<Open, kGroups * kGroupVectors>(x, first, tokens, begin, end, w, part,
                                                        ahead);
      else
        quantised_tokens<Open, kGroupVectors>(x, first, tokens, begin, end, w, part, ahead);
    }
  }
}

// How this instruction set multiplies packed weights. A table for more than the set names another
// such type (extensions-inl.h): a dot product, and what kManyTokens or more go through, with the
// arguments and the bits of quantised_many.
struct SetProducts {
  using Dot = SetDot;
  static constexpr int64_t kManyTokens = kQuantisedTokens + 1;
  template <class Format>
  static void many(const QuantisedRows& x, int64_t first, int64_t tokens,
                   const typename Format::Block* blocks, int64_t groups, float* out,
                   int64_t out_stride) {
    quantised_many<Format>(x, first, tokens, blocks, groups, out, out_stride);
  }
};

// Calls run(Format()) for the format of a packed weight.
template <class Products, class Run>
void with_format(DType dtype, const Run& run) {
  using Dot = typename Products::Dot;
  switch (dtype) {
    case DType::kQ4_0:
      return run(MultipliedWith<Q4_0Format, Dot>());
    case DType::kQ8_0:
      return run(MultipliedWith<Q8_0Format, Dot>());
    case DType::kIQ4_NL:
      return run(MultipliedWith<IQ4_NLFormat, Dot>());
    case DType::kQ4_K:
      return run(MultipliedWith<Q4_KFormat, Dot>());
    case DType::kQ5_K:
      return run(MultipliedWith<Q5_KFormat, Dot>());
    default:
      G4_CHECK(dtype == DType::kQ6_K);
      run(MultipliedWith<Q6_KFormat, Dot>());
  }
}

// out[t · out_stride + n] = x[first + t] · w[n] for rows [begin, end) of a packed weight, multiples
// of 16; n counts from row 0.
template <class Products>
void quantised_linear_rows(const QuantisedRows& x, int64_t first, int64_t tokens,
                           const Matrix& weight, int64_t begin, int64_t end, float* out,
                           int64_t out_stride) {
  with_format<Products>(weight.dtype, [&](auto format) {
    using Format = decltype(format);
    const auto* blocks = static_cast<const typename Format::Block*>(weight.packed) +
                         begin / kPackedRows * (x.blocks / Format::kSubBlocks);
    const int64_t groups = (end - begin) / kPackedRows;
    if (tokens < Products::kManyTokens)
      quantised_few<Format>(x, first, tokens, blocks, groups, out + begin, out_stride);
    else
      Products::template many<Format>(x, first, tokens, blocks, groups, out + begin, out_stride);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

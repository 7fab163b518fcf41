// How the vector lanes of packed weights are read: what a tile of quantised products needs to know
// of each format. Included once per instruction set.
//
// A format has, for sub-block b (32 columns) of a group of 16 rows and the rows from `lane` on:
//   load(group, b, j, lane)       columns [4j, 4j + 4) as unsigned bytes that are kOffset too large
//   scale(group, b, part, lane)   what the sums of the sub-block's kParts parts are multiplied with
//   min(group, b, lane)           with kMins: what every column is too large by, after scaling
//   dot4(acc, w, x)               four columns of what load() gives with four of an activation
// kOpen: already taken apart. kSmall: the bytes are at most 127. kSubBlocks: sub-blocks in a Block.

#if defined(GEMMA4_KERNELS_CPU_PACKED_FORMATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_PACKED_FORMATS_INL_H_
#undef GEMMA4_KERNELS_CPU_PACKED_FORMATS_INL_H_
#else
#define GEMMA4_KERNELS_CPU_PACKED_FORMATS_INL_H_
#endif

#include <hwy/highway.h>

#include <array>

#include "kernels/cpu/dot4-inl.h"
#include "kernels/packed.h"
#include "quant/blocks.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using ScaleTag = hn::ScalableTag<float>;
using ScaleVec = hn::Vec<ScaleTag>;

HWY_INLINE ScaleVec load_f16(const OfRows<uint16_t>& d, size_t lane) {
  const hn::Rebind<hwy::float16_t, ScaleTag> half;
  return hn::PromoteTo(ScaleTag(),
                       hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(d.data() + lane)));
}
template <typename T>
HWY_INLINE IntVec load_bytes(const OfRows<T>& bytes, size_t lane) {
  return hn::PromoteTo(IntTag(), hn::LoadU(hn::Rebind<T, IntTag>(), bytes.data() + lane));
}
HWY_INLINE WordVec load_words(const Words& words, size_t lane) {
  return hn::LoadU(WordTag(), words.data() + lane);
}
HWY_INLINE WordVec low_nibbles(WordVec bytes) {
  return hn::And(bytes, hn::Set(WordTag(), 0x0f0f0f0fu));
}
// Low nibbles of each byte, or with `high` the high ones.
HWY_INLINE WordVec nibbles(WordVec bytes, bool high) {
  return low_nibbles(high ? hn::ShiftRight<4>(bytes) : bytes);
}

// The plain case: a scale for 32 columns.
struct OneScale {
  static constexpr bool kOpen = false;
  static constexpr int kParts = 1;
  static constexpr bool kMins = false;
  static constexpr int64_t kSubBlocks = 1;
  template <class Block>
  static HWY_INLINE ScaleVec scale(const Block* group, int64_t b, int, size_t lane) {
    return load_f16(group[b].d, lane);
  }
};

struct Q4_0Format : OneScale {
  using Block = PackedNibbles;
  static constexpr int32_t kOffset = 8;
  static constexpr bool kSmall = true;
  static HWY_INLINE WordVec load(const Block* group, int64_t b, size_t j, size_t lane) {
    return nibbles(load_words(group[b].q[j % 4], lane), j >= 4);
  }
};

struct IQ4_NLFormat : OneScale {
  using Block = PackedNibbles;
  static constexpr int32_t kOffset = 128;
  static constexpr bool kSmall = false;
  static HWY_INLINE WordVec load(const Block* group, int64_t b, size_t j, size_t lane) {
    alignas(16) static constexpr std::array<uint8_t, 16> kLevels = [] {
      std::array<uint8_t, 16> levels{};
      for (size_t i = 0; i < levels.size(); ++i)
        levels[i] = static_cast<uint8_t>(quant::kIQ4Levels[i] + kOffset);
      return levels;
    }();
    const WordVec index = Q4_0Format::load(group, b, j, lane);
#if HWY_TARGET == HWY_SCALAR
    uint32_t word = hn::GetLane(index);
    for (int shift = 0; shift < 32; shift += 8)
      word ^= ((word >> shift & 15u) ^ kLevels[word >> shift & 15u]) << shift;
    return hn::Set(WordTag(), word);
#else
    const hn::Repartition<uint8_t, WordTag> bytes;
    const auto levels = hn::LoadDup128(bytes, kLevels.data());
    return hn::BitCast(WordTag(), hn::TableLookupBytes(levels, hn::BitCast(bytes, index)));
#endif
  }
};

struct Q8_0Format : OneScale {
  using Block = PackedQ8_0;
  static constexpr int32_t kOffset = 128;
  static constexpr bool kSmall = false;
  static HWY_INLINE WordVec load(const Block* group, int64_t b, size_t j, size_t lane) {
    return load_words(group[b].q[j], lane);
  }
};

// Q4_K and Q5_K: 6-bit scales and mins of 32 columns each, as quant::unpack_scale_min reads them.
struct ScaleAndMin {
  static constexpr bool kOpen = false;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kSmall = true;
  static constexpr int kParts = 1;
  static constexpr bool kMins = true;
  static constexpr int64_t kSubBlocks = 8;
  template <class Block>
  static HWY_INLINE ScaleVec scale(const Block* group, int64_t b, int, size_t lane) {
    const Block& block = group[b / kSubBlocks];
    const auto i = static_cast<size_t>(b % kSubBlocks);
    const IntTag d;
    const IntVec bits =
        i < 4 ? hn::And(load_bytes(block.sc[i], lane), hn::Set(d, 63))
              : hn::Or(hn::And(load_bytes(block.sc[i + 4], lane), hn::Set(d, 15)),
                       hn::ShiftLeft<4>(hn::ShiftRight<6>(load_bytes(block.sc[i - 4], lane))));
    return hn::Mul(load_f16(block.d, lane), hn::ConvertTo(ScaleTag(), bits));
  }
  template <class Block>
  static HWY_INLINE ScaleVec min(const Block* group, int64_t b, size_t lane) {
    const Block& block = group[b / kSubBlocks];
    const auto i = static_cast<size_t>(b % kSubBlocks);
    const IntVec bits =
        i < 4 ? hn::And(load_bytes(block.sc[i + 4], lane), hn::Set(IntTag(), 63))
              : hn::Or(hn::ShiftRight<4>(load_bytes(block.sc[i + 4], lane)),
                       hn::ShiftLeft<4>(hn::ShiftRight<6>(load_bytes(block.sc[i], lane))));
    return hn::Mul(load_f16(block.dmin, lane), hn::ConvertTo(ScaleTag(), bits));
  }
  template <class Block>
  static HWY_INLINE WordVec load_nibbles(const Block* group, int64_t b, size_t j, size_t lane) {
    const auto pair = static_cast<size_t>(b % kSubBlocks / 2);
    return nibbles(load_words(group[b / kSubBlocks].q[pair][j], lane), b % 2 != 0);
  }
};

struct Q4_KFormat : ScaleAndMin {
  using Block = PackedQ4_K;
  static HWY_INLINE WordVec load(const Block* group, int64_t b, size_t j, size_t lane) {
    return load_nibbles(group, b, j, lane);
  }
};

struct Q5_KFormat : ScaleAndMin {
  using Block = PackedQ5_K;
  static HWY_INLINE WordVec load(const Block* group, int64_t b, size_t j, size_t lane) {
    const WordTag d;
    const WordVec bit = hn::And(hn::ShiftRightSame(load_words(group[b / kSubBlocks].h[j], lane),
                                                   static_cast<int>(b % kSubBlocks)),
                                hn::Set(d, 0x01010101u));
    return hn::Or(load_nibbles(group, b, j, lane), hn::ShiftLeft<4>(bit));
  }
};

struct Q6_KFormat {
  using Block = PackedQ6_K;
  static constexpr bool kOpen = false;
  static constexpr int32_t kOffset = 32;
  static constexpr bool kSmall = true;
  static constexpr int kParts = 2;
  static constexpr bool kMins = false;
  static constexpr int64_t kSubBlocks = 8;
  static HWY_INLINE ScaleVec scale(const Block* group, int64_t b, int part, size_t lane) {
    const Block& block = group[b / kSubBlocks];
    const auto i = static_cast<size_t>(b % kSubBlocks * kParts + part);
    return hn::Mul(load_f16(block.d, lane),
                   hn::ConvertTo(ScaleTag(), load_bytes(block.s[i], lane)));
  }
  static HWY_INLINE WordVec load(const Block* group, int64_t b, size_t j, size_t lane) {
    const Block& block = group[b / kSubBlocks];
    const auto a = static_cast<size_t>(b % kSubBlocks / 4);
    const auto g = static_cast<size_t>(b % 4);
    const WordVec low = nibbles(load_words(block.lo[a][g % 2][j], lane), g >= 2);
    const WordVec high =
        hn::And(hn::ShiftRightSame(load_words(block.hi[a][j], lane), static_cast<int>(2 * g)),
                hn::Set(WordTag(), 0x03030303u));
    return hn::Or(low, hn::ShiftLeft<4>(high));
  }
};

// A format as a table multiplies it, with its kind of dot product (dot4-inl.h).
template <class Format, class Dot>
struct MultipliedWith : Format {
  static constexpr int32_t kOffset =
      Format::kOffset - (Dot::kSigned && !Format::kSmall ? int32_t{128} : int32_t{0});
  static HWY_INLINE IntVec dot4(IntVec acc, WordVec w, IntVec x) {
    return Dot::template dot4<Format::kSmall>(acc, w, x);
  }
};

constexpr size_t kLanes = HWY_LANES(float);
static_assert(static_cast<size_t>(kPackedRows) % kLanes == 0);
constexpr int kGroupVectors = static_cast<int>(kPackedRows / static_cast<int64_t>(kLanes));

// A sub-block taken apart: many tokens share the work of doing so.
struct alignas(64) OpenBlock {
  std::array<OfRows<float>, 2> scale;  // of each part
  OfRows<float> min;
  std::array<Words, 8> q;
};
template <class Format>
struct OpenFormat {
  using Block = OpenBlock;
  static constexpr bool kOpen = true;
  static constexpr int32_t kOffset = Format::kOffset;
  static constexpr bool kSmall = Format::kSmall;
  static constexpr int kParts = Format::kParts;
  static constexpr bool kMins = Format::kMins;
  static constexpr int64_t kSubBlocks = 1;
  static HWY_INLINE ScaleVec scale(const Block* group, int64_t b, int part, size_t lane) {
    return hn::LoadU(ScaleTag(), group[b].scale[static_cast<size_t>(part)].data() + lane);
  }
  static HWY_INLINE ScaleVec min(const Block* group, int64_t b, size_t lane) {
    return hn::LoadU(ScaleTag(), group[b].min.data() + lane);
  }
  static HWY_INLINE WordVec load(const Block* group, int64_t b, size_t j, size_t lane) {
    return load_words(group[b].q[j], lane);
  }
  static HWY_INLINE IntVec dot4(IntVec acc, WordVec w, IntVec x) { return Format::dot4(acc, w, x); }

  static HWY_INLINE void open(const typename Format::Block* group, int64_t b, OpenBlock& out) {
    const ScaleTag d;
    for (size_t lane = 0; lane < static_cast<size_t>(kPackedRows); lane += kLanes) {
      for (size_t part = 0; part < kParts; ++part)
        hn::StoreU(Format::scale(group, b, static_cast<int>(part), lane), d,
                   out.scale[part].data() + lane);
      if constexpr (kMins) hn::StoreU(Format::min(group, b, lane), d, out.min.data() + lane);
      for (size_t j = 0; j < out.q.size(); ++j)
        hn::StoreU(Format::load(group, b, j, lane), WordTag(), out.q[j].data() + lane);
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

// The 8-bit dot product of four columns that quantised products are made of, with the instruction
// that each set has for it. Exact in all of them. Included once per instruction set.
//
// Dot is a type, SetDot or one of extensions-inl.h, that has
//   dot4<kSmallWeights>(acc, w, x)   acc + Σ_i w_i · x_i, lane by lane: w has four bytes in a lane,
//                                    x four signed ones from -127 to 127
//   kSigned                          bytes of w that are not small count 128 less than they say
// With kSmallWeights the bytes of w are at most 127, else anything.

#if defined(GEMMA4_KERNELS_CPU_DOT4_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_DOT4_INL_H_
#undef GEMMA4_KERNELS_CPU_DOT4_INL_H_
#else
#define GEMMA4_KERNELS_CPU_DOT4_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using IntTag = hn::ScalableTag<int32_t>;
using IntVec = hn::Vec<IntTag>;
using WordTag = hn::ScalableTag<uint32_t>;
using WordVec = hn::Vec<WordTag>;

struct SetDot {
  static constexpr bool kSigned = HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON;
  template <bool kSmallWeights>
  static HWY_INLINE IntVec dot4(IntVec acc, WordVec w, IntVec x);
};

#if HWY_TARGET == HWY_AVX3_DL

// In assembly: Highway compiles for this set without the flag that the intrinsic asks for, though
// it checks for the instruction before it chooses the set.
template <bool kSmallWeights>
HWY_INLINE IntVec SetDot::dot4(IntVec acc, WordVec w, IntVec x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc.raw) : "v"(w.raw), "v"(x.raw));
  return acc;
}

#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3

#if HWY_TARGET <= HWY_AVX3
HWY_INLINE __m512i pair_sums(__m512i w, __m512i x) { return _mm512_maddubs_epi16(w, x); }
#elif HWY_TARGET == HWY_AVX2
HWY_INLINE __m256i pair_sums(__m256i w, __m256i x) { return _mm256_maddubs_epi16(w, x); }
#else
HWY_INLINE __m128i pair_sums(__m128i w, __m128i x) { return _mm_maddubs_epi16(w, x); }
#endif

template <bool kSmallWeights>
HWY_INLINE IntVec SetDot::dot4(IntVec acc, WordVec w, IntVec x) {
  const hn::Repartition<int16_t, IntTag> pairs;
  const auto one = hn::Set(pairs, int16_t{1});
  const auto add = [&](IntVec sum, WordVec bytes) HWY_ATTR {
    const decltype(hn::Zero(pairs)) products{pair_sums(bytes.raw, x.raw)};
    IntVec unused = hn::Zero(IntTag());  // on x86 all sums are in the first operand
    return hn::ReorderWidenMulAccumulate(IntTag(), products, one, sum, unused);
  };
  if (kSmallWeights) return add(acc, w);
  // Two products of 255 · 127 would saturate the 16-bit sum of the instruction: low bits and the
  // top one apart.
  const WordVec top = hn::Set(WordTag(), 0x80808080u);
  return add(add(acc, hn::AndNot(top, w)), hn::And(top, w));
}

#elif HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON

// The bytes of weights as signed ones, in the sense of SetDot::kSigned.
template <bool kSmallWeights>
HWY_INLINE int8x16_t signed_weights(WordVec w) {
  return vreinterpretq_s8_u32(kSmallWeights ? w.raw : veorq_u32(w.raw, vdupq_n_u32(0x80808080u)));
}

// Sums of two products are at most 2 · 128 · 127 and fit 16 bits.
template <bool kSmallWeights>
HWY_INLINE IntVec SetDot::dot4(IntVec acc, WordVec w, IntVec x) {
  const int8x16_t a = signed_weights<kSmallWeights>(w);
  const int8x16_t b = vreinterpretq_s8_s32(x.raw);
  const int16x8_t rows01 = vmull_s8(vget_low_s8(a), vget_low_s8(b));
  const int16x8_t rows23 = vmull_high_s8(a, b);
  return IntVec(vpadalq_s16(acc.raw, vpaddq_s16(rows01, rows23)));
}

#else

template <bool kSmallWeights>
HWY_INLINE IntVec SetDot::dot4(IntVec acc, WordVec w, IntVec x) {
  const IntTag d;
  const IntVec byte = hn::Set(d, 255);
  const IntVec words = hn::BitCast(d, w);
  acc = hn::Add(acc, hn::Mul(hn::And(words, byte), hn::ShiftRight<24>(hn::ShiftLeft<24>(x))));
  acc = hn::Add(acc, hn::Mul(hn::And(hn::ShiftRight<8>(words), byte),
                             hn::ShiftRight<24>(hn::ShiftLeft<16>(x))));
  acc = hn::Add(acc, hn::Mul(hn::And(hn::ShiftRight<16>(words), byte),
                             hn::ShiftRight<24>(hn::ShiftLeft<8>(x))));
  return hn::Add(acc, hn::Mul(hn::And(hn::ShiftRight<24>(words), byte), hn::ShiftRight<24>(x)));
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

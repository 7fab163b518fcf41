// Instructions for 8-bit products that Highway has no instruction set for. Each is a Products type
// (quantised-inl.h) and becomes a table of its own beside the set's. Included once per instruction
// set.
//
// In assembly, for the reason that dot4-inl.h gives.

#if defined(GEMMA4_KERNELS_CPU_EXTENSIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_EXTENSIONS_INL_H_
#undef GEMMA4_KERNELS_CPU_EXTENSIONS_INL_H_
#else
#define GEMMA4_KERNELS_CPU_EXTENSIONS_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/cpu/amx-inl.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/mmla-inl.h"
#include "kernels/cpu/quantised-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX2

// The VEX form of the instruction that AVX3_DL has.
struct AvxVnniDot {
  static constexpr bool kSigned = false;
  template <bool kSmallWeights>
  static HWY_INLINE IntVec dot4(IntVec acc, WordVec w, IntVec x) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc.raw) : "x"(w.raw), "x"(x.raw));
    return acc;
  }
};
struct AvxVnniProducts : SetProducts {
  using Dot = AvxVnniDot;
};

#elif HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON

struct SignedDot {
  static constexpr bool kSigned = true;
  template <bool kSmallWeights>
  static HWY_INLINE IntVec dot4(IntVec acc, WordVec w, IntVec x) {
    asm(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b"
        : "+w"(acc.raw)
        : "w"(signed_weights<kSmallWeights>(w)), "w"(x.raw));
    return acc;
  }
};
struct DotprodProducts : SetProducts {
  using Dot = SignedDot;
};

struct MixedDot {
  static constexpr bool kSigned = false;
  template <bool kSmallWeights>
  static HWY_INLINE IntVec dot4(IntVec acc, WordVec w, IntVec x) {
    asm(".arch armv8.2-a+i8mm\n\tusdot %0.4s, %1.16b, %2.16b"
        : "+w"(acc.raw)
        : "w"(w.raw), "w"(x.raw));
    return acc;
  }
};
struct I8mmProducts : SetProducts {
  using Dot = MixedDot;
  template <class Format>
  static void many(const QuantisedRows& x, int64_t first, int64_t tokens,
                   const typename Format::Block* blocks, int64_t groups, float* out,
                   int64_t out_stride) {
    row_pair_many<Format>(x, first, tokens, blocks, groups, out, out_stride);
  }
};

#endif

// Calls add(name, Products()) for what this CPU has beyond the instruction set, best first.
template <class Add>
void for_each_extension([[maybe_unused]] const Add& add) {
#if HWY_TARGET == HWY_AVX3_DL
  if (has_amx_int8()) add("AMX", TiledProducts<AmxTiles>());
#elif HWY_TARGET == HWY_AVX2
  if (has_avx_vnni()) add("AVX2_VNNI", AvxVnniProducts());
#elif HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON
  if (has_i8mm()) add("NEON_I8MM", I8mmProducts());
  if (has_dotprod()) add("NEON_DOTPROD", DotprodProducts());
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

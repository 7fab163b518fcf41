// The tiles of Intel's AMX, for products of many tokens. Included once per instruction set.

#if defined(GEMMA4_KERNELS_CPU_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_AMX_INL_H_
#undef GEMMA4_KERNELS_CPU_AMX_INL_H_
#else
#define GEMMA4_KERNELS_CPU_AMX_INL_H_
#endif

#include <hwy/highway.h>

#include <array>
#include <cstdint>

#include "kernels/cpu/tiles-inl.h"

#if HWY_TARGET == HWY_AVX3_DL
HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// Only where has_amx_int8(). In assembly for the reason of dot4-inl.h; compilers leave the tile
// registers alone. Products of even and odd numbers have three registers each: of sums, tokens and
// weights.
struct AmxTiles {
  static void configure(int bytes) {
    struct alignas(64) Configuration {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      std::array<uint8_t, 14> reserved{};
      std::array<uint16_t, 16> row_bytes{};
      std::array<uint8_t, 16> rows{};
    } tiles;
    static_assert(sizeof tiles == 64);
    constexpr uint16_t kWordsOfRows = kTileSide * sizeof(int32_t);
    for (size_t first : {0, 3}) {
      tiles.rows[first] = kTileSide;
      tiles.row_bytes[first] = kWordsOfRows;
      tiles.rows[first + 1] = kTileSide;
      tiles.row_bytes[first + 1] = static_cast<uint16_t>(bytes);
      tiles.rows[first + 2] = static_cast<uint8_t>(bytes / 4);
      tiles.row_bytes[first + 2] = kWordsOfRows;
    }
    asm volatile("ldtilecfg %0" : : "m"(tiles));
  }
  template <int kNumber>
  static HWY_INLINE void multiply(const int8_t* x, int64_t stride, const Words* w, TileSums& c) {
    const int64_t words_stride = sizeof(Words);
    if constexpr (kNumber % 2 == 0)
      asm volatile(
          "tilezero %%tmm0\n\t"
          "tileloadd (%[x],%[stride],1), %%tmm1\n\t"
          "tileloadd (%[w],%[words_stride],1), %%tmm2\n\t"
          "tdpbssd %%tmm2, %%tmm1, %%tmm0\n\t"
          "tilestored %%tmm0, (%[c],%[words_stride],1)"
          :
          : [x] "r"(x), [stride] "r"(stride), [w] "r"(w), [words_stride] "r"(words_stride),
            [c] "r"(&c)
          : "memory");
    else
      asm volatile(
          "tilezero %%tmm3\n\t"
          "tileloadd (%[x],%[stride],1), %%tmm4\n\t"
          "tileloadd (%[w],%[words_stride],1), %%tmm5\n\t"
          "tdpbssd %%tmm5, %%tmm4, %%tmm3\n\t"
          "tilestored %%tmm3, (%[c],%[words_stride],1)"
          :
          : [x] "r"(x), [stride] "r"(stride), [w] "r"(w), [words_stride] "r"(words_stride),
            [c] "r"(&c)
          : "memory");
  }
  static void release() { asm volatile("tilerelease"); }
};

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif
#endif

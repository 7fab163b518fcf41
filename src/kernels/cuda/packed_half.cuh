// A piece of packed weights as numbers in float16, for products whose sums stay in the tensor cores
// over all of K. A code times its scale is rounded once, to eleven bits.
#pragma once

#include "kernels/cuda/packed.cuh"

namespace gemma4::kernels::cuda {

__device__ inline __half2 half_pair_of(uint32_t bits) {
  return *reinterpret_cast<const __half2*>(&bits);
}
__device__ inline uint32_t half_bits_of(__half2 pair) {
  return *reinterpret_cast<const uint32_t*>(&pair);
}

template <Packing kPacking>
struct HalfPiece : Piece<kPacking> {
  using P = Piece<kPacking>;

  // Codes `i` of product `step` of four as Piece::codes_of() has them, in float16: exact.
  __device__ __half2 codes(int step, int i) const {
    constexpr uint32_t k1024 = 0x64006400u;  // what a number below 1024 is put into
    if constexpr (kPacking == Packing::kBytes) {
      const uint32_t word = P::word_of(P::codes[step / 2], step % 2 * 2 + i / 2) >> (i % 2 * 8);
      uint32_t code;  // (word & 0x00FF00FF) ^ (1024 + 128): bytes from -128 become bytes from 0
      asm("lop3.b32 %0, %1, %2, %3, 0x6A;"
          : "=r"(code)
          : "r"(word), "r"(0x00FF00FFu), "r"(k1024 + 0x00800080u));
      return __hsub2(half_pair_of(code), half_pair_of(k1024 + 0x00800080u));
    } else {
      const uint32_t word = P::word_of(P::codes[0], step);
      constexpr uint32_t kBias = static_cast<uint32_t>(bias_of(kPacking)) * 0x00010001u;
      if constexpr (high_words(kPacking) == 0) {
        const uint32_t both = i < 2 ? word : word >> 8;
        if (i % 2 == 0)
          return __hsub2(half_pair_of(P::masked_over(both, 0x000F000Fu, k1024)),
                         half_pair_of(k1024 + kBias));
        // Four bits up a code is sixteen times itself.
        return __hfma2(half_pair_of(P::masked_over(both, 0x00F000F0u, k1024)),
                       __float2half2_rn(1.0f / 16),
                       __float2half2_rn(-64.0f - static_cast<float>(bias_of(kPacking))));
      } else {
        uint32_t code = P::masked_over(word >> (4 * i), 0x000F000Fu, k1024);
        const int shift = 2 * i + step % 2 * 8 - 4;
        const uint32_t upper = step / 2 == 0 ? P::high.x : P::high.y;
        code = P::masked_over(shift < 0 ? upper << -shift : upper >> shift, 0x00300030u, code);
        return __hsub2(half_pair_of(code), half_pair_of(k1024 + kBias));
      }
    }
  }

  // The weights of product `step` of four, as A
  __device__ void weights_of(int step, uint32_t (&a)[4]) const {
    const int group = step * 16 / group_cols(kPacking);
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint32_t word = P::scales[has_offset(kPacking) ? 2 * group + row : group];
      const uint32_t scale = has_offset(kPacking) || row == 0 ? __byte_perm(word, 0, 0x1010)
                                                              : __byte_perm(word, 0, 0x3232);
#pragma unroll
      for (int i = row; i < 4; i += 2)
        if constexpr (has_offset(kPacking))
          a[i] = half_bits_of(__hfma2(codes(step, i), half_pair_of(scale),
                                      half_pair_of(__byte_perm(word, 0, 0x3232))));
        else
          a[i] = half_bits_of(__hmul2(codes(step, i), half_pair_of(scale)));
    }
  }
};

}  // namespace gemma4::kernels::cuda

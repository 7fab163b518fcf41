// Quantised weights in the order in which tensor cores take them: 16 rows and 64 columns together,
// every lane's codes side by side, so that a warp copies them as they come and a lane finds in one
// place what it has of a product. Codes are whole numbers that bfloat16 holds exactly; their sums
// over 16 or 32 columns are scaled in float32.
#pragma once

#include "kernels/cuda/mma.cuh"

namespace gemma4::kernels::cuda {

constexpr int kTileRows = 16;   // weight rows of a product of tensor cores
constexpr int kPieceCols = 64;  // columns of a piece: four products

// How the codes of a piece are stored. Types that have no packing of their own go into the next
// larger one.
enum class Packing {
  kNibbles,     // Q4_0: code + 8, a scale for 32 columns
  kNibblesMin,  // Q4_K, Q4_1: codes from 0, scale and offset for 32
  kSix,         // Q6_K, Q3_K, Q5_0: code + 32 in six bits, a scale for 16
  kSixMin,      // Q5_K, Q5_1, Q2_K: codes from 0, scale and offset for 16
  kBytes        // Q8_0, IQ4_NL, IQ4_XS, MXFP4: signed bytes, a scale for 32
};

__host__ __device__ constexpr bool has_offset(Packing p) {
  return p == Packing::kNibblesMin || p == Packing::kSixMin;
}
__host__ __device__ constexpr int group_cols(Packing p) {
  return p == Packing::kSix || p == Packing::kSixMin ? 16 : 32;
}
// 16-byte vectors of low bits, and 32-bit words of upper bits, of a lane
__host__ __device__ constexpr int code_vectors(Packing p) { return p == Packing::kBytes ? 2 : 1; }
__host__ __device__ constexpr int high_words(Packing p) {
  return p == Packing::kSix || p == Packing::kSixMin ? 2 : 0;
}
// Numbers in float16 that scale one row of a piece and the row eight below it
__host__ __device__ constexpr int scales_of_rows(Packing p) {
  return 2 * kPieceCols / group_cols(p) * (has_offset(p) ? 2 : 1);
}
__host__ __device__ constexpr int high_at(Packing p) { return code_vectors(p) * kWarp * 16; }
__host__ __device__ constexpr int scales_at(Packing p) {
  return high_at(p) + high_words(p) * kWarp * 4;
}
__host__ __device__ constexpr int piece_bytes(Packing p) {
  return scales_at(p) + scales_of_rows(p) * kTileRows / 2 * 2;
}
// What is added to a code to store it
__host__ __device__ constexpr int bias_of(Packing p) {
  return p == Packing::kNibbles ? 8 : p == Packing::kSix ? 32 : 0;
}

constexpr Packing packing_of(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return Packing::kNibbles;
    case DType::kQ4_K:
    case DType::kQ4_1:
      return Packing::kNibblesMin;
    case DType::kQ6_K:
    case DType::kQ3_K:
    case DType::kQ5_0:
      return Packing::kSix;
    case DType::kQ5_K:
    case DType::kQ5_1:
    case DType::kQ2_K:
      return Packing::kSixMin;
    default:
      return Packing::kBytes;
  }
}

// Calls f<packing>() for a quantised type.
template <typename F>
void dispatch_packing(DType dtype, F&& f) {
  switch (packing_of(dtype)) {
    case Packing::kNibbles:
      return f.template operator()<Packing::kNibbles>();
    case Packing::kNibblesMin:
      return f.template operator()<Packing::kNibblesMin>();
    case Packing::kSix:
      return f.template operator()<Packing::kSix>();
    case Packing::kSixMin:
      return f.template operator()<Packing::kSixMin>();
    case Packing::kBytes:
      return f.template operator()<Packing::kBytes>();
  }
}

__host__ __device__ constexpr int64_t pieces_of(int64_t cols) {
  return ceil_div<int64_t>(cols, kPieceCols);
}
constexpr int64_t tile_bytes(Packing p, int64_t cols) { return pieces_of(cols) * piece_bytes(p); }

// Copies a piece to shared memory, later; a whole warp comes here.
template <Packing kPacking>
__device__ inline void copy_piece(std::byte* to, const std::byte* piece, int lane) {
#pragma unroll
  for (int i = 0; i < ceil_div(piece_bytes(kPacking), kWarp * 16); ++i) {
    const int at = (i * kWarp + lane) * 16;
    if (at < piece_bytes(kPacking)) copy_async(to + at, piece + at, true);
  }
}

// A lane's share of a piece, in registers
template <Packing kPacking>
struct Piece {
  static constexpr int kScaleWords = scales_of_rows(kPacking) / 2;
  uint4 codes[code_vectors(kPacking)];
  uint2 high;  // where there are upper bits
  uint32_t scales[kScaleWords];

  // From shared memory
  __device__ void load(const std::byte* piece, int lane) {
#pragma unroll
    for (int i = 0; i < code_vectors(kPacking); ++i)
      codes[i] = reinterpret_cast<const uint4*>(piece)[i * kWarp + lane];
    if constexpr (high_words(kPacking) > 0)
      high = reinterpret_cast<const uint2*>(piece + high_at(kPacking))[lane];
    const std::byte* from = piece + scales_at(kPacking) + lane / 4 * kScaleWords * 4;
    if constexpr (kScaleWords == 2) {
      const uint2 words = *reinterpret_cast<const uint2*>(from);
      scales[0] = words.x, scales[1] = words.y;
    } else {
#pragma unroll
      for (int i = 0; i < kScaleWords / 4; ++i) {
        const uint4 words = reinterpret_cast<const uint4*>(from)[i];
        scales[4 * i] = words.x, scales[4 * i + 1] = words.y;
        scales[4 * i + 2] = words.z, scales[4 * i + 3] = words.w;
      }
    }
  }

  // (word & mask) | over, in one instruction
  __device__ static uint32_t masked_over(uint32_t word, uint32_t mask, uint32_t over) {
    uint32_t out;
    asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(out) : "r"(word), "r"(mask), "r"(over));
    return out;
  }
  __device__ static uint32_t word_of(const uint4& v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
  }

  // The codes of product `step` of four, as A: two columns of row l / 4, of the row eight below,
  // and the next two columns of both. Columns of lane l: 4 (l % 4) and the next three.
  __device__ void codes_of(int step, uint32_t (&a)[4]) const {
    constexpr uint32_t k128 = 0x43004300u;  // what a number below 128 is put into, in bfloat16
    if constexpr (kPacking == Packing::kBytes) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const uint32_t word = word_of(codes[step / 2], step % 2 * 2 + i / 2) >> (i % 2 * 8);
        // Bytes are seven bits from -128 or from 0: the sign's bit doubles what is taken off.
        a[i] = bits_of(__hsub2(pair_of(masked_over(word, 0x007F007Fu, k128)),
                               pair_of(masked_over(word, 0x00800080u, k128))));
      }
    } else {
      const uint32_t word = word_of(codes[0], step);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        uint32_t code = masked_over(word >> (4 * i), 0x000F000Fu, k128);
        if constexpr (high_words(kPacking) > 0) {
          const int shift = 2 * i + step % 2 * 8 - 4;
          const uint32_t upper = step / 2 == 0 ? high.x : high.y;
          code = masked_over(shift < 0 ? upper << -shift : upper >> shift, 0x00300030u, code);
        }
        constexpr uint32_t kZero = k128 + bias_of(kPacking) * 0x00010001u;  // 128 + bias, twice
        a[i] = bits_of(__hsub2(pair_of(code), pair_of(kZero)));
      }
    }
  }

  // Scales of the two rows for group `group` of columns
  __device__ float2 scales_of(int group) const {
    if constexpr (has_offset(kPacking)) {
      return {half_at(scales[2 * group], 0), half_at(scales[2 * group + 1], 0)};
    } else {
      return {half_at(scales[group], 0), half_at(scales[group], 1)};
    }
  }
  __device__ float2 offsets_of(int group) const {
    return {half_at(scales[2 * group], 1), half_at(scales[2 * group + 1], 1)};
  }
  __device__ static float half_at(uint32_t word, int half) {
    return __half2float(__ushort_as_half(static_cast<uint16_t>(word >> (16 * half))));
  }
};

// sums[r][j] += piece r · columns of tile j. `columns(j, half)` gives a lane's elements of column
// l / 4 of tile j: eight in the order of order_in_32() of half 0 or 1 of the piece; `total(j,
// group)` the sums of a group's elements of columns 2 (l % 4) and the next.
template <Packing kPacking, int kRowTiles, int kColTiles, typename Columns, typename Total>
__device__ inline void add_piece(float (&sums)[kRowTiles][kColTiles][4],
                                 const Piece<kPacking> (&pieces)[kRowTiles], Columns&& columns,
                                 Total&& total) {
  constexpr int kGroupsOf32 = 32 / group_cols(kPacking);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32_t a[kRowTiles][2][4];
    float2 scale[kRowTiles][kGroupsOf32], offset[kRowTiles][kGroupsOf32];
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) {
      pieces[r].codes_of(2 * half, a[r][0]);
      pieces[r].codes_of(2 * half + 1, a[r][1]);
#pragma unroll
      for (int g = 0; g < kGroupsOf32; ++g) {
        scale[r][g] = pieces[r].scales_of(half * kGroupsOf32 + g);
        if constexpr (has_offset(kPacking))
          offset[r][g] = pieces[r].offsets_of(half * kGroupsOf32 + g);
      }
    }
    // Two tiles at a time: products that do not wait for each other.
    constexpr int kTogether = kColTiles % 2 == 0 ? 2 : 1;
#pragma unroll
    for (int first = 0; first < kColTiles; first += kTogether) {
      uint4 b[kTogether];
      float parts[kTogether][kRowTiles][kGroupsOf32][4];
#pragma unroll
      for (int c = 0; c < kTogether; ++c) b[c] = columns(first + c, half);
#pragma unroll
      for (int c = 0; c < kTogether; ++c)
#pragma unroll
        for (int r = 0; r < kRowTiles; ++r) multiply(parts[c][r][0], a[r][0], b[c].x, b[c].y);
#pragma unroll
      for (int c = 0; c < kTogether; ++c)
#pragma unroll
        for (int r = 0; r < kRowTiles; ++r)
          if constexpr (kGroupsOf32 == 1)
            multiply_add(parts[c][r][0], a[r][1], b[c].z, b[c].w);
          else
            multiply(parts[c][r][1], a[r][1], b[c].z, b[c].w);
#pragma unroll
      for (int c = 0; c < kTogether; ++c)
#pragma unroll
        for (int g = 0; g < kGroupsOf32; ++g) {
          float2 x = {0, 0};
          if constexpr (has_offset(kPacking)) x = total(first + c, half * kGroupsOf32 + g);
#pragma unroll
          for (int r = 0; r < kRowTiles; ++r)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
              float& sum = sums[r][first + c][e];
              sum = fmaf(e < 2 ? scale[r][g].x : scale[r][g].y, parts[c][r][g][e], sum);
              if constexpr (has_offset(kPacking))
                sum = fmaf(e < 2 ? offset[r][g].x : offset[r][g].y, e % 2 == 0 ? x.x : x.y, sum);
            }
        }
    }
  }
}

// Where column k of 32 lies among the activations: the eight that a lane needs for two products
// are side by side.
__host__ __device__ constexpr int order_in_32(int k) { return k % 16 / 4 * 8 + k / 16 * 4 + k % 4; }

}  // namespace gemma4::kernels::cuda

// Quantised weights in the order in which vector instructions read them: the blocks of 16 rows
// beside each other, and in them 4 columns of each row together, which is what an 8-bit dot product
// takes. A packed weight has the size of the one it was made from and holds the same numbers.
#pragma once

#include <array>
#include <cstdint>

#include "base/view.h"

namespace gemma4::kernels {

constexpr int64_t kPackedRows = Matrix::kPackedRows;
constexpr int64_t kPackedCols = 32;  // whose products are added up as whole numbers

// Something of each of the 16 rows, side by side; words are four columns of a row.
template <typename T>
using OfRows = std::array<T, kPackedRows>;
using Words = OfRows<uint32_t>;

// 16 rows of 32 columns. Column k of a row is in q[k % 16 / 4] at byte k % 4, in its low nibble for
// k < 16, else in its high one. Values: those of Q4_0, d · (nibble - 8), and of IQ4_NL, d ·
// level[nibble].
struct PackedNibbles {
  OfRows<uint16_t> d;  // f16
  std::array<Words, 4> q;
};

// 16 rows of 32 columns of Q8_0: value = d · (byte - 128). Column k is byte k % 4 of q[k / 4].
struct PackedQ8_0 {
  OfRows<uint16_t> d;  // f16
  std::array<Words, 8> q;
};

// 16 rows of 256 columns; d, dmin, sc, s and the bits are those of the blocks in quant/blocks.h.
// Four columns from 4j of sub-block b (32 columns) are in q[b / 2][j], low nibbles for even b.
struct PackedQ4_K {
  OfRows<uint16_t> d;     // f16
  OfRows<uint16_t> dmin;  // f16
  std::array<OfRows<uint8_t>, 12> sc;
  std::array<std::array<Words, 8>, 4> q;
};
// The fifth bit of theirs is bit b of the bytes of h[j].
struct PackedQ5_K {
  OfRows<uint16_t> d;     // f16
  OfRows<uint16_t> dmin;  // f16
  std::array<OfRows<uint8_t>, 12> sc;
  std::array<Words, 8> h;
  std::array<std::array<Words, 8>, 4> q;
};
// Four columns from 4j of sub-block b = 4a + g: nibbles in lo[a][g % 2][j], low ones for g < 2, and
// two more bits at 2g of the bytes of hi[a][j].
struct PackedQ6_K {
  OfRows<uint16_t> d;  // f16
  std::array<OfRows<int8_t>, 16> s;
  std::array<std::array<std::array<Words, 8>, 2>, 2> lo;
  std::array<std::array<Words, 8>, 2> hi;
};

// Whether there is a packed order for this weight: its type has one, and its rows come in sixteens.
bool can_pack(const Matrix& weight);

// Writes rows [begin, end) of `weight`, multiples of 16, into the packed form of the whole weight
// at `packed`, 64-byte aligned and weight.bytes() long.
void pack_rows(const Matrix& weight, int64_t begin, int64_t end, void* packed);

}  // namespace gemma4::kernels

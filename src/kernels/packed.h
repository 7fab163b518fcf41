// Quantised weights in the order in which vector instructions read them: the blocks of 16 rows
// beside each other, and in them 4 columns of each row together, which is what an 8-bit dot product
// takes. A packed weight has the size of the one it was made from and holds the same numbers.
#pragma once

#include <array>
#include <cstdint>

#include "base/view.h"

namespace gemma4::kernels {

constexpr int64_t kPackedRows = Matrix::kPackedRows;
constexpr int64_t kPackedCols = 32;

// 16 rows of 32 columns of Q4_0: value = d[r] · (nibble - 8). Column k of row r is in
// q[k % 16 / 4][r] at byte k % 4, in its low nibble for k < 16, else in its high one.
struct PackedQ4_0 {
  std::array<uint16_t, kPackedRows> d;  // f16
  std::array<std::array<uint32_t, kPackedRows>, 4> q;
};
static_assert(sizeof(PackedQ4_0) == 16 * 18);

// 16 rows of 32 columns of Q8_0: value = d[r] · (byte - 128). Column k of row r is byte k % 4 of
// q[k / 4][r].
struct PackedQ8_0 {
  std::array<uint16_t, kPackedRows> d;  // f16
  std::array<std::array<uint32_t, kPackedRows>, 8> q;
};
static_assert(sizeof(PackedQ8_0) == 16 * 34);

// Whether there is a packed order for this weight: its type has one, and its rows come in sixteens.
bool can_pack(const Matrix& weight);

// Writes rows [begin, end) of `weight`, multiples of 16, into the packed form of the whole weight
// at `packed`, 64-byte aligned and weight.bytes() long.
void pack_rows(const Matrix& weight, int64_t begin, int64_t end, void* packed);

}  // namespace gemma4::kernels

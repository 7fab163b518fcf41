#include "kernels/packed.h"

#include <cstring>

#include "quant/blocks.h"

namespace gemma4::kernels {
namespace {

// Bytes of a block four at a time, with their sign bits turned where `flip` says so.
template <class Packed>
void pack_block(uint16_t d, const void* bytes, uint8_t flip, size_t row, Packed& packed) {
  packed.d[row] = d;
  for (size_t word = 0; word < packed.q.size(); ++word) {
    uint32_t four;
    std::memcpy(&four, static_cast<const std::byte*>(bytes) + word * sizeof four, sizeof four);
    packed.q[word][row] = four ^ (flip * 0x01010101u);
  }
}
void pack_block(const quant::BlockQ4_0& block, size_t row, PackedQ4_0& packed) {
  pack_block(block.d, block.s, 0, row, packed);
}
void pack_block(const quant::BlockQ8_0& block, size_t row, PackedQ8_0& packed) {
  pack_block(block.d, block.q, 0x80, row, packed);  // signed bytes become unsigned ones
}

template <class Block, class Packed>
void pack(const Matrix& weight, int64_t begin, int64_t end, void* out) {
  const int64_t blocks = weight.cols / kPackedCols;
  const auto* rows = static_cast<const Block*>(weight.data);
  auto* packed = static_cast<Packed*>(out);
  for (int64_t row = begin; row < end; ++row)
    for (int64_t b = 0; b < blocks; ++b)
      pack_block(rows[row * blocks + b], static_cast<size_t>(row % kPackedRows),
                 packed[row / kPackedRows * blocks + b]);
}

}  // namespace

bool can_pack(const Matrix& weight) {
  const bool has_order = weight.dtype == DType::kQ4_0 || weight.dtype == DType::kQ8_0;
  return has_order && weight.rows % kPackedRows == 0 && weight.cols % kPackedCols == 0;
}

void pack_rows(const Matrix& weight, int64_t begin, int64_t end, void* packed) {
  G4_CHECK(can_pack(weight) && begin % kPackedRows == 0 && end % kPackedRows == 0);
  if (weight.dtype == DType::kQ4_0)
    pack<quant::BlockQ4_0, PackedQ4_0>(weight, begin, end, packed);
  else
    pack<quant::BlockQ8_0, PackedQ8_0>(weight, begin, end, packed);
}

}  // namespace gemma4::kernels

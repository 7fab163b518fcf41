#include "kernels/packed.h"

#include <cstring>

#include "quant/blocks.h"

namespace gemma4::kernels {
namespace {

using quant::kLargeBlock;
using quant::kSmallBlock;

// Bytes four at a time into words of row r. `words` are contiguous arrays of Words.
template <class Array>
void put_words(const void* bytes, size_t r, Array& words, uint32_t flip = 0) {
  static_assert(sizeof(Array) % sizeof(Words) == 0);
  auto* target = reinterpret_cast<Words*>(&words);
  for (size_t i = 0; i < sizeof(Array) / sizeof(Words); ++i) {
    uint32_t four;
    std::memcpy(&four, static_cast<const std::byte*>(bytes) + i * sizeof four, sizeof four);
    target[i][r] = four ^ flip;
  }
}
template <typename T, size_t kCount, typename From>
void put_bytes(const From (&bytes)[kCount], size_t r, std::array<OfRows<T>, kCount>& target) {
  for (size_t i = 0; i < kCount; ++i) target[i][r] = bytes[i];
}

template <class Nibbles>
void put(const Nibbles& block, size_t r, PackedNibbles& out) {
  out.d[r] = block.d;
  put_words(block.s, r, out.q);
}
void put(const quant::BlockQ8_0& block, size_t r, PackedQ8_0& out) {
  out.d[r] = block.d;
  put_words(block.q, r, out.q, 0x80808080u);  // signed bytes become unsigned ones
}
void put(const quant::BlockQ4_K& block, size_t r, PackedQ4_K& out) {
  out.d[r] = block.d;
  out.dmin[r] = block.dmin;
  put_bytes(block.sc, r, out.sc);
  put_words(block.q, r, out.q);
}
void put(const quant::BlockQ5_K& block, size_t r, PackedQ5_K& out) {
  out.d[r] = block.d;
  out.dmin[r] = block.dmin;
  put_bytes(block.sc, r, out.sc);
  put_words(block.h, r, out.h);
  put_words(block.q, r, out.q);
}
void put(const quant::BlockQ6_K& block, size_t r, PackedQ6_K& out) {
  out.d[r] = block.d;
  put_bytes(block.s, r, out.s);
  put_words(block.lo, r, out.lo);
  put_words(block.hi, r, out.hi);
}

template <class Block, class Packed, int kCols>
void pack(const Matrix& weight, int64_t begin, int64_t end, void* out) {
  static_assert(sizeof(Packed) == sizeof(Block) * static_cast<size_t>(kPackedRows));
  const int64_t blocks = weight.cols / kCols;
  const auto* rows = static_cast<const Block*>(weight.data);
  auto* packed = static_cast<Packed*>(out);
  for (int64_t row = begin; row < end; ++row)
    for (int64_t b = 0; b < blocks; ++b)
      put(rows[row * blocks + b], static_cast<size_t>(row % kPackedRows),
          packed[row / kPackedRows * blocks + b]);
}

using Pack = void (*)(const Matrix&, int64_t, int64_t, void*);

Pack pack_of(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return pack<quant::BlockQ4_0, PackedNibbles, kSmallBlock>;
    case DType::kIQ4_NL:
      return pack<quant::BlockIQ4_NL, PackedNibbles, kSmallBlock>;
    case DType::kQ8_0:
      return pack<quant::BlockQ8_0, PackedQ8_0, kSmallBlock>;
    case DType::kQ4_K:
      return pack<quant::BlockQ4_K, PackedQ4_K, kLargeBlock>;
    case DType::kQ5_K:
      return pack<quant::BlockQ5_K, PackedQ5_K, kLargeBlock>;
    case DType::kQ6_K:
      return pack<quant::BlockQ6_K, PackedQ6_K, kLargeBlock>;
    default:
      return nullptr;
  }
}

}  // namespace

bool can_pack(const Matrix& weight) {
  return pack_of(weight.dtype) != nullptr && weight.rows % kPackedRows == 0;
}

void pack_rows(const Matrix& weight, int64_t begin, int64_t end, void* packed) {
  G4_CHECK(can_pack(weight) && begin % kPackedRows == 0 && end % kPackedRows == 0);
  pack_of(weight.dtype)(weight, begin, end, packed);
}

}  // namespace gemma4::kernels

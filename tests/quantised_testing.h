// What tests of quantised products share: weights of random blocks, packed or as they lie.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/packed.h"
#include "quant/dequantize.h"
#include "tests/kernel_testing.h"

namespace gemma4::testing {

inline constexpr DType kPackedTypes[] = {DType::kQ4_0, DType::kQ8_0, DType::kIQ4_NL,
                                         DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

inline int64_t whole_blocks(DType dtype, int64_t cols) {
  const int64_t block = info_of(dtype).block_elements;
  return (cols + block - 1) / block * block;
}

// Random blocks whose values are of ordinary size, at an odd address, and what they mean.
class BlockWeight {
 public:
  BlockWeight(Random& random, DType dtype, int64_t rows, int64_t cols)
      : bytes_(1 + static_cast<size_t>(rows * row_bytes(dtype, cols))),
        values_(static_cast<size_t>(rows * cols)),
        matrix_{bytes_.data() + 1, dtype, rows, cols} {
    const DTypeInfo info = info_of(dtype);
    float* values = values_.data();
    for (std::byte* block = bytes_.data() + 1; block < bytes_.data() + bytes_.size();
         block += info.block_bytes, values += info.block_elements)
      do {
        for (int64_t i = 0; i < info.block_bytes; ++i)
          block[i] = static_cast<std::byte>(random.bits() >> 32);
        quant::dequantize_row(dtype, block, info.block_elements, values);
      } while (!std::all_of(values, values + info.block_elements,
                            [](float x) { return std::abs(x) < 64; }));
  }
  const Matrix& matrix() const { return matrix_; }
  float at(int64_t row, int64_t col) const {
    return values_[static_cast<size_t>(row * matrix_.cols + col)];
  }
  // The matrix with a packed copy that lives as long as this.
  Matrix packed() {
    packed_.resize(static_cast<size_t>(matrix_.bytes()) / sizeof(Line) + 1);
    kernels::pack_rows(matrix_, 0, matrix_.rows, packed_.data());
    Matrix result = matrix_;
    result.packed = packed_.data();
    result.packed_row_bytes = matrix_.row_bytes();
    return result;
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<std::byte> bytes_;
  std::vector<float> values_;
  Matrix matrix_;
  std::vector<Line> packed_;
};

}  // namespace gemma4::testing

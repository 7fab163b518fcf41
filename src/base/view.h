// Non-owning tensors. `View` is an activation in an arena; `Matrix` is a read-only weight.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "base/check.h"
#include "base/dtype.h"

namespace gemma4 {

// Float32 or int32 elements, row-major, contiguous, at most four dimensions. Passed by value.
struct View {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, 4> shape{};

  View() = default;
  View(void* elements, DType type, std::initializer_list<int64_t> dims)
      : data(elements), dtype(type), rank(static_cast<int>(dims.size())) {
    G4_CHECK_LE(dims.size(), shape.size());
    int i = 0;
    for (const int64_t dim : dims) shape[i++] = dim;
  }

  explicit operator bool() const { return rank != 0; }
  int64_t size() const {
    int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= shape[i];
    return product;
  }
  // The last dimension, and the number of such rows.
  int64_t cols() const { return rank == 0 ? 0 : shape[rank - 1]; }
  int64_t rows() const { return cols() == 0 ? 0 : size() / cols(); }

  float* f32() const {
    G4_CHECK(dtype == DType::kF32);
    return static_cast<float*>(data);
  }
  int32_t* i32() const {
    G4_CHECK(dtype == DType::kI32);
    return static_cast<int32_t*>(data);
  }
  View reshaped(std::initializer_list<int64_t> dims) const {
    View result(data, dtype, dims);
    G4_CHECK_EQ(result.size(), size());
    return result;
  }
};

// A weight [rows, cols] in its storage type, usually inside a mapped file; rows are contiguous.
struct Matrix {
  const void* data = nullptr;
  DType dtype = DType::kBF16;
  int64_t rows = 0;
  int64_t cols = 0;
  // The same numbers in an order that products prefer, or null: on the CPU that of
  // kernels/packed.h, on a card that of kernels/cuda. `data` stays readable beside it, or is null
  // where nothing but products reads the weight.
  const void* packed = nullptr;
  int64_t packed_row_bytes = 0;               // of `packed`
  static constexpr int64_t kPackedRows = 16;  // are together there

  explicit operator bool() const { return data != nullptr || packed != nullptr; }
  int64_t row_bytes() const { return gemma4::row_bytes(dtype, cols); }
  int64_t bytes() const { return rows * row_bytes(); }
  // Rows [begin, begin + count).
  Matrix row_slice(int64_t begin, int64_t count) const {
    G4_CHECK(begin >= 0 && count >= 0 && begin + count <= rows);
    const auto from = [&](const void* all, int64_t bytes_of_row) {
      return all == nullptr ? nullptr : static_cast<const std::byte*>(all) + begin * bytes_of_row;
    };
    const bool whole = begin % kPackedRows == 0 && count % kPackedRows == 0;
    G4_CHECK(data != nullptr || whole);
    return {from(data, row_bytes()),
            dtype,
            count,
            cols,
            whole ? from(packed, packed_row_bytes) : nullptr,
            whole ? packed_row_bytes : 0};
  }
};

}  // namespace gemma4

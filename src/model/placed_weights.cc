#include "model/placed_weights.h"

#include <utility>

#include "quant/dequantize.h"

namespace gemma4::model {

Result<const void*> PlacedWeights::copy(std::span<const std::byte> bytes) {
  G4_ASSIGN_OR_RETURN(kernels::Device::Memory memory, device_->allocate(bytes.size()));
  device_->upload(memory.get(), bytes.data(), bytes.size());
  memory_.push_back(std::move(memory));
  return static_cast<const void*>(memory_.back().get());
}

Result<std::span<const float>> PlacedWeights::place(std::vector<float> values) {
  const size_t count = values.size();
  if (in_host_memory()) {
    vectors_.push_back(std::move(values));
    return std::span<const float>(vectors_.back());
  }
  G4_ASSIGN_OR_RETURN(const void* data, copy(std::as_bytes(std::span(values))));
  return std::span(static_cast<const float*>(data), count);
}

bool PlacedWeights::packs(const Matrix& matrix, const MatrixUse& use) const {
  const int64_t rows_together = use.rows_together > 0 ? use.rows_together : matrix.rows;
  return use.multiplied && device_->packs(matrix) && rows_together % Matrix::kPackedRows == 0;
}

uint64_t PlacedWeights::bytes_of(const Matrix& matrix, const MatrixUse& use) const {
  if (in_host_memory()) return 0;
  const auto bytes = static_cast<uint64_t>(matrix.bytes());
  if (packs(matrix, use)) return device_->packed_bytes(matrix) + (use.looked_up ? bytes : 0);
  if (use.multiplied && is_block_dtype(matrix.dtype))
    return static_cast<uint64_t>(matrix.rows * matrix.cols) * sizeof(float);
  return bytes;
}

Status PlacedWeights::pack(Matrix& matrix) {
  const size_t bytes = device_->packed_bytes(matrix);
  G4_ASSIGN_OR_RETURN(kernels::Device::Memory memory, device_->allocate(bytes));
  device_->pack(matrix, memory.get());
  matrix.packed = memory.get();
  matrix.packed_row_bytes = static_cast<int64_t>(bytes) / matrix.rows;
  memory_.push_back(std::move(memory));
  return {};
}

Status PlacedWeights::place(Matrix& matrix, const io::Tensor& tensor, const MatrixUse& use) {
  matrix.data = tensor.bytes.data();
  if (in_host_memory()) return {};
  const bool is_packed = packs(matrix, use);
  if (is_packed) {
    G4_RETURN_IF_ERROR(pack(matrix));
    if (!use.looked_up) {
      matrix.data = nullptr;
      return {};
    }
  }
  if (!is_packed && use.multiplied && is_block_dtype(matrix.dtype)) {
    // Sizes that no published model has: as floats.
    std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.cols));
    for (int64_t row = 0; row < matrix.rows; ++row)
      quant::dequantize_row(matrix.dtype, tensor.bytes.data() + row * matrix.row_bytes(),
                            matrix.cols, values.data() + row * matrix.cols);
    G4_ASSIGN_OR_RETURN(const std::span<const float> placed, place(std::move(values)));
    matrix = {placed.data(), DType::kF32, matrix.rows, matrix.cols};
    return {};
  }
  G4_ASSIGN_OR_RETURN(matrix.data, copy(tensor.bytes));
  return {};
}

}  // namespace gemma4::model

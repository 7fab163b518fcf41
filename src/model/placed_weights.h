// Weights where the kernels of a device can read them. What is in the program's own memory stays
// where it is; another device gets copies, packed where its products want that.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/view.h"
#include "io/safetensors.h"
#include "kernels/device.h"

namespace gemma4::model {

// What a matrix is there for
struct MatrixUse {
  bool multiplied = true;  // in products
  bool looked_up = false;  // row by row
  // Rows that a product may take by themselves, e.g. those of one expert; 0: all of them.
  int64_t rows_together = 0;
};

class PlacedWeights {
 public:
  // Null: the program's own memory, for any CPU device.
  explicit PlacedWeights(std::shared_ptr<kernels::Device> device = nullptr)
      : device_(std::move(device)) {}

  bool in_host_memory() const { return device_ == nullptr || device_->is_host(); }

  // Bytes of the device's memory that place() takes for a matrix of this type and size.
  uint64_t bytes_of(const Matrix& matrix, const MatrixUse& use) const;
  // Sets the memory of `matrix`, whose type and size are those of `tensor`; quantised matrices that
  // a card's products cannot take become float32. Errors: kResourceExhausted.
  Status place(Matrix& matrix, const io::Tensor& tensor, const MatrixUse& use = {});
  // `values` where kernels can read them. Errors: kResourceExhausted.
  Result<std::span<const float>> place(std::vector<float> values);
  // Takes memory over that matrices already point to.
  void keep(kernels::Device::Memory memory) { memory_.push_back(std::move(memory)); }

 private:
  bool packs(const Matrix& matrix, const MatrixUse& use) const;
  Result<const void*> copy(std::span<const std::byte> bytes);
  Status pack(Matrix& matrix);

  std::shared_ptr<kernels::Device> device_;  // first: the memory is its
  std::vector<kernels::Device::Memory> memory_;
  std::vector<std::vector<float>> vectors_;  // in the program's own memory
};

}  // namespace gemma4::model

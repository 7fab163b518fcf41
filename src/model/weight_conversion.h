// Weights that change their type on the way from the file into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/dtype.h"
#include "base/thread_pool.h"
#include "io/safetensors.h"
#include "model/gguf_export.h"

namespace gemma4::model {

struct WeightConversion {
  // The type that a tensor stored as `stored` is to have; asked once for every tensor of the text
  // decoder, and heeded for matrices: vectors are float32 anyway.
  std::function<DType(const GgufTensorEntry& tensor, DType stored)> type_of;
  // Told how many elements are converted, of how many; may be empty.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// Writes the rows of `tensor` as `type`, in which they are whole blocks, to `out`: the same bytes
// as those of a file that is quantised to that type. `progress` is told the number of elements
// done.
void convert_rows(const io::Tensor& tensor, DType type, std::byte* out, ThreadPool& pool,
                  const std::function<void(uint64_t)>& progress);

}  // namespace gemma4::model

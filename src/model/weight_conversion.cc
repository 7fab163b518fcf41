#include "model/weight_conversion.h"

#include <algorithm>
#include <vector>

#include "quant/dequantize.h"
#include "quant/quantize.h"

namespace gemma4::model {

void convert_rows(const io::Tensor& tensor, DType type, std::byte* out, ThreadPool& pool,
                  const std::function<void(uint64_t)>& progress) {
  constexpr int64_t kPiece = 8 << 20;  // elements between two reports
  constexpr int64_t kGrain = 1 << 16;  // elements that are worth another thread
  const int64_t cols = tensor.shape.back();
  const int64_t rows = tensor.size() / cols;
  const int64_t from_stride = row_bytes(tensor.dtype, cols);
  const int64_t stride = row_bytes(type, cols);
  const int64_t step = std::max<int64_t>(1, kPiece / cols);
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    pool.parallel_for(count, std::max<int64_t>(1, kGrain / cols), [&](int64_t begin, int64_t end) {
      std::vector<float> values(static_cast<size_t>(cols));
      for (int64_t row = first + begin; row < first + end; ++row) {
        quant::dequantize_row(tensor.dtype, tensor.bytes.data() + row * from_stride, cols,
                              values.data());
        quant::quantize_row(type, values.data(), cols, nullptr, out + row * stride);
      }
    });
    progress(static_cast<uint64_t>((first + count) * cols));
  }
}

}  // namespace gemma4::model

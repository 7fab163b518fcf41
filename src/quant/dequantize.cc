// Rows of any type: the plain floats, and the loop over blocks.

#include "quant/dequantize.h"

#include "base/check.h"

namespace gemma4::quant {
namespace {

void dequantize_floats(DType type, const void* row, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = load_float(row, type, i);
}

template <typename Block>
void dequantize_blocks(DType type, const void* row, int64_t count, float* out) {
  const int64_t elements = info_of(type).block_elements;
  const auto* blocks = static_cast<const Block*>(row);
  for (int64_t i = 0; i < count / elements; ++i) dequantize_block(blocks[i], out + i * elements);
}

using RowFunction = void (*)(DType, const void*, int64_t, float*);

RowFunction row_function(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return dequantize_floats;
    case DType::kQ4_0:
      return dequantize_blocks<BlockQ4_0>;
    case DType::kQ4_1:
      return dequantize_blocks<BlockQ4_1>;
    case DType::kQ5_0:
      return dequantize_blocks<BlockQ5_0>;
    case DType::kQ5_1:
      return dequantize_blocks<BlockQ5_1>;
    case DType::kQ8_0:
      return dequantize_blocks<BlockQ8_0>;
    case DType::kIQ4_NL:
      return dequantize_blocks<BlockIQ4_NL>;
    case DType::kMXFP4:
      return dequantize_blocks<BlockMXFP4>;
    case DType::kQ2_K:
      return dequantize_blocks<BlockQ2_K>;
    case DType::kQ3_K:
      return dequantize_blocks<BlockQ3_K>;
    case DType::kQ4_K:
      return dequantize_blocks<BlockQ4_K>;
    case DType::kQ5_K:
      return dequantize_blocks<BlockQ5_K>;
    case DType::kQ6_K:
      return dequantize_blocks<BlockQ6_K>;
    case DType::kIQ4_XS:
      return dequantize_blocks<BlockIQ4_XS>;
    default:
      return nullptr;
  }
}

}  // namespace

void dequantize_row(DType type, const void* row, int64_t count, float* out) {
  const RowFunction function = row_function(type);
  G4_CHECK(function != nullptr);  // not a weight type
  G4_CHECK_EQ(count % info_of(type).block_elements, 0);
  function(type, row, count, out);
}

}  // namespace gemma4::quant

// What the bytes of every weight type mean: the reference that all faster readers are held against.
//
//   std::vector<float> row(cols);
//   quant::dequantize_row(matrix.dtype, row_bytes, cols, row.data());
//
// The arithmetic is float32 without fused steps, in the order in which the formulas stand, so that
// the values are those of ggml to the last bit.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "quant/blocks.h"

namespace gemma4::quant {

// Elements of a row of any weight type (is_weight_dtype), widened to float32: exact for the plain
// floats, one rounding per operation for the blocks. `count` is a whole number of blocks; `row` has
// row_bytes(type, count) bytes at any address. Any bytes are valid: a scale that is no number gives
// values that are none.
void dequantize_row(DType type, const void* row, int64_t count, float* out);

// One block; `out` has room for its 32 or 256 elements.
void dequantize_block(const BlockQ4_0& block, float* out);
void dequantize_block(const BlockQ4_1& block, float* out);
void dequantize_block(const BlockQ5_0& block, float* out);
void dequantize_block(const BlockQ5_1& block, float* out);
void dequantize_block(const BlockQ8_0& block, float* out);
void dequantize_block(const BlockIQ4_NL& block, float* out);
void dequantize_block(const BlockMXFP4& block, float* out);
void dequantize_block(const BlockQ2_K& block, float* out);
void dequantize_block(const BlockQ3_K& block, float* out);
void dequantize_block(const BlockQ4_K& block, float* out);
void dequantize_block(const BlockQ5_K& block, float* out);
void dequantize_block(const BlockQ6_K& block, float* out);
void dequantize_block(const BlockIQ4_XS& block, float* out);

}  // namespace gemma4::quant

// Weights from float32 into the storage types, row by row.
//
//   std::vector<std::byte> bytes(row_bytes(DType::kQ4_K, cols));
//   quant::quantize_row(DType::kQ4_K, row, cols, nullptr, bytes.data());
//
// The result depends on nothing but the arguments, and a block on nothing but its own elements.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace gemma4::quant {

// F32 F16 BF16 Q4_0 Q8_0 IQ4_NL Q4_K Q5_K Q6_K.
bool can_quantize(DType type);

// Quantises `count` elements, a whole number of blocks, into row_bytes(type, count) bytes at any
// address; `row` and `out` may not overlap. can_quantize(type) must hold.
//
// `importance` [count] or null: how much the squared error of each element counts, at least 0, of
// any common scale. A block minimises the sum of importance · error². An importance below a
// millionth of its block's largest counts as that much (the element still gets a value near its
// own), and one that is negative or no number as 0.
//
// Q4_0, Q8_0 and IQ4_NL: a block that lies on a grid of the type (every element is d · level for
// one f16 d), as those of checkpoints trained for it, keeps exactly its values, with or without
// importance. Failing that, Q4_0 and Q8_0 without importance get the bytes of ggml's reference
// quantisers; where these are exact already, they come first. All else is a least-squares search.
//
// Plain floats round to nearest even; NaN and infinity stay what they are, and beyond F16's range
// is infinity. Blocks have no such values: NaN becomes 0, infinity and numbers that the type cannot
// express a large finite one of their sign, and their neighbours in the block what is left then.
// Elements that are all zero, or too small for an f16 scale, become zeros.
void quantize_row(DType type, const float* row, int64_t count, const float* importance, void* out);

}  // namespace gemma4::quant

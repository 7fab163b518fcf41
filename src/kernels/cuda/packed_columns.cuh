// Activations as the columns of products with packed weights.
#pragma once

#include "kernels/cuda/packed.cuh"

namespace gemma4::kernels::cuda {

constexpr int kExactPlanes = 3;  // bfloat16 numbers of an activation that counts in float32

inline int planes_of(Queue queue) {
  return queue.activations == Activations::kFloat32 ? kExactPlanes : 1;
}

// In the scratch memory, until the next ones; K is padded to whole pieces with zeros.
struct Columns {
  const __nv_bfloat16* elements;  // [planes, T, padded K], in order_in_32()
  const float* totals;            // [groups of columns, planes · T] sums, or null: none needed
};

// x [tokens, depth], at most most_packed_tokens(), for weights of this type
Columns round_columns(Queue queue, DType dtype, const float* x, int64_t tokens, int depth);
int64_t most_packed_tokens(Queue queue, int64_t depth);

}  // namespace gemma4::kernels::cuda

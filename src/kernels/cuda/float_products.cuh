// Products of float32 and float16 weights with many rows of activations; see float_products.cu.
#pragma once

#include "kernels/cuda/common.cuh"

namespace gemma4::kernels::cuda {

// Whether they are for this weight and number of rows
bool can_multiply_floats(const Matrix& weight, int64_t tokens);

// out [T, N] = weight [N, K] · x [T, K], in float32 throughout. A row has the same bits in every
// batch that comes here.
void multiply_floats(Queue queue, const LinearArgs& a);

}  // namespace gemma4::kernels::cuda

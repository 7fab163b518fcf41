// Products of packed weights with more than a few rows on Hopper's tensor cores; see
// packed_wide.cu.
#pragma once

#include "kernels/cuda/packed_products.cuh"

namespace gemma4::kernels::cuda {

// Whether these products are for such a card, way of reading activations and depth
bool can_multiply_wide(Queue queue, int64_t depth);

// As multiply_packed() and multiply_grouped(); there tiles begin at multiples of kBrickTokens, and
// a source of -1 is a row that nobody reads.
void multiply_wide(Queue queue, DType dtype, const PackedLaunch& a);
void multiply_wide_grouped(Queue queue, DType dtype, const PackedLaunch& a,
                           const ExpertGroups& groups);

}  // namespace gemma4::kernels::cuda

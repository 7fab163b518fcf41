// Activations in float16, in the order in which wide products (packed_wide.cu) copy them.
#pragma once

#include "kernels/cuda/packed.cuh"

namespace gemma4::kernels::cuda {

constexpr int kBrickTokens = 8;                             // of neighbouring tokens
constexpr int kBlockBytes = kBrickTokens * kPieceCols * 2;  // of them and a piece's columns

// In the scratch memory, until the next ones
struct HalfColumns {
  // [pieces, blocks of kBrickTokens tokens, 8 chunks, kBrickTokens, 8 elements]
  const std::byte* blocks;
  const float* factors;  // [tokens]: what the elements of a token are multiples of
  int num_blocks;
};

// Where column k of a piece lies among its 64: two elements of a product are neighbours of the
// packed weights' lane, which has 4 q … 4 q + 3 of sixteen columns.
__host__ __device__ constexpr int order_in_16(int k) { return k % 4 / 2 * 8 + k / 4 * 2 + k % 2; }

// x [tokens, depth] rounded to bfloat16, which float16 holds after scaling each token by a power of
// two; row t is x's row sources[t], if that is not null: there -1 stands for none. At most
// most_half_tokens().
HalfColumns half_columns(Queue queue, const float* x, const int32_t* sources, int64_t tokens,
                         int depth);
int64_t most_half_tokens(int64_t depth);

}  // namespace gemma4::kernels::cuda

// Products with many rows of activations; see products.cu.
#pragma once

#include "kernels/cuda/common.cuh"

namespace gemma4::kernels::cuda {

// Up to this many rows of activations, a product is a matter of reading the weights once; with one
// product for each weight instead of three, tensor cores win earlier.
constexpr int64_t kMostFewTokens = 8;
constexpr int64_t kMostFewRounded = 2;
constexpr size_t kPlaneBytes = 96 << 20;  // of the scratch memory, for activations

// What becomes of a sum
enum class Form {
  kPlain,
  kGated,      // gelu(gate) ⊙ sum
  kMultiplied  // gelu(sum) ⊙ multiplier
};

// Whether a weight has the form, and a batch the size, that these products are for
bool can_multiply(Queue queue, const Matrix& weight, int64_t tokens);
// Rows of `depth` elements that can be split at once
int64_t most_tokens(Queue queue, int64_t depth);
// Prepares x [tokens, depth], at most most_tokens(depth), for products with it, until the next
// split.
void split(Queue queue, const float* x, int64_t tokens, int64_t depth);
// out [tokens, rows] = form of weight · x; in kGated, `out` holds the gate before.
void multiply(Queue queue, Form form, const Matrix& weight, int64_t tokens, float* out,
              const float* multiplier = nullptr, int64_t multiplier_stride = 0);

}  // namespace gemma4::kernels::cuda

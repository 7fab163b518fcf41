// What the two kinds of attention share.
#pragma once

#include "kernels/cuda/common.cuh"

namespace gemma4::kernels::cuda {

// Where a key or value of the cache begins
__device__ inline int64_t offset_of(const KvLayer& cache, const int32_t* blocks, int64_t kv_head,
                                    int key) {
  const int block_tokens = static_cast<int>(cache.block_tokens);
  const int block = key / block_tokens;
  return ((blocks[block] * cache.heads + kv_head) * block_tokens + (key - block * block_tokens)) *
         cache.head_dim;
}

// Calls f<type of its elements>() for a cache.
template <typename F>
void dispatch_cache(const KvLayer& cache, F&& f) {
  switch (cache.dtype) {
    case DType::kBF16:
      return f.template operator()<__nv_bfloat16>();
    case DType::kF16:
      return f.template operator()<__half>();
    default:
      return f.template operator()<float>();
  }
}

// Whether a batch is many rows of few sequences, whose products may be in bfloat16; and their
// attention (prompt_attention.cu).
bool can_attend_prompt(Queue queue, const AttentionArgs& a);
void attend_prompt(Queue queue, const AttentionArgs& a);

// Whether a few rows may be attended with queries and weights in bfloat16, as prompts are, over a
// cache that holds bfloat16 (rounded_attention.cu).
bool can_attend_rounded(Queue queue, const AttentionArgs& a);
void attend_rounded(Queue queue, const AttentionArgs& a);

}  // namespace gemma4::kernels::cuda

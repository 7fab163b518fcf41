// Attention over the block cache: a block of threads per row and query head, keys dealt out to its
// warps, each with an online softmax of its own; the warps' results are combined in a fixed order.

#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr float kNone = -INFINITY;

// Lane l holds elements l, l + 32, … of a head: kPerLane of them cover head_dim.
template <int kPerLane>
__global__ void attention_kernel(AttentionArgs a) {
  extern __shared__ float shared[];  // [kWarps][dim] sums, then [kWarps] maxima, [kWarps] totals
  const int64_t dim = a.cache.head_dim;
  const int64_t row = blockIdx.x / a.q_heads;
  const int64_t head = blockIdx.x % a.q_heads;
  const int64_t kv_head = head / (a.q_heads / a.cache.heads);
  const int warp = threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int64_t sequence = a.sequence[row];
  const int32_t* blocks = a.block_table + a.table_offset[sequence] - a.table_first[sequence];
  const float* q = a.q + (row * a.q_heads + head) * dim;

  float query[kPerLane], sum[kPerLane];
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int64_t j = lane + i * kWarp;
    query[i] = j < dim ? q[j] : 0.0f;
    sum[i] = 0;
  }
  float max = kNone;
  float total = 0;
  for (int64_t key = a.key_begin[row] + warp; key < a.key_end[row]; key += kWarps) {
    const int64_t block = blocks[key / a.cache.block_tokens];
    const int64_t at =
        ((block * a.cache.heads + kv_head) * a.cache.block_tokens + key % a.cache.block_tokens) *
        dim;
    float score = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int64_t j = lane + i * kWarp;
      if (j < dim) score = fmaf(query[i], a.cache.k[at + j], score);
    }
    score = warp_sum(score);
    const float new_max = fmaxf(max, score);
    const float rescale = expf(max - new_max);  // 0 at the first key
    const float weight = expf(score - new_max);
    total = total * rescale + weight;
    max = new_max;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int64_t j = lane + i * kWarp;
      if (j < dim) sum[i] = fmaf(weight, a.cache.v[at + j], sum[i] * rescale);
    }
  }

  float* maxima = shared + kWarps * dim;
  float* totals = maxima + kWarps;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int64_t j = lane + i * kWarp;
    if (j < dim) shared[warp * dim + j] = sum[i];
  }
  if (lane == 0) {
    maxima[warp] = max;
    totals[warp] = total;
  }
  __syncthreads();
  float best = kNone;
  for (int w = 0; w < kWarps; ++w) best = fmaxf(best, maxima[w]);
  float denominator = 0;
  for (int w = 0; w < kWarps; ++w) denominator += totals[w] * expf(maxima[w] - best);
  for (int64_t j = threadIdx.x; j < dim; j += blockDim.x) {
    float value = 0;
    for (int w = 0; w < kWarps; ++w) value += shared[w * dim + j] * expf(maxima[w] - best);
    a.out[(row * a.q_heads + head) * dim + j] = value / denominator;
  }
}

template <int kPerLane>
void launch(Queue queue, const AttentionArgs& a) {
  const size_t shared_bytes = static_cast<size_t>(kWarps) * (a.cache.head_dim + 2) * sizeof(float);
  attention_kernel<kPerLane>
      <<<a.tokens * a.q_heads, kWarps * kWarp, shared_bytes, stream_of(queue)>>>(a);
}

}  // namespace

void attention(Queue queue, const AttentionArgs& a) {
  const int64_t dim = a.cache.head_dim;
  if (dim <= 64) return launch<2>(queue, a);
  if (dim <= 128) return launch<4>(queue, a);
  if (dim <= 256) return launch<8>(queue, a);
  if (dim <= 512) return launch<16>(queue, a);
  launch<32>(queue, a);  // as far as kMaxHeadDim
}

}  // namespace gemma4::kernels::cuda

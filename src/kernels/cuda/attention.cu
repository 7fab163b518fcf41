// Attention over the block cache: a block of threads per row and query head, keys dealt out to its
// warps, each with an online softmax of its own; the warps' results are combined in a fixed order.

#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kKeys = 4;  // a warp's keys at once: their loads and sums overlap
constexpr float kNone = -INFINITY;

// Lane l holds elements l, l + 32, … of a head: kPerLane of them cover head_dim.
template <int kPerLane, int kWarps>
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
  const int64_t end = a.key_end[row];
  for (int64_t first = a.key_begin[row] + warp * kKeys; first < end; first += kWarps * kKeys) {
    int64_t at[kKeys];
    float score[kKeys];
#pragma unroll
    for (int n = 0; n < kKeys; ++n) {
      const int64_t key = min(first + n, end - 1);  // a key too many counts nothing below
      const int64_t block = blocks[key / a.cache.block_tokens];
      at[n] =
          ((block * a.cache.heads + kv_head) * a.cache.block_tokens + key % a.cache.block_tokens) *
          dim;
      score[n] = 0;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        const int64_t j = lane + i * kWarp;
        if (j < dim) score[n] = fmaf(query[i], a.cache.k[at[n] + j], score[n]);
      }
    }
    float new_max = max;
#pragma unroll
    for (int n = 0; n < kKeys; ++n) {
      score[n] = first + n < end ? warp_sum(score[n]) : kNone;
      new_max = fmaxf(new_max, score[n]);
    }
    const float rescale = expf(max - new_max);  // 0 at the first keys
    max = new_max;
    total *= rescale;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) sum[i] *= rescale;
#pragma unroll
    for (int n = 0; n < kKeys; ++n) {
      const float weight = expf(score[n] - new_max);
      total += weight;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        const int64_t j = lane + i * kWarp;
        if (j < dim) sum[i] = fmaf(weight, a.cache.v[at[n] + j], sum[i]);
      }
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

template <int kPerLane, int kWarps>
void launch(Queue queue, const AttentionArgs& a) {
  const size_t shared_bytes = static_cast<size_t>(kWarps) * (a.cache.head_dim + 2) * sizeof(float);
  attention_kernel<kPerLane, kWarps>
      <<<a.tokens * a.q_heads, kWarps * kWarp, shared_bytes, stream_of(queue)>>>(a);
}

}  // namespace

void attention(Queue queue, const AttentionArgs& a) {
  const int64_t dim = a.cache.head_dim;
  if (dim <= 64) return launch<2, 16>(queue, a);
  if (dim <= 128) return launch<4, 16>(queue, a);
  if (dim <= 256) return launch<8, 16>(queue, a);
  if (dim <= 512) return launch<16, 16>(queue, a);
  launch<32, 8>(queue, a);  // as far as the table's max_head_dim
}

}  // namespace gemma4::kernels::cuda

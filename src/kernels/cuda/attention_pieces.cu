// Adds up what blocks of attention found for pieces of a row's keys.

#include "kernels/cuda/attention_pieces.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 512;

// out = Σ sums · exp(max - best) / Σ totals · exp(max - best) over the pieces of one head of one
// row. Groups of threads take every n-th piece each, four elements a thread.
__global__ void __launch_bounds__(kThreads) add_pieces_kernel(Launch launch) {
  __shared__ float weights[kMostPieces];
  __shared__ float4 partial[kThreads];
  allow_next();
  const AttentionArgs& a = launch.args;
  const int64_t head = blockIdx.x;
  const int64_t row = launch.first_row + blockIdx.y;
  const int count = piece_of(a.key_begin[row], a.key_end[row], 0).count;
  wait_for_inputs();  // also where there is nothing to do: the next kernel relies on it
  if (count == 1) return;
  const int dim = static_cast<int>(a.cache.head_dim);
  const int vectors = ceil_div(dim, 4);
  const int groups = max(1, kThreads / vectors);
  const int group = static_cast<int>(threadIdx.x) / vectors;
  const int vector = static_cast<int>(threadIdx.x) % vectors;
  const auto part_of = [&](int p) {
    return reinterpret_cast<const float4*>(launch.piece_at(blockIdx.y, head, p))[vector];
  };
  // On its way while the weights are found
  const float4 first = part_of(min(group, count - 1));
  if (threadIdx.x < kWarp) {
    constexpr int kEach = kMostPieces / kWarp;
    float max[kEach], total[kEach];
    float best = kNone;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int p = static_cast<int>(threadIdx.x) + i * kWarp;
      const float* state = launch.state_of(launch.piece_at(blockIdx.y, head, min(p, count - 1)));
      max[i] = p < count ? state[0] : kNone;
      total[i] = p < count ? state[1] : 0.0f;
      best = fmaxf(best, max[i]);
    }
    best = warp_max(best);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      max[i] = expf(max[i] - best);
      sum += max[i] * total[i];
    }
    sum = warp_sum(sum);
#pragma unroll
    for (int i = 0; i < kEach; ++i) weights[threadIdx.x + i * kWarp] = max[i] / sum;
  }
  __syncthreads();
  float4 sum = {0, 0, 0, 0};
  if (group < groups) {
#pragma unroll 8
    for (int p = group; p < count; p += groups) {
      const float4 part = p == group ? first : part_of(p);
      const float weight = weights[p];
      sum.x += part.x * weight, sum.y += part.y * weight;
      sum.z += part.z * weight, sum.w += part.w * weight;
    }
    partial[threadIdx.x] = sum;
  }
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.x); j < dim; j += kThreads) {
    float value = 0;
    for (int g = 0; g < groups; ++g)
      value += reinterpret_cast<const float*>(partial + g * vectors)[j];
    a.out[(row * a.q_heads + head) * dim + j] = value;
  }
}

}  // namespace

void launch_pieces(Queue queue, const AttentionArgs& a, int64_t heads, int threads,
                   size_t shared_bytes, void (*kernel)(Launch)) {
  Launch launch_args{a, 0, most_pieces(a.most_keys), reinterpret_cast<float*>(free_scratch(queue))};
  const int64_t row_bytes = a.q_heads * launch_args.most_pieces * piece_floats(a.cache.head_dim) *
                            static_cast<int64_t>(sizeof(float));
  const int64_t at_once = std::max<int64_t>(1, static_cast<int64_t>(kFreeScratchBytes) / row_bytes);
  for (int64_t row = 0; row < a.tokens; row += at_once) {
    const auto rows = static_cast<unsigned>(std::min(at_once, a.tokens - row));
    launch_args.first_row = row;
    launch(queue,
           dim3(static_cast<unsigned>(heads), static_cast<unsigned>(launch_args.most_pieces), rows),
           threads, shared_bytes, kernel, launch_args);
    if (launch_args.most_pieces > 1)
      launch(queue, dim3(static_cast<unsigned>(a.q_heads), rows), kThreads, 0, add_pieces_kernel,
             launch_args);
  }
}

}  // namespace gemma4::kernels::cuda

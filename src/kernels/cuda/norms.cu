// Root-mean-square norms, alone and with the small steps around them that would each be a launch of
// their own: residual sums; rotary embedding and cache of the heads.

#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

__device__ inline float inverse_rms(float sum_of_squares, int64_t count, float eps) {
  return 1.0f / sqrtf(sum_of_squares / static_cast<float>(count) + eps);
}

__device__ inline float squares(float4 v) { return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w; }

__device__ inline float4 times(float4 v, float factor, float4 weight) {
  return {v.x * factor * weight.x, v.y * factor * weight.y, v.z * factor * weight.z,
          v.w * factor * weight.w};
}

__device__ inline float4 load_weight(const float* weight, int64_t vector) {
  if (weight == nullptr) return {1, 1, 1, 1};
  return __ldg(reinterpret_cast<const float4*>(weight) + vector);
}

// A null `x` is none: a norm alone. A row is read once and stays in registers: thread t of a block
// holds the vectors t, t + blockDim.x, … of four elements each. The weights are read before the row
// is there.
template <int kVectors>
__global__ void __launch_bounds__(1024) add_normed_kernel(AddNormedArgs a) {
  __shared__ float scratch[kWarp];
  allow_next();
  const int64_t num_vectors = a.cols / 4;
  const int64_t start = blockIdx.x * num_vectors;
  float4 weight[kVectors], next_weight[kVectors], x[kVectors], h[kVectors];
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t i = threadIdx.x + v * blockDim.x;
    weight[v] = next_weight[v] = x[v] = h[v] = {0, 0, 0, 0};
    if (i >= num_vectors) continue;
    weight[v] = load_weight(a.weight, i);
    if (a.normed != nullptr) next_weight[v] = load_weight(a.next_weight, i);
  }
  wait_for_inputs();
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t i = threadIdx.x + v * blockDim.x;
    if (i >= num_vectors) continue;
    h[v] = reinterpret_cast<const float4*>(a.h)[start + i];
    if (a.x != nullptr) x[v] = reinterpret_cast<const float4*>(a.x)[start + i];
  }
  float sum = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) sum += squares(h[v]);
  const float inverse = inverse_rms(block_sum(sum, scratch), a.cols, a.eps);
  sum = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t i = threadIdx.x + v * blockDim.x;
    const float4 update = times(h[v], inverse, weight[v]);
    x[v] = {(x[v].x + update.x) * a.scale, (x[v].y + update.y) * a.scale,
            (x[v].z + update.z) * a.scale, (x[v].w + update.w) * a.scale};
    sum += squares(x[v]);
    if (i < num_vectors) reinterpret_cast<float4*>(a.sum)[start + i] = x[v];
  }
  if (a.normed == nullptr) return;
  const float next_inverse = inverse_rms(block_sum(sum, scratch), a.cols, a.eps);
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t i = threadIdx.x + v * blockDim.x;
    if (i < num_vectors)
      reinterpret_cast<float4*>(a.normed)[start + i] = times(x[v], next_inverse, next_weight[v]);
  }
}

// Rows of any length. `sum` is written and read by the same thread.
__global__ void add_normed_any_kernel(AddNormedArgs a) {
  __shared__ float scratch[kWarp];
  begin();
  const int64_t start = blockIdx.x * a.cols;
  const auto weight_of = [](const float* w, int64_t j) { return w != nullptr ? w[j] : 1.0f; };
  float sum = 0;
  for (int64_t j = threadIdx.x; j < a.cols; j += blockDim.x) sum += a.h[start + j] * a.h[start + j];
  const float inverse = inverse_rms(block_sum(sum, scratch), a.cols, a.eps);
  sum = 0;
  for (int64_t j = threadIdx.x; j < a.cols; j += blockDim.x) {
    const float x = a.x != nullptr ? a.x[start + j] : 0.0f;
    const float value = (x + a.h[start + j] * inverse * weight_of(a.weight, j)) * a.scale;
    a.sum[start + j] = value;
    sum += value * value;
  }
  if (a.normed == nullptr) return;
  const float next_inverse = inverse_rms(block_sum(sum, scratch), a.cols, a.eps);
  for (int64_t j = threadIdx.x; j < a.cols; j += blockDim.x)
    a.normed[start + j] = a.sum[start + j] * next_inverse * weight_of(a.next_weight, j);
}

constexpr int kHeadWarps = 4;

// One warp per head of a row: first the queries, then the keys, then the values. A lane holds
// elements lane, lane + 32, … of both halves of the head, kPairs of each.
template <int kPairs>
__global__ void __launch_bounds__(kHeadWarps* kWarp) prepare_heads_kernel(PrepareHeadsArgs a) {
  allow_next();
  const int lane = threadIdx.x % kWarp;
  const int64_t dim = a.cache.head_dim;
  const int64_t half = dim / 2;
  const int64_t kv_heads = a.k_raw != nullptr ? a.cache.heads : 0;
  const int64_t row = blockIdx.y;
  int64_t head = blockIdx.x * kHeadWarps + threadIdx.x / kWarp;
  if (head >= a.q_heads + 2 * kv_heads) return;
  const bool is_query = head < a.q_heads;
  if (!is_query) head -= a.q_heads;
  const bool is_value = !is_query && head >= kv_heads;
  if (is_value) head -= kv_heads;
  const float* const weight = is_query ? a.q_weight : is_value ? nullptr : a.k_weight;
  const float* x = is_query ? a.q_raw : is_value ? a.v_raw : a.k_raw;
  x += (row * (is_query ? a.q_heads : kv_heads) + head) * dim;

  float first_weight[kPairs], second_weight[kPairs];
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int64_t j = lane + i * kWarp;
    const bool reads = weight != nullptr && j < half;
    first_weight[i] = reads ? __ldg(weight + j) : 1.0f;
    second_weight[i] = reads ? __ldg(weight + half + j) : 1.0f;
  }
  wait_for_inputs();
  float first[kPairs], second[kPairs], cos[kPairs], sin[kPairs];
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int64_t j = lane + i * kWarp;
    const bool in = j < half;
    first[i] = in ? x[j] : 0.0f;
    second[i] = in ? x[half + j] : 0.0f;
    cos[i] = in && !is_value ? a.cos[row * half + j] : 1.0f;
    sin[i] = in && !is_value ? a.sin[row * half + j] : 0.0f;
    sum += first[i] * first[i] + second[i] * second[i];
  }
  void* out = a.q;
  DType dtype = DType::kF32;
  int64_t start = (row * a.q_heads + head) * dim;
  if (!is_query) {
    const int64_t slot = a.slots[row];
    const int64_t block = slot / a.cache.block_tokens;
    out = is_value ? a.cache.v : a.cache.k;
    dtype = a.cache.dtype;
    start = ((block * kv_heads + head) * a.cache.block_tokens + slot % a.cache.block_tokens) * dim;
  }
  const float inverse = inverse_rms(warp_sum(sum), dim, a.eps);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int64_t j = lane + i * kWarp;
    if (j >= half) continue;
    const float low = first[i] * inverse * first_weight[i];
    const float high = second[i] * inverse * second_weight[i];
    put(out, dtype, start + j, low * cos[i] - high * sin[i]);
    put(out, dtype, start + half + j, high * cos[i] + low * sin[i]);
  }
}

template <int kPairs>
void run_heads(Queue queue, const PrepareHeadsArgs& a) {
  const int64_t heads = a.q_heads + (a.k_raw != nullptr ? 2 * a.cache.heads : 0);
  const dim3 grid(static_cast<unsigned>(ceil_div<int64_t>(heads, kHeadWarps)),
                  static_cast<unsigned>(a.tokens));
  launch(queue, grid, kHeadWarps * kWarp, 0, prepare_heads_kernel<kPairs>, a);
}

}  // namespace

void prepare_heads(Queue queue, const PrepareHeadsArgs& a) {
  const int64_t dim = a.cache.head_dim;
  if (dim <= 64) return run_heads<1>(queue, a);
  if (dim <= 128) return run_heads<2>(queue, a);
  if (dim <= 256) return run_heads<4>(queue, a);
  if (dim <= 512) return run_heads<8>(queue, a);
  run_heads<16>(queue, a);  // as far as the table's max_head_dim
}

void add_normed(Queue queue, const AddNormedArgs& a) {
  const auto threads = [&](int64_t vectors) {
    return ceil_div<int64_t>(a.cols, 4 * vectors * kWarp) * kWarp;
  };
  if (a.cols % 4 == 0 && a.cols <= 4096)
    launch(queue, blocks(a.rows), threads(1), 0, add_normed_kernel<1>, a);
  else if (a.cols % 4 == 0 && a.cols <= 8192)
    launch(queue, blocks(a.rows), threads(2), 0, add_normed_kernel<2>, a);
  else
    launch(queue, blocks(a.rows), 512, 0, add_normed_any_kernel, a);
}

void rms_norm(Queue queue, const RmsNormArgs& a) {
  AddNormedArgs sum{};
  sum.sum = a.out;
  sum.h = a.x;
  sum.weight = a.weight;
  sum.rows = a.rows;
  sum.cols = a.cols;
  sum.eps = a.eps;
  sum.scale = 1.0f;
  add_normed(queue, sum);
}

}  // namespace gemma4::kernels::cuda

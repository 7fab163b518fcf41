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

__device__ inline float4 scaled(float4 v, float factor) {
  return {v.x * factor, v.y * factor, v.z * factor, v.w * factor};
}

__device__ inline float4 load_weight(const float* weight, int64_t vector) {
  if (weight == nullptr) return {1, 1, 1, 1};
  return __ldg(reinterpret_cast<const float4*>(weight) + vector);
}

__device__ inline float4 sum_times(float4 x, float4 update, float factor) {
  return {(x.x + update.x) * factor, (x.y + update.y) * factor, (x.z + update.z) * factor,
          (x.w + update.w) * factor};
}

// A row of a block, in registers: thread t holds the vectors t, t + blockDim.x, … of four elements.
template <int kVectors>
struct Row {
  float4 v[kVectors];

  template <typename F>
  __device__ void fill(int64_t num_vectors, F&& load) {
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int64_t at = threadIdx.x + i * blockDim.x;
      v[i] = at < num_vectors ? load(at) : float4{0, 0, 0, 0};
    }
  }
  __device__ void store(int64_t num_vectors, float* out, int64_t start) const {
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int64_t at = threadIdx.x + i * blockDim.x;
      if (at < num_vectors) reinterpret_cast<float4*>(out)[start + at] = v[i];
    }
  }
  // 1 / the root of the mean square
  __device__ float inverse_rms(float* scratch, int64_t cols, float eps) const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) sum += squares(v[i]);
    return cuda::inverse_rms(block_sum(sum, scratch), cols, eps);
  }
};

// The row x, read once and kept, and its update: `h`, or where kBranches the sum of the norms of
// `h` and of another branch. A null `x` is none: a norm alone. The weights are read before the row
// is there.
template <int kVectors, int kNorms, bool kBranches>
__global__ void __launch_bounds__(1024) add_normed_kernel(AddBranchesArgs branches) {
  __shared__ float scratch[kWarp];
  allow_next();
  const AddNormedArgs& a = branches.sum;
  const int64_t num_vectors = a.cols / 4;
  const int64_t start = blockIdx.x * num_vectors;
  using Row = Row<kVectors>;
  const auto read_weight = [&](Row& row, const float* weight) {
    row.fill(num_vectors, [&](int64_t i) { return load_weight(weight, i); });
  };
  const auto read = [&](Row& row, const float* from) {
    row.fill(num_vectors,
             [&](int64_t i) { return reinterpret_cast<const float4*>(from)[start + i]; });
  };
  Row weight, next_weight[kNorms], x{}, h;
  read_weight(weight, a.weight);
#pragma unroll
  for (int n = 0; n < kNorms; ++n)
    if (a.normed[n].out != nullptr) read_weight(next_weight[n], a.normed[n].weight);
  Row h_weight, other_weight;
  if constexpr (kBranches) {
    read_weight(h_weight, branches.h_weight);
    read_weight(other_weight, branches.other_weight);
  }
  wait_for_inputs();
  read(h, a.h);
  if (a.x != nullptr) read(x, a.x);
  if constexpr (kBranches) {
    Row other;
    read(other, branches.other);
    const float inverse = h.inverse_rms(scratch, a.cols, a.eps);
    const float other_inverse = other.inverse_rms(scratch, a.cols, a.eps);
#pragma unroll
    for (int v = 0; v < kVectors; ++v)
      h.v[v] = sum_times(times(h.v[v], inverse, h_weight.v[v]),
                         times(other.v[v], other_inverse, other_weight.v[v]), 1.0f);
  }
  const float inverse = h.inverse_rms(scratch, a.cols, a.eps);
#pragma unroll
  for (int v = 0; v < kVectors; ++v)
    x.v[v] = sum_times(x.v[v], times(h.v[v], inverse, weight.v[v]), a.scale);
  x.store(num_vectors, a.sum, start);
  if (a.normed[0].out == nullptr) return;
  const float next_inverse = x.inverse_rms(scratch, a.cols, a.eps);
#pragma unroll
  for (int n = 0; n < kNorms; ++n) {
    if (a.normed[n].out == nullptr) return;
    Row& out = next_weight[n];
#pragma unroll
    for (int v = 0; v < kVectors; ++v)
      out.v[v] = scaled(times(x.v[v], next_inverse, out.v[v]), a.normed[n].scale);
    out.store(num_vectors, a.normed[n].out, start);
  }
}

// Rows of any length. `sum` is written and read by the same thread.
__global__ void add_normed_any_kernel(AddBranchesArgs branches) {
  __shared__ float scratch[kWarp];
  begin();
  const AddNormedArgs& a = branches.sum;
  const int64_t start = blockIdx.x * a.cols;
  const auto weight_of = [](const float* w, int64_t j) { return w != nullptr ? w[j] : 1.0f; };
  const auto inverse_of = [&](auto&& element) {
    float sum = 0;
    for (int64_t j = threadIdx.x; j < a.cols; j += blockDim.x) sum += element(j) * element(j);
    return inverse_rms(block_sum(sum, scratch), a.cols, a.eps);
  };
  const auto h = [&](int64_t j) { return a.h[start + j]; };
  const auto other = [&](int64_t j) { return branches.other[start + j]; };
  const bool is_one = branches.other == nullptr;
  const float h_inverse = is_one ? 1.0f : inverse_of(h);
  const float other_inverse = is_one ? 1.0f : inverse_of(other);
  const auto update = [&](int64_t j) {
    return is_one ? h(j)
                  : h(j) * h_inverse * weight_of(branches.h_weight, j) +
                        other(j) * other_inverse * weight_of(branches.other_weight, j);
  };
  const float inverse = inverse_of(update);
  const auto sum = [&](int64_t j) -> float& { return a.sum[start + j]; };
  for (int64_t j = threadIdx.x; j < a.cols; j += blockDim.x) {
    const float x = a.x != nullptr ? a.x[start + j] : 0.0f;
    sum(j) = (x + update(j) * inverse * weight_of(a.weight, j)) * a.scale;
  }
  if (a.normed[0].out == nullptr) return;
  const float next_inverse = inverse_of(sum);
  for (const AddNormedArgs::Normed& next : a.normed) {
    if (next.out == nullptr) return;
    for (int64_t j = threadIdx.x; j < a.cols; j += blockDim.x)
      next.out[start + j] = sum(j) * next_inverse * weight_of(next.weight, j) * next.scale;
  }
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

constexpr int64_t kMostThreads = 1024;

bool fits(const AddNormedArgs& a, int64_t vectors) {
  return a.cols % 4 == 0 && a.cols <= 4 * vectors * kMostThreads;
}

template <int kVectors, int kNorms, bool kBranches>
void run_rows(Queue queue, const AddBranchesArgs& a) {
  const int64_t threads = ceil_div<int64_t>(a.sum.cols, 4 * kVectors * kWarp) * kWarp;
  launch(queue, blocks(a.sum.rows), threads, 0, add_normed_kernel<kVectors, kNorms, kBranches>, a);
}

void run_any(Queue queue, const AddBranchesArgs& a) {
  launch(queue, blocks(a.sum.rows), 512, 0, add_normed_any_kernel, a);
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
  const AddBranchesArgs one{.sum = a};
  const bool further = a.normed[1].out != nullptr;
  if (fits(a, 1) && further) return run_rows<1, AddNormedArgs::kMost, false>(queue, one);
  if (fits(a, 1)) return run_rows<1, 1, false>(queue, one);
  if (fits(a, 2) && !further) return run_rows<2, 1, false>(queue, one);
  run_any(queue, one);
}

void add_branches(Queue queue, const AddBranchesArgs& a) {
  if (fits(a.sum, 1) && a.sum.normed[1].out == nullptr) return run_rows<1, 1, true>(queue, a);
  run_any(queue, a);
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

// The audio tower's kernels beside its matrix products, in float32.

#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__device__ inline float held(float x, Bounds bounds) {
  x = x < bounds.low ? bounds.low : x;  // what is no number stays so
  return bounds.high < x ? bounds.high : x;
}
__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// One block per place (time, band) of the output, a thread per channel of it. `shared` [N]: the
// sums, which each thread reads for itself.
__global__ void subsample_kernel(SubsampleArgs a) {
  extern __shared__ float sums[];
  __shared__ float scratch[kWarp];
  begin();
  const int outputs = static_cast<int>(a.weight.rows);
  const int channels = static_cast<int>(a.channels);
  const int64_t out_bands = (a.bands + 1) / 2;
  const int64_t first_time = 2 * (blockIdx.x / out_bands) - 1;
  const int64_t first_band = 2 * (blockIdx.x % out_bands) - 1;
  const auto* const weight = static_cast<const float*>(a.weight.data);
  float total = 0;
  for (int n = static_cast<int>(threadIdx.x); n < outputs; n += blockDim.x) {
    float sum = 0;
    for (int tap = 0; tap < 9; ++tap) {
      const int64_t time = first_time + tap / 3;
      const int64_t band = first_band + tap % 3;
      if (time < 0 || time >= a.frames || band < 0 || band >= a.bands) continue;
      const float* const x = a.x + (time * a.bands + band) * channels;
      const float* const w = weight + (static_cast<int64_t>(n) * 9 + tap) * channels;
      for (int c = 0; c < channels; ++c) sum = fmaf(x[c], w[c], sum);
    }
    sums[n] = sum;
    total += sum;
  }
  const float mean = block_sum(total, scratch) / static_cast<float>(outputs);
  float squares = 0;
  for (int n = static_cast<int>(threadIdx.x); n < outputs; n += blockDim.x)
    squares += (sums[n] - mean) * (sums[n] - mean);
  const float variance = block_sum(squares, scratch) / static_cast<float>(outputs);
  const float inverse = 1.0f / sqrtf(variance + a.eps);
  float* const out = a.out + static_cast<int64_t>(blockIdx.x) * outputs;
  for (int n = static_cast<int>(threadIdx.x); n < outputs; n += blockDim.x)
    out[n] = fmaxf(0.0f, (sums[n] - mean) * inverse * a.norm[n]);
}

__global__ void clip_kernel(ClipArgs a) {
  begin();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.rows * a.cols) return;
  a.out[i] = held(a.bias != nullptr ? a.x[i] + a.bias[i % a.cols] : a.x[i], a.bounds);
}

__global__ void silu_kernel(SiluArgs a) {
  begin();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.n) return;
  const float x = held(a.x[i], a.before);
  a.out[i] = held(x * sigmoid(x), a.after);
}

// One block per row. The sums lie in the output until their norm is known, each read again by the
// thread that wrote it.
__global__ void light_conv_kernel(LightConvArgs a) {
  __shared__ float scratch[kWarp];
  begin();
  const int64_t t = blockIdx.x;
  float* const out = a.out + t * a.width;
  float squares = 0;
  for (int64_t d = threadIdx.x; d < a.width; d += kThreads) {
    float sum = 0;
    for (int64_t j = max(int64_t{0}, a.taps - 1 - t); j < a.taps; ++j) {
      const float* const row = a.x + (t - a.taps + 1 + j) * 2 * a.width;
      const float gate = sigmoid(held(row[a.width + d], a.before));
      sum = fmaf(a.kernel[j * a.width + d], held(row[d], a.before) * gate, sum);
    }
    out[d] = sum;
    squares += sum * sum;
  }
  const float mean = block_sum(squares, scratch) / static_cast<float>(a.width);
  const float inverse = 1.0f / sqrtf(mean + a.eps);
  for (int64_t d = threadIdx.x; d < a.width; d += kThreads) {
    const float x = out[d] * inverse * a.norm[d];
    out[d] = held(x * sigmoid(x), a.after);
  }
}

// One warp per row and head. Lane l has the weights of the keys l and l + 32 rows back.
__global__ void local_attention_kernel(LocalAttentionArgs a) {
  static_assert(kMostLocalKeys == 2 * kWarp);
  begin();
  const int lane = threadIdx.x % kWarp;
  const int64_t pair = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (pair >= a.tokens * a.heads) return;
  const int64_t t = pair / a.heads;
  const int64_t head = pair % a.heads * a.head_dim;
  const int64_t stride = a.heads * a.head_dim;
  const int keys = static_cast<int>(min(t + 1, a.window));
  const float* const q = a.q + t * stride + head;
  float weight[2] = {-INFINITY, -INFINITY};
  for (int distance = 0; distance < keys; ++distance) {
    const float* const k = a.k + (t - distance) * stride + head;
    const float* const relative = a.relative + distance * stride + head;
    float score = 0;
    for (int64_t d = lane; d < a.head_dim; d += kWarp)
      score = fmaf(q[d] * a.q_scale[d], fmaf(k[d], a.k_scale, relative[d]), score);
    score = a.cap * tanhf(warp_sum(score) / a.cap);
    if (lane == distance % kWarp) weight[distance / kWarp] = score;
  }
  const float best = warp_max(fmaxf(weight[0], weight[1]));
  float total = 0;
  for (float& w : weight) {
    w = expf(w - best);
    total += w;
  }
  total = warp_sum(total);
  for (int64_t first = 0; first < a.head_dim; first += kWarp) {
    const int64_t d = first + lane;
    float sum = 0;
    for (int distance = 0; distance < keys; ++distance) {
      const float w = __shfl_sync(~0u, weight[distance / kWarp], distance % kWarp);
      if (d < a.head_dim) sum = fmaf(w, a.v[(t - distance) * stride + head + d], sum);
    }
    if (d < a.head_dim) a.out[t * stride + head + d] = sum / total;
  }
}

}  // namespace

void subsample(Queue queue, const SubsampleArgs& a) {
  const int64_t threads = std::min<int64_t>(512, ceil_div<int64_t>(a.weight.rows, kWarp) * kWarp);
  launch(queue, blocks((a.frames + 1) / 2 * ((a.bands + 1) / 2)), threads,
         static_cast<size_t>(a.weight.rows) * sizeof(float), subsample_kernel, a);
}

void clip(Queue queue, const ClipArgs& a) {
  launch(queue, blocks(ceil_div<int64_t>(a.rows * a.cols, kThreads)), kThreads, 0, clip_kernel, a);
}

void silu(Queue queue, const SiluArgs& a) {
  launch(queue, blocks(ceil_div<int64_t>(a.n, kThreads)), kThreads, 0, silu_kernel, a);
}

void light_conv(Queue queue, const LightConvArgs& a) {
  launch(queue, blocks(a.tokens), kThreads, 0, light_conv_kernel, a);
}

void local_attention(Queue queue, const LocalAttentionArgs& a) {
  launch(queue, blocks(ceil_div<int64_t>(a.tokens * a.heads, kThreads / kWarp)), kThreads, 0,
         local_attention_kernel, a);
}

}  // namespace gemma4::kernels::cuda

// Attention of a few rows over the block cache, in float32. A block of threads takes one piece of a
// row's keys for query heads of one KV head, so that keys are read once for them.

#include "kernels/cuda/attention_pieces.cuh"
#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kKeys = 4;  // a warp's keys at once: their loads and sums overlap
constexpr int kMostShared = 80 << 10;

// What a lane has of a row of the cache: vectors of up to sixteen bytes, of which vector v of lane
// l begins at element (32 v + l) · kVector. Elements past the row's end are zeros.
template <typename T, int kPerLane>
struct Elements {
  static constexpr int kVector = std::min(kPerLane, 16 / static_cast<int>(sizeof(T)));
  static constexpr int kVectors = kPerLane / kVector;
  static constexpr int kWords = kVector * static_cast<int>(sizeof(T)) / 4;
  struct alignas(kWords * 4) Vector {
    uint32_t words[kWords];
  };
  Vector vectors[kVectors];

  __device__ static int index(int lane, int i) {
    return (i / kVector * kWarp + lane) * kVector + i % kVector;
  }
  __device__ void load(const T* row, int lane, int dim) {
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const int first = index(lane, v * kVector);
      vectors[v] = {};
      if (dim % kVector == 0) {
        if (first < dim) vectors[v] = *reinterpret_cast<const Vector*>(row + first);
      } else {
#pragma unroll
        for (int i = 0; i < kVector; ++i)
          if (first + i < dim)
            vectors[v].words[i * sizeof(T) / 4] |= static_cast<uint32_t>(bits(row[first + i]))
                                                   << (i * sizeof(T) % 4 * 8);
      }
    }
  }
  __device__ float at(int i) const {
    const uint32_t word = vectors[i / kVector].words[i % kVector * sizeof(T) / 4];
    if constexpr (sizeof(T) == 4) return __uint_as_float(word);
    const auto half = static_cast<uint16_t>(i % 2 == 0 ? word : word >> 16);
    if constexpr (std::is_same_v<T, __nv_bfloat16>)
      return __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xFFFF0000u);
    return __half2float(__ushort_as_half(half));
  }

 private:
  __device__ static uint32_t bits(float x) { return __float_as_uint(x); }
  __device__ static uint32_t bits(__half x) { return __half_as_ushort(x); }
  __device__ static uint32_t bits(__nv_bfloat16 x) { return __bfloat16_as_ushort(x); }
};

// One step of warp_sums(): kLeft values become half as many, of which each half of the lanes has
// its own.
template <int kLeft, int kOffset, int kCount>
__device__ inline void share_out(float (&part)[kCount], int lane) {
  if constexpr (kLeft > 1) {
    const bool upper = (lane & kOffset) != 0;
#pragma unroll
    for (int i = 0; i < kLeft / 2; ++i) {
      const float send = upper ? part[i] : part[i + kLeft / 2];
      const float keep = upper ? part[i + kLeft / 2] : part[i];
      part[i] = keep + __shfl_xor_sync(~0u, send, kOffset);
    }
    share_out<kLeft / 2, kOffset / 2>(part, lane);
  } else if constexpr (kOffset > 0) {
    part[0] += __shfl_xor_sync(~0u, part[0], kOffset);
    share_out<1, kOffset / 2>(part, lane);
  }
}

// Sums over a warp of kCount values, a power of two up to 32, known to all lanes
template <int kCount>
__device__ inline void warp_sums(float (&values)[kCount], int lane) {
  float part[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) part[i] = values[i];
  share_out<kCount, kWarp / 2>(part, lane);
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = __shfl_sync(~0u, part[0], i * (kWarp / kCount));
}

// Adds the warps' results up, in their order, into shared memory that holds, for each head:
// kWarps maxima, totals and dim sums. -> maximum and total; the factors replace the maxima.
template <int kGroup, int kWarps>
__device__ void share_weights(float* maxima, float* totals) {
  if (threadIdx.x < kGroup) {
    float* max = maxima + threadIdx.x * kWarps;
    float* total = totals + threadIdx.x * (kWarps + 2);
    float best = kNone;
    for (int w = 0; w < kWarps; ++w) best = fmaxf(best, max[w]);
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) {
      max[w] = expf(max[w] - best);
      sum += total[w] * max[w];
    }
    total[kWarps] = best;
    total[kWarps + 1] = sum;
  }
  __syncthreads();
}

// As many warps as registers allow: the fewer turns a piece takes, the less is waited.
template <typename T, int kPerLane>
constexpr int kWarpsFor = kPerLane * sizeof(T) <= 32 ? 16 : 8;

template <typename T, int kPerLane, int kGroup>
__global__ void __launch_bounds__(kWarpsFor<T, kPerLane>* kWarp) attention_kernel(Launch launch) {
  constexpr int kWarps = kWarpsFor<T, kPerLane>;
  constexpr int kTurn = kWarps * kKeys;
  constexpr int kPadded = kPerLane * kWarp;  // dim or more
  // Whether registers hold keys and values at once, so that one wait is for both
  constexpr bool kTogether = kPerLane * sizeof(T) <= 64;
  using Own = Elements<T, kPerLane>;
  const AttentionArgs& a = launch.args;
  // [kGroup][kPerLane][32] queries, [kGroup][kWarps][dim] sums, [kGroup][kWarps] maxima,
  // [kGroup][kWarps + 2] totals
  extern __shared__ float shared[];
  begin();
  const int dim = static_cast<int>(a.cache.head_dim);
  const int64_t row = launch.first_row + blockIdx.z;
  const int64_t head = static_cast<int64_t>(blockIdx.x) * kGroup;  // the first of this block
  const int64_t kv_head = head / (a.q_heads / a.cache.heads);
  const Piece piece = piece_of(a.key_begin[row], a.key_end[row], static_cast<int>(blockIdx.y));
  if (static_cast<int>(blockIdx.y) >= piece.count) return;
  const int warp = threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int64_t sequence = a.sequence[row];
  const int32_t* blocks = a.block_table + a.table_offset[sequence] - a.table_first[sequence];
  float* query = shared;
  float* sums_of_warps = query + kGroup * kPadded;
  float* maxima = sums_of_warps + kGroup * kWarps * dim;
  float* totals = maxima + kGroup * kWarps;

  for (int i = threadIdx.x; i < kGroup * kPadded; i += blockDim.x) {
    const int g = i / kPadded;
    const int j = Own::index(i % kWarp, i % kPadded / kWarp);
    query[i] = j < dim ? a.q[(row * a.q_heads + head + g) * dim + j] : 0.0f;
  }
  __syncthreads();

  float sum[kGroup][kPerLane], max[kGroup], total[kGroup];
#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
    max[g] = kNone;
    total[g] = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) sum[g][i] = 0;
  }
#pragma unroll 1
  for (int first = piece.begin + warp * kKeys; first < piece.end; first += kTurn) {
    int64_t at[kKeys];
#pragma unroll
    for (int n = 0; n < kKeys; ++n)  // a key too many counts nothing below
      at[n] = offset_of(a.cache, blocks, kv_head, min(first + n, piece.end - 1));
    Own keys[kKeys], values[kTogether ? kKeys : 1];
#pragma unroll
    for (int n = 0; n < kKeys; ++n)
      keys[n].load(static_cast<const T*>(a.cache.k) + at[n], lane, dim);
    if constexpr (kTogether)
#pragma unroll
      for (int n = 0; n < kKeys; ++n)
        values[n].load(static_cast<const T*>(a.cache.v) + at[n], lane, dim);
    float score[kGroup * kKeys] = {};
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      float element[kKeys];
#pragma unroll
      for (int n = 0; n < kKeys; ++n) element[n] = keys[n].at(i);
#pragma unroll
      for (int g = 0; g < kGroup; ++g) {
        const float q = query[g * kPadded + i * kWarp + lane];
#pragma unroll
        for (int n = 0; n < kKeys; ++n)
          score[g * kKeys + n] = fmaf(q, element[n], score[g * kKeys + n]);
      }
    }
    warp_sums(score, lane);
#pragma unroll
    for (int g = 0; g < kGroup; ++g) {
      float new_max = max[g];
#pragma unroll
      for (int n = 0; n < kKeys; ++n) {
        float& s = score[g * kKeys + n];
        if (first + n >= piece.end) s = kNone;
        new_max = fmaxf(new_max, s);
      }
      const float rescale = expf(max[g] - new_max);  // 0 at the first keys
      max[g] = new_max;
      total[g] *= rescale;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) sum[g][i] *= rescale;
#pragma unroll
      for (int n = 0; n < kKeys; ++n) {
        float& s = score[g * kKeys + n];
        s = expf(s - new_max);
        total[g] += s;
      }
    }
#pragma unroll
    for (int n = 0; n < kKeys; ++n) {
      if constexpr (!kTogether) values[0].load(static_cast<const T*>(a.cache.v) + at[n], lane, dim);
      const Own& value = values[kTogether ? n : 0];
#pragma unroll
      for (int i = 0; i < kPerLane; ++i)
#pragma unroll
        for (int g = 0; g < kGroup; ++g)
          sum[g][i] = fmaf(score[g * kKeys + n], value.at(i), sum[g][i]);
    }
  }

#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int j = Own::index(lane, i);
      if (j < dim) sums_of_warps[(g * kWarps + warp) * dim + j] = sum[g][i];
    }
    if (lane == 0) {
      maxima[g * kWarps + warp] = max[g];
      totals[g * (kWarps + 2) + warp] = total[g];
    }
  }
  __syncthreads();
  share_weights<kGroup, kWarps>(maxima, totals);
  float* out = a.out + (row * a.q_heads + head) * dim;
#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
    const float* results = totals + g * (kWarps + 2) + kWarps;  // the maximum and the total
    float* to = launch.piece_at(blockIdx.z, head + g, blockIdx.y);
    for (int j = static_cast<int>(threadIdx.x); j < dim; j += blockDim.x) {
      float value = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w)
        value += sums_of_warps[(g * kWarps + w) * dim + j] * maxima[g * kWarps + w];
      if (piece.count == 1)
        out[g * dim + j] = value / results[1];
      else
        to[j] = value;
    }
    if (piece.count > 1 && threadIdx.x < 2) launch.state_of(to)[threadIdx.x] = results[threadIdx.x];
  }
}

template <typename T, int kPerLane, int kGroup>
void run(Queue queue, const AttentionArgs& a) {
  constexpr int kWarps = kWarpsFor<T, kPerLane>;
  const auto kernel = attention_kernel<T, kPerLane, kGroup>;
  const int64_t dim = a.cache.head_dim;
  const size_t shared_bytes =
      static_cast<size_t>(kGroup * (kPerLane * kWarp + kWarps * dim + 2 * kWarps + 2)) *
      sizeof(float);
  static const cudaError_t allowed =  // more than the 48 KiB that need no asking
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostShared);
  (void)allowed;  // where it failed, so does the launch
  launch_pieces(queue, a, a.q_heads / kGroup, kWarps * kWarp, shared_bytes, kernel);
}

// As many query heads at once as their sums leave registers for.
template <typename T, int kPerLane>
void run_group(Queue queue, const AttentionArgs& a) {
  constexpr int kMost = kPerLane <= 4 ? 8 : 32 / kPerLane;
  const int64_t group = a.q_heads / a.cache.heads;
  if constexpr (kMost >= 8)
    if (group % 8 == 0) return run<T, kPerLane, 8>(queue, a);
  if constexpr (kMost >= 4)
    if (group % 4 == 0) return run<T, kPerLane, 4>(queue, a);
  if constexpr (kMost >= 2)
    if (group % 2 == 0) return run<T, kPerLane, 2>(queue, a);
  run<T, kPerLane, 1>(queue, a);
}

template <typename T>
void run_dim(Queue queue, const AttentionArgs& a) {
  const int64_t dim = a.cache.head_dim;
  if (dim <= 64) return run_group<T, 2>(queue, a);
  if (dim <= 128) return run_group<T, 4>(queue, a);
  if (dim <= 256) return run_group<T, 8>(queue, a);
  if (dim <= 512) return run_group<T, 16>(queue, a);
  run_group<T, 32>(queue, a);  // as far as the table's max_head_dim
}

}  // namespace

void attention(Queue queue, const AttentionArgs& a) {
  if (can_attend_prompt(queue, a)) return attend_prompt(queue, a);
  if (can_attend_rounded(queue, a)) return attend_rounded(queue, a);
  dispatch_cache(a.cache, [&]<typename T>() { run_dim<T>(queue, a); });
}

}  // namespace gemma4::kernels::cuda

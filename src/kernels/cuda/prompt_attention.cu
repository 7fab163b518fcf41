// Attention of many rows of a sequence, on tensor cores: queries, keys, values and weights in
// bfloat16, sums and softmax in float32. A block takes neighbouring tokens with all query heads of
// one KV head, so that every key is read once for all of them, and goes through their keys tile by
// tile with a running maximum.

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/mma.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr float kNone = -INFINITY;
constexpr float kLog2E = 1.4426950408889634f;

// kDim is head_dim or more; a warp has sixteen rows of (token, head), of heads beyond 256 elements
// half of each.
template <int kHeadDim, int kNumWarps>
struct Shape {
  static constexpr int kDim = kHeadDim;
  static constexpr int kWarps = kNumWarps;
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kSplit = kDim > 256 ? 2 : 1;  // warps that share sixteen rows
  static constexpr int kRows = kWarps / kSplit * 16;
  static constexpr int kWarpDims = kDim / kSplit;
  // Of a tile, so that a thread holds 32 or, at worst, 64 elements of the next one
  static constexpr int kKeys = std::clamp(1024 * kWarps / kDim, 16, 64);
  static constexpr int kVectors = kKeys * kDim / 4 / kThreads;
  static constexpr int kStride = kDim + 8;  // elements: eight rows of a column in different banks
  static constexpr int kTile = kKeys * kStride;
  static constexpr size_t kSharedBytes =
      (kRows * kStride + 4 * kTile) * sizeof(__nv_bfloat16) +
      (kSplit > 1 ? kWarps * kKeys / 8 * 4 * kWarp * sizeof(float) : 0);
};

// The rows of a block
template <class S>
struct Rows {
  int begin[S::kRows];  // keys of its tokens
  int end[S::kRows];
  int sequence[S::kRows];
  int64_t offsets[2][S::kKeys];  // of the keys of two tiles
};

// Tokens [first, next) of a block that are of one sequence, and the keys [begin, end) of them all
struct Segment {
  int first;
  int next;
  int begin;
  int end;
};

template <class S>
__device__ inline Segment segment_from(const Rows<S>& rows, int first, int count) {
  Segment segment{first, count, 1 << 30, 0};
  const int sequence = rows.sequence[first];
  for (int i = first + static_cast<int>(threadIdx.x) % kWarp; i < count; i += kWarp)
    if (rows.sequence[i] == sequence) {
      segment.begin = min(segment.begin, rows.begin[i]);
      segment.end = max(segment.end, rows.end[i]);
    } else {
      segment.next = min(segment.next, i);
    }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    segment.begin = min(segment.begin, __shfl_xor_sync(~0u, segment.begin, offset));
    segment.end = max(segment.end, __shfl_xor_sync(~0u, segment.end, offset));
    segment.next = min(segment.next, __shfl_xor_sync(~0u, segment.next, offset));
  }
  return segment;
}

// What a warp knows of its rows: sums of values, and of the weights below the largest score; lane l
// has rows l / 4 and l / 4 + 8.
template <class S>
struct State {
  float sums[S::kWarpDims / 8][4];
  float max[2];
  float total[2];
};

template <class S>
using Scores = float[S::kKeys / 8][4];

// Scores of the warp's rows for a tile of keys
template <class S>
__device__ inline void score(const __nv_bfloat16* queries, const __nv_bfloat16* keys,
                             float* exchange, Scores<S>& scores) {
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int row = warp / S::kSplit * 16;
  const int dim = warp % S::kSplit * S::kWarpDims;
#pragma unroll
  for (auto& tile : scores)
#pragma unroll
    for (float& s : tile) s = 0;
#pragma unroll 4
  for (int k = 0; k < S::kWarpDims; k += 16) {
    uint32_t a[4];
    load_matrices(a, queries + (row + lane % 16) * S::kStride + dim + k + lane / 16 * 8);
#pragma unroll
    for (int j = 0; j < S::kKeys; j += 16) {
      uint32_t b[4];
      load_matrices(
          b, keys + (j + lane % 8 + lane / 16 * 8) * S::kStride + dim + k + lane / 8 % 2 * 8);
      multiply_add(scores[j / 8], a, b[0], b[1]);
      multiply_add(scores[j / 8 + 1], a, b[2], b[3]);
    }
  }
  if constexpr (S::kSplit > 1) {
    constexpr int kFloats = S::kKeys / 8 * 4;
    float* own = exchange + warp * kFloats * kWarp + lane;
    const float* other = exchange + (warp ^ 1) * kFloats * kWarp + lane;
#pragma unroll
    for (int i = 0; i < kFloats; ++i) own[i * kWarp] = scores[i / 4][i % 4];
    __syncthreads();
    // Both add the first half to the second, so that they agree to the bit.
#pragma unroll
    for (int i = 0; i < kFloats; ++i) scores[i / 4][i % 4] += other[i * kWarp];
  }
}

// Scores become weights; the state is scaled down to the new maximum.
template <class S>
__device__ inline void weigh(Scores<S>& scores, int first_key, const int (&begin)[2],
                             const int (&end)[2], State<S>& state) {
  const int lane = threadIdx.x % kWarp;
  float best[2] = {kNone, kNone};
#pragma unroll
  for (int j = 0; j < S::kKeys / 8; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int key = first_key + j * 8 + lane % 4 * 2 + e % 2;
      if (key < begin[e / 2] || key >= end[e / 2]) scores[j][e] = kNone;
      best[e / 2] = fmaxf(best[e / 2], scores[j][e]);
    }
  float factor[2], base[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    for (int offset = 1; offset < 4; offset *= 2)
      best[r] = fmaxf(best[r], __shfl_xor_sync(~0u, best[r], offset));
    const float max = fmaxf(state.max[r], best[r]);
    base[r] = max == kNone ? 0.0f : max * kLog2E;
    factor[r] = exp2f(state.max[r] * kLog2E - base[r]);  // 0 at the first keys
    state.max[r] = max;
    state.total[r] *= factor[r];
  }
#pragma unroll
  for (int j = 0; j < S::kKeys / 8; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      scores[j][e] = exp2f(scores[j][e] * kLog2E - base[e / 2]);
      state.total[e / 2] += scores[j][e];  // of this lane's keys
    }
#pragma unroll
  for (auto& tile : state.sums)
#pragma unroll
    for (int e = 0; e < 4; ++e) tile[e] *= factor[e / 2];
}

template <class S>
__device__ inline void add_values(const Scores<S>& weights, const __nv_bfloat16* values,
                                  State<S>& state) {
  const int lane = threadIdx.x % kWarp;
  const int dim = static_cast<int>(threadIdx.x) / kWarp % S::kSplit * S::kWarpDims;
#pragma unroll
  for (int k = 0; k < S::kKeys / 8; k += 2) {
    const uint32_t a[4] = {to_pair(weights[k][0], weights[k][1]),
                           to_pair(weights[k][2], weights[k][3]),
                           to_pair(weights[k + 1][0], weights[k + 1][1]),
                           to_pair(weights[k + 1][2], weights[k + 1][3])};
#pragma unroll
    for (int d = 0; d < S::kWarpDims / 8; d += 2) {
      uint32_t b[4];
      load_transposed(b, values + (k * 8 + lane % 16) * S::kStride + dim + d * 8 + lane / 16 * 8);
      multiply_add(state.sums[d], a, b[0], b[1]);
      multiply_add(state.sums[d + 1], a, b[2], b[3]);
    }
  }
}

// Four elements of the cache in bfloat16
__device__ inline uint2 as_pairs(uint2 v, const __nv_bfloat16*) { return v; }
__device__ inline uint2 as_pairs(uint2 v, const __half*) {
  const auto pair = [](uint32_t bits) {
    const float2 both = __half22float2(*reinterpret_cast<const __half2*>(&bits));
    return to_pair(both.x, both.y);
  };
  return {pair(v.x), pair(v.y)};
}
__device__ inline uint2 as_pairs(float4 v, const float*) {
  return {to_pair(v.x, v.y), to_pair(v.z, v.w)};
}

// Elements of a tile on their way from the cache to shared memory, in bfloat16
template <class S, typename T>
struct Fetch {
  using Vector = std::conditional_t<sizeof(T) == 4, float4, uint2>;
  Vector vectors[S::kVectors];

  __device__ void load(const T* cache, const int64_t* offsets, int dim) {
#pragma unroll
    for (int v = 0; v < S::kVectors; ++v) {
      const int i = v * S::kThreads + static_cast<int>(threadIdx.x);
      const int j = i % (S::kDim / 4) * 4;
      vectors[v] = {};
      if (j < dim)
        vectors[v] = *reinterpret_cast<const Vector*>(cache + offsets[i / (S::kDim / 4)] + j);
    }
  }
  __device__ void store(__nv_bfloat16* tile) const {
#pragma unroll
    for (int v = 0; v < S::kVectors; ++v) {
      const int i = v * S::kThreads + static_cast<int>(threadIdx.x);
      *reinterpret_cast<uint2*>(tile + i / (S::kDim / 4) * S::kStride + i % (S::kDim / 4) * 4) =
          as_pairs(vectors[v], static_cast<const T*>(nullptr));
    }
  }
};

template <class S, typename T>
__global__ void __launch_bounds__(S::kThreads) prompt_kernel(AttentionArgs a) {
  extern __shared__ __align__(128) __nv_bfloat16 shared[];
  __shared__ Rows<S> rows;
  begin();
  __nv_bfloat16* const queries = shared;
  __nv_bfloat16* const tiles = queries + S::kRows * S::kStride;  // two of keys, two of values
  auto* const exchange = reinterpret_cast<float*>(tiles + 4 * S::kTile);
  const int dim = static_cast<int>(a.cache.head_dim);
  const int group = static_cast<int>(a.q_heads / a.cache.heads);
  const int kv_head = static_cast<int>(blockIdx.y);
  const int tokens_per_block = S::kRows / group;
  // The last tokens see the most keys: they begin first.
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * tokens_per_block;
  const int count = min(tokens_per_block, static_cast<int>(a.tokens) - first);
  for (int i = threadIdx.x; i < count; i += S::kThreads) {
    rows.begin[i] = a.key_begin[first + i];
    rows.end[i] = a.key_end[first + i];
    rows.sequence[i] = a.sequence[first + i];
  }
  for (int i = threadIdx.x; i < S::kRows * S::kDim / 4; i += S::kThreads) {
    const int row = i / (S::kDim / 4);
    const int j = i % (S::kDim / 4) * 4;
    const int token = row / group;
    float4 q = {0, 0, 0, 0};
    if (token < count && j < dim)
      q = *reinterpret_cast<const float4*>(
          a.q + ((first + token) * a.q_heads + kv_head * group + row % group) * dim + j);
    *reinterpret_cast<uint2*>(queries + row * S::kStride + j) = {to_pair(q.x, q.y),
                                                                 to_pair(q.z, q.w)};
  }
  __syncthreads();

  const int lane = threadIdx.x % kWarp;
  const int own_row = static_cast<int>(threadIdx.x) / kWarp / S::kSplit * 16 + lane / 4;
  State<S> state;
#pragma unroll
  for (auto& tile : state.sums)
#pragma unroll
    for (float& sum : tile) sum = 0;
  for (int r = 0; r < 2; ++r) {
    state.max[r] = kNone;
    state.total[r] = 0;
  }

  for (int token = 0; token < count;) {
    const Segment segment = segment_from<S>(rows, token, count);
    int begin[2], end[2];
    for (int r = 0; r < 2; ++r) {
      const int own = (own_row + 8 * r) / group;
      const bool in = own >= segment.first && own < segment.next;
      begin[r] = in ? rows.begin[own] : 0;
      end[r] = in ? rows.end[own] : 0;
    }
    const int32_t sequence = rows.sequence[token];
    const int32_t* blocks = a.block_table + a.table_offset[sequence] - a.table_first[sequence];
    const auto find_keys = [&](int tile) {
      const int key =
          min(segment.begin + tile * S::kKeys + static_cast<int>(threadIdx.x), segment.end - 1);
      if (threadIdx.x < S::kKeys)
        rows.offsets[tile % 2][threadIdx.x] = offset_of(a.cache, blocks, kv_head, key);
    };
    const int num_tiles = ceil_div(segment.end - segment.begin, S::kKeys);
    const auto* const cached_keys = static_cast<const T*>(a.cache.k);
    const auto* const cached_values = static_cast<const T*>(a.cache.v);
    Fetch<S, T> fetch;
    __syncthreads();  // the segment before may still be read
    find_keys(0);
    find_keys(1);
    __syncthreads();
    fetch.load(cached_keys, rows.offsets[0], dim);
    fetch.store(tiles);
    fetch.load(cached_values, rows.offsets[0], dim);
    fetch.store(tiles + 2 * S::kTile);
    __syncthreads();
    for (int i = 0; i < num_tiles; ++i) {
      __nv_bfloat16* const keys = tiles + i % 2 * S::kTile;
      __nv_bfloat16* const values = keys + 2 * S::kTile;
      __nv_bfloat16* const next_keys = tiles + (i + 1) % 2 * S::kTile;
      const bool has_next = i + 1 < num_tiles;
      Scores<S> scores;
      if (has_next) fetch.load(cached_keys, rows.offsets[(i + 1) % 2], dim);
      score<S>(queries, keys, exchange, scores);
      if (has_next) {
        fetch.store(next_keys);
        fetch.load(cached_values, rows.offsets[(i + 1) % 2], dim);
      }
      weigh<S>(scores, segment.begin + i * S::kKeys, begin, end, state);
      add_values<S>(scores, values, state);
      if (has_next) {
        fetch.store(next_keys + 2 * S::kTile);
        find_keys(i + 2);
      }
      __syncthreads();
    }
    token = segment.next;
  }

  const int first_dim = static_cast<int>(threadIdx.x) / kWarp % S::kSplit * S::kWarpDims;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float total = state.total[r];
    for (int offset = 1; offset < 4; offset *= 2) total += __shfl_xor_sync(~0u, total, offset);
    const int row = own_row + 8 * r;
    const int own = row / group;
    if (own >= count) continue;
    float* out = a.out + ((first + own) * a.q_heads + kv_head * group + row % group) * dim;
#pragma unroll
    for (int d = 0; d < S::kWarpDims / 8; ++d) {
      const int j = first_dim + d * 8 + lane % 4 * 2;
      if (j < dim)
        *reinterpret_cast<float2*>(out + j) = {state.sums[d][2 * r] / total,
                                               state.sums[d][2 * r + 1] / total};
    }
  }
}

template <class S, typename T>
void run(Queue queue, const AttentionArgs& a) {
  static const cudaError_t allowed =
      cudaFuncSetAttribute(prompt_kernel<S, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(S::kSharedBytes));
  (void)allowed;  // where it failed, so does the launch
  const int64_t tokens_per_block = S::kRows / (a.q_heads / a.cache.heads);
  const dim3 grid(static_cast<unsigned>(ceil_div(a.tokens, tokens_per_block)),
                  static_cast<unsigned>(a.cache.heads));
  launch(queue, grid, S::kThreads, S::kSharedBytes, prompt_kernel<S, T>, a);
}

template <int kDim>
void run_dim(Queue queue, const AttentionArgs& a) {
  constexpr int64_t kCard = 100;  // most of the multiprocessors of a large card
  using Large = Shape<kDim, 8>;
  // Larger blocks read less, if there are enough of them.
  const bool is_large = a.tokens * a.q_heads >= kCard * Large::kRows;
  dispatch_cache(a.cache, [&]<typename T>() {
    is_large ? run<Large, T>(queue, a) : run<Shape<kDim, 4>, T>(queue, a);
  });
}

}  // namespace

bool can_attend_prompt(Queue queue, const AttentionArgs& a) {
  constexpr int64_t kLeastTokens = 32;
  constexpr int64_t kLeastOfSequence = 8;  // on average
  return queue.activations == Activations::kBFloat16 && a.sequences > 0 &&
         a.tokens >= kLeastTokens && a.tokens >= kLeastOfSequence * a.sequences &&
         a.cache.head_dim % 4 == 0 && a.cache.head_dim <= 512 && a.q_heads / a.cache.heads <= 32;
}

void attend_prompt(Queue queue, const AttentionArgs& a) {
  const int64_t dim = a.cache.head_dim;
  if (dim <= 128) return run_dim<128>(queue, a);
  if (dim <= 256) return run_dim<256>(queue, a);
  run_dim<512>(queue, a);
}

}  // namespace gemma4::kernels::cuda

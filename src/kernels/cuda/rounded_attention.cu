// Attention of a few rows on tensor cores: queries, keys, values and weights in bfloat16, sums and
// softmax in float32. A block takes a piece of the keys with all query heads of one KV head: first
// every warp scores some keys, then every warp sums the values of all of them for its share of
// the elements. Keys and values go from memory straight into the registers where products want
// them, since neither a sum over elements nor the elements of a sum care for their order.

#include "kernels/cuda/attention_pieces.cuh"
#include "kernels/cuda/mma.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kTurn = 64;   // keys of a block at once
constexpr int kTile = 8;    // of them, the columns of a product
constexpr int kHeads = 8;   // of a product; some may be missing
constexpr int kShare = 64;  // elements whose values a warp sums
constexpr int kMostWarps = 8;
constexpr float kLog2E = 1.4426950408889634f;

// Queries or keys of lane l: of row l / 4 the elements 32 i + 8 (l % 4) and the next seven.
template <int kDim>
using RowShare = uint4[kDim / 32];

// A warp's keys
template <int kDim>
struct Keys {
  static constexpr int kWarps = kDim / kShare;
  static constexpr int kTiles = kTurn / kTile / kWarps;
  RowShare<kDim> tiles[kTiles];

  __device__ void load(const __nv_bfloat16* cache, const int64_t (&at)[kTiles], int lane) {
#pragma unroll
    for (int h = 0; h < kTiles; ++h)
#pragma unroll
      for (int i = 0; i < kDim / 32; ++i)
        tiles[h][i] = *reinterpret_cast<const uint4*>(cache + at[h] + 32 * i + lane % 4 * 8);
  }
};

// Values of sixteen keys, of a warp's share of the elements: lane l has keys 2 (l % 4), the next
// one, and those eight further on, and of each the elements 8 (l / 4) and the next seven.
struct Values {
  uint4 rows[4];

  __device__ void load(const __nv_bfloat16* share, const int64_t (&at)[4], int lane) {
#pragma unroll
    for (int n = 0; n < 4; ++n)
      rows[n] = *reinterpret_cast<const uint4*>(share + at[n] + lane / 4 * 8);
  }
  __device__ static uint32_t word_of(const uint4& v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
  }
  // sums[t] += elements 8 r + 2 t (and, as rows 8 to 15, 8 r + 2 t + 1) of the values · weights
  __device__ void add(float (&sums)[4][4], uint32_t low, uint32_t high) const {
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      uint32_t word[4];
#pragma unroll
      for (int n = 0; n < 4; ++n) word[n] = word_of(rows[n], t);
      const uint32_t a[4] = {
          __byte_perm(word[0], word[1], 0x5410), __byte_perm(word[0], word[1], 0x7632),
          __byte_perm(word[2], word[3], 0x5410), __byte_perm(word[2], word[3], 0x7632)};
      multiply_add(sums[t], a, low, high);
    }
  }
};

struct Exchange {
  float maxima[kMostWarps][kHeads];
  float totals[kMostWarps][kHeads];
  uint32_t weights[kTurn / kTile][kWarp];  // as the second factor of a product
};

template <int kDim>
__global__ void __launch_bounds__(Keys<kDim>::kWarps* kWarp) rounded_kernel(Launch launch) {
  constexpr int kWarps = Keys<kDim>::kWarps;
  constexpr int kTiles = Keys<kDim>::kTiles;
  constexpr int kSteps = kTurn / 16;  // products over keys
  __shared__ Exchange exchange;
  allow_next();
  const AttentionArgs& a = launch.args;
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int64_t row = launch.first_row + blockIdx.z;
  const int group = static_cast<int>(a.q_heads / a.cache.heads);
  const int64_t kv_head = blockIdx.x;
  // What a step was given, and keys and values of the steps before it, are there already.
  const int end = a.key_end[row];
  const Piece piece = piece_of(a.key_begin[row], end, static_cast<int>(blockIdx.y));
  if (static_cast<int>(blockIdx.y) >= piece.count) return;
  const int old_end = end - static_cast<int>(a.tokens);
  const int64_t sequence = a.sequence[row];
  const int32_t* const blocks = a.block_table + a.table_offset[sequence] - a.table_first[sequence];
  const auto* const cached_keys = static_cast<const __nv_bfloat16*>(a.cache.k);
  const auto* const share = static_cast<const __nv_bfloat16*>(a.cache.v) + warp * kShare;
  const auto offset = [&](int key) {  // a key too many counts nothing
    return offset_of(a.cache, blocks, kv_head, min(key, piece.end - 1));
  };
  Keys<kDim> keys;
  const auto load_keys = [&](int first) {
    int64_t at[kTiles];
#pragma unroll
    for (int h = 0; h < kTiles; ++h) at[h] = offset(first + (warp * kTiles + h) * kTile + lane / 4);
    keys.load(cached_keys, at, lane);
  };
  Values values[kSteps];
  const auto load_values = [&](int first) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      int64_t at[4];
#pragma unroll
      for (int n = 0; n < 4; ++n) at[n] = offset(first + s * 16 + lane % 4 * 2 + n % 2 + n / 2 * 8);
      values[s].load(share, at, lane);
    }
  };
  const bool ahead = piece.begin + kTurn <= old_end;
  if (ahead) {
    load_keys(piece.begin);
    load_values(piece.begin);
  }
  wait_for_inputs();
  RowShare<kDim> query;
  const bool is_head = lane / 4 < group;
  const float* const own_query =
      a.q + (row * a.q_heads + kv_head * group + (is_head ? lane / 4 : 0)) * kDim + lane % 4 * 8;
#pragma unroll
  for (int i = 0; i < kDim / 32; ++i) {
    float4 low = {0, 0, 0, 0};
    float4 high = {0, 0, 0, 0};
    if (is_head) {
      low = *reinterpret_cast<const float4*>(own_query + 32 * i);
      high = *reinterpret_cast<const float4*>(own_query + 32 * i + 4);
    }
    query[i] = {to_pair(low.x, low.y), to_pair(low.z, low.w), to_pair(high.x, high.y),
                to_pair(high.z, high.w)};
  }

  float sums[4][4] = {};
  float max = kNone;                 // of head lane / 4
  float total = 0;                   // of it, and this warp's keys
  float max_of[2] = {kNone, kNone};  // of heads 2 (lane % 4) and the next, which `sums` are of
#pragma unroll 1
  for (int first = piece.begin; first < piece.end; first += kTurn) {
    if (first > piece.begin || !ahead) {
      load_keys(first);
      load_values(first);
    }
    float scores[kTiles][4] = {};
#pragma unroll
    for (int i = 0; i < kDim / 32; ++i)
#pragma unroll
      for (int h = 0; h < kTiles; ++h) {
        const uint32_t low[4] = {query[i].x, 0, query[i].y, 0};
        const uint32_t high[4] = {query[i].z, 0, query[i].w, 0};
        multiply_add(scores[h], low, keys.tiles[h][i].x, keys.tiles[h][i].y);
        multiply_add(scores[h], high, keys.tiles[h][i].z, keys.tiles[h][i].w);
      }
    float best = kNone;
#pragma unroll
    for (int h = 0; h < kTiles; ++h)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int key = first + (warp * kTiles + h) * kTile + lane % 4 * 2 + e;
        scores[h][e] = key < piece.end ? scores[h][e] * kLog2E : kNone;
        best = fmaxf(best, scores[h][e]);
      }
    best = fmaxf(best, __shfl_xor_sync(~0u, best, 1));
    best = fmaxf(best, __shfl_xor_sync(~0u, best, 2));
    if (lane % 4 == 0) exchange.maxima[warp][lane / 4] = best;
    __syncthreads();
    const auto new_max = [&](float old, int head) {
#pragma unroll
      for (int w = 0; w < kWarps; ++w) old = fmaxf(old, exchange.maxima[w][head]);
      return old;
    };
    const float old_max = max;
    max = new_max(max, lane / 4);
    total *= exp2f(old_max - max);  // 0 at the first keys
#pragma unroll
    for (int h = 0; h < kTiles; ++h) {
      const float low = exp2f(scores[h][0] - max);
      const float high = exp2f(scores[h][1] - max);
      total += low + high;  // of this lane's keys
      exchange.weights[warp * kTiles + h][lane] = to_pair(low, high);
    }
    float factor[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const float old = max_of[e];
      max_of[e] = new_max(old, lane % 4 * 2 + e);
      factor[e] = exp2f(old - max_of[e]);
    }
#pragma unroll
    for (auto& four : sums)
#pragma unroll
      for (int e = 0; e < 4; ++e) four[e] *= factor[e % 2];
    __syncthreads();
#pragma unroll
    for (int s = 0; s < kSteps; ++s)
      values[s].add(sums, exchange.weights[2 * s][lane], exchange.weights[2 * s + 1][lane]);
  }

  total += __shfl_xor_sync(~0u, total, 1);
  total += __shfl_xor_sync(~0u, total, 2);
  if (lane % 4 == 0) {
    exchange.totals[warp][lane / 4] = total;
    if (warp == 0) exchange.maxima[0][lane / 4] = max;
  }
  __syncthreads();
  const auto total_of = [&](int head) {
    float all = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) all += exchange.totals[w][head];
    return all;
  };
  float* const out = a.out + (row * a.q_heads + kv_head * group) * kDim;
  const auto place = [&](int head) {
    return launch.piece_at(blockIdx.z, kv_head * group + head, blockIdx.y);
  };
#pragma unroll
  for (int e = 0; e < 2; ++e) {
    const int head = lane % 4 * 2 + e;
    if (head >= group) continue;
    const float scale = piece.count == 1 ? 1.0f / total_of(head) : 1.0f;
    float* const to =
        (piece.count == 1 ? out + head * kDim : place(head)) + warp * kShare + lane / 4 * 8;
#pragma unroll
    for (int t = 0; t < 4; ++t)
      *reinterpret_cast<float2*>(to + 2 * t) = {sums[t][e] * scale, sums[t][e + 2] * scale};
  }
  if (piece.count > 1 && static_cast<int>(threadIdx.x) < group) {
    constexpr float kLn2 = 0.6931471805599453f;  // pieces are added up with natural exponents
    float* const state = launch.state_of(place(static_cast<int>(threadIdx.x)));
    state[0] = exchange.maxima[0][threadIdx.x] * kLn2;
    state[1] = total_of(static_cast<int>(threadIdx.x));
  }
}

}  // namespace

bool can_attend_rounded(Queue queue, const AttentionArgs& a) {
  return queue.activations == Activations::kBFloat16 && a.cache.dtype == DType::kBF16 &&
         (a.cache.head_dim == 256 || a.cache.head_dim == 512) &&
         a.q_heads / a.cache.heads <= kHeads;
}

void attend_rounded(Queue queue, const AttentionArgs& a) {
  if (a.cache.head_dim == 256)
    return launch_pieces(queue, a, a.cache.heads, Keys<256>::kWarps * kWarp, 0,
                         rounded_kernel<256>);
  launch_pieces(queue, a, a.cache.heads, Keys<512>::kWarps * kWarp, 0, rounded_kernel<512>);
}

}  // namespace gemma4::kernels::cuda

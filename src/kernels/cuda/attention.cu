// Attention over the block cache. A row's keys are cut into pieces by their number alone; a block
// of threads takes one piece for the query heads of one KV head, so that keys are read once for
// them. The last block of a row to finish adds the pieces up in their order.

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kKeys = 4;  // a warp's keys at once: their loads and sums overlap
constexpr int kMostPieces = 64;
constexpr int kLeastKeys = 128;  // of a piece: fewer cost as much to add up as to read
constexpr int kMostShared = 80 << 10;
constexpr float kNone = -INFINITY;

// The keys that one block sees
struct Piece {
  int begin;
  int end;
  int count;  // pieces of the row
};

__device__ Piece piece_of(int begin, int end, int index) {
  const int keys = end - begin;
  const int size = ceil_div(ceil_div(keys, kMostPieces), kLeastKeys) * kLeastKeys;
  const int first = begin + index * size;
  return {first, min(first + size, end), ceil_div(keys, size)};
}

// Where the pieces of one query head of one row go: for each piece a maximum, a total and dim sums
__host__ __device__ constexpr int64_t piece_floats(int64_t dim) { return dim + 2; }

struct Launch {
  AttentionArgs args;
  int64_t first_row;
  unsigned* finished;  // [rows, Hq / kGroup], zero between launches
  float* pieces;       // [rows, Hq, kMostPieces, piece_floats]
};

// out = Σ sums · exp(max - best) / Σ totals · exp(max - best) over the pieces of `heads` heads.
__device__ void add_up(const float* pieces, float* out, int64_t count, int64_t dim, int heads) {
  for (int64_t i = threadIdx.x; i < heads * dim; i += blockDim.x) {
    const float* first = pieces + i / dim * kMostPieces * piece_floats(dim);
    float best = kNone;
    for (int64_t p = 0; p < count; ++p) best = fmaxf(best, __ldcg(first + p * piece_floats(dim)));
    float value = 0;
    float total = 0;
#pragma unroll 4
    for (int64_t p = 0; p < count; ++p) {
      const float* piece = first + p * piece_floats(dim);
      const float weight = expf(__ldcg(piece) - best);
      total += __ldcg(piece + 1) * weight;
      value += __ldcg(piece + 2 + i % dim) * weight;
    }
    out[i] = value / total;
  }
}

// A warp's elements of kKeys rows of the cache. All loads are in flight at once.
template <int kPerLane>
__device__ inline void load_rows(const float* cache, const int64_t (&at)[kKeys], int lane,
                                 int64_t dim, float (&out)[kPerLane][kKeys]) {
#pragma unroll
  for (int n = 0; n < kKeys; ++n)
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int64_t j = lane + i * kWarp;
      out[i][n] = j < dim ? cache[at[n] + j] : 0.0f;
    }
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
template <int kPerLane>
constexpr int kWarpsFor = kPerLane <= 8 ? 16 : 8;

// Lane l holds elements l, l + 32, … of a head: kPerLane of them cover head_dim.
template <int kPerLane, int kGroup>
__global__ void __launch_bounds__(kWarpsFor<kPerLane>* kWarp) attention_kernel(Launch launch) {
  constexpr int kWarps = kWarpsFor<kPerLane>;
  constexpr int kTurn = kWarps * kKeys;
  const AttentionArgs& a = launch.args;
  // [kGroup][dim] queries, [kGroup][kWarps][dim] sums, [kGroup][kWarps] maxima, [kGroup][kWarps +
  // 2] totals
  extern __shared__ float shared[];
  __shared__ bool is_last;
  begin();
  const int64_t dim = a.cache.head_dim;
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
  float* warp_sums = query + kGroup * dim;
  float* maxima = warp_sums + kGroup * kWarps * dim;
  float* totals = maxima + kGroup * kWarps;

  for (int64_t i = threadIdx.x; i < kGroup * dim; i += blockDim.x)
    query[i] = a.q[(row * a.q_heads + head) * dim + i];
  __syncthreads();

  float sum[kGroup][kPerLane], max[kGroup], total[kGroup];
#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
    max[g] = kNone;
    total[g] = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) sum[g][i] = 0;
  }
  for (int first = piece.begin + warp * kKeys; first < piece.end; first += kTurn) {
    int64_t at[kKeys];
#pragma unroll
    for (int n = 0; n < kKeys; ++n)  // a key too many counts nothing below
      at[n] = offset_of(a.cache, blocks, kv_head, min(first + n, piece.end - 1));
    float rows[kPerLane][kKeys];
    load_rows<kPerLane>(static_cast<const float*>(a.cache.k), at, lane, dim, rows);
    float score[kGroup][kKeys] = {};
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int64_t j = min(lane + i * kWarp, static_cast<int>(dim) - 1);  // times 0 past the end
#pragma unroll
      for (int g = 0; g < kGroup; ++g) {
        const float element = query[g * dim + j];
#pragma unroll
        for (int n = 0; n < kKeys; ++n) score[g][n] = fmaf(element, rows[i][n], score[g][n]);
      }
    }
    load_rows<kPerLane>(static_cast<const float*>(a.cache.v), at, lane, dim, rows);
#pragma unroll
    for (int g = 0; g < kGroup; ++g) {
      float new_max = max[g];
#pragma unroll
      for (int n = 0; n < kKeys; ++n) {
        const float whole = warp_sum(score[g][n]);
        score[g][n] = first + n < piece.end ? whole : kNone;
        new_max = fmaxf(new_max, score[g][n]);
      }
      const float rescale = expf(max[g] - new_max);  // 0 at the first keys
      max[g] = new_max;
      total[g] *= rescale;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) sum[g][i] *= rescale;
#pragma unroll
      for (int n = 0; n < kKeys; ++n) {
        score[g][n] = expf(score[g][n] - new_max);
        total[g] += score[g][n];
      }
    }
#pragma unroll
    for (int i = 0; i < kPerLane; ++i)
#pragma unroll
      for (int n = 0; n < kKeys; ++n)
#pragma unroll
        for (int g = 0; g < kGroup; ++g) sum[g][i] = fmaf(score[g][n], rows[i][n], sum[g][i]);
  }

#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int64_t j = lane + i * kWarp;
      if (j < dim) warp_sums[(g * kWarps + warp) * dim + j] = sum[g][i];
    }
    if (lane == 0) {
      maxima[g * kWarps + warp] = max[g];
      totals[g * (kWarps + 2) + warp] = total[g];
    }
  }
  __syncthreads();
  share_weights<kGroup, kWarps>(maxima, totals);
  float* pieces = launch.pieces + (static_cast<int64_t>(blockIdx.z) * a.q_heads + head) *
                                      kMostPieces * piece_floats(dim);
  float* out = a.out + (row * a.q_heads + head) * dim;
#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
    const float* results = totals + g * (kWarps + 2) + kWarps;  // the maximum and the total
    float* to = pieces + (g * kMostPieces + static_cast<int64_t>(blockIdx.y)) * piece_floats(dim);
    for (int64_t j = threadIdx.x; j < dim; j += blockDim.x) {
      float value = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w)
        value += warp_sums[(g * kWarps + w) * dim + j] * maxima[g * kWarps + w];
      if (piece.count == 1)
        out[g * dim + j] = value / results[1];
      else
        to[2 + j] = value;
    }
    if (threadIdx.x < 2) to[threadIdx.x] = results[threadIdx.x];
  }
  if (piece.count == 1) return;

  __threadfence();  // the piece is there for all before it is counted
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned* finished = launch.finished + blockIdx.z * gridDim.x + blockIdx.x;
    is_last = atomicAdd(finished, 1) + 1 == static_cast<unsigned>(piece.count);
    if (is_last) *finished = 0;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  add_up(pieces, out, piece.count, dim, kGroup);
}

unsigned most_pieces(int64_t most_keys) {
  if (most_keys == 0) return kMostPieces;
  return static_cast<unsigned>(
      std::min<int64_t>(kMostPieces, ceil_div<int64_t>(most_keys, kLeastKeys)));
}

template <int kPerLane, int kGroup>
void run(Queue queue, const AttentionArgs& a) {
  constexpr int kWarps = kWarpsFor<kPerLane>;
  const int64_t dim = a.cache.head_dim;
  const size_t shared_bytes =
      static_cast<size_t>(kGroup * ((kWarps + 1) * dim + 2 * kWarps + 2)) * sizeof(float);
  static const cudaError_t allowed =  // more than the 48 KiB that need no asking
      cudaFuncSetAttribute(attention_kernel<kPerLane, kGroup>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, kMostShared);
  (void)allowed;  // where it failed, so does the launch
  const int64_t row_bytes =
      a.q_heads * kMostPieces * piece_floats(dim) * static_cast<int64_t>(sizeof(float));
  const int64_t rows_at_once =
      std::min(static_cast<int64_t>(kFreeScratchBytes) / row_bytes,
               static_cast<int64_t>(kCounterBytes / sizeof(unsigned)) / a.q_heads);
  for (int64_t row = 0; row < a.tokens; row += rows_at_once) {
    const dim3 grid(static_cast<unsigned>(a.q_heads / kGroup), most_pieces(a.most_keys),
                    static_cast<unsigned>(std::min(rows_at_once, a.tokens - row)));
    launch(queue, grid, kWarps * kWarp, shared_bytes, attention_kernel<kPerLane, kGroup>,
           Launch{a, row, counters(queue), reinterpret_cast<float*>(free_scratch(queue))});
  }
}

// As many query heads at once as their sums leave registers for.
template <int kPerLane>
void run_group(Queue queue, const AttentionArgs& a) {
  constexpr int kMost = kPerLane <= 4 ? 8 : 32 / kPerLane;
  const int64_t group = a.q_heads / a.cache.heads;
  if constexpr (kMost >= 8)
    if (group % 8 == 0) return run<kPerLane, 8>(queue, a);
  if constexpr (kMost >= 4)
    if (group % 4 == 0) return run<kPerLane, 4>(queue, a);
  if constexpr (kMost >= 2)
    if (group % 2 == 0) return run<kPerLane, 2>(queue, a);
  run<kPerLane, 1>(queue, a);
}

}  // namespace

void attention(Queue queue, const AttentionArgs& a) {
  if (can_attend_prompt(queue, a)) return attend_prompt(queue, a);
  const int64_t dim = a.cache.head_dim;
  if (dim <= 64) return run_group<2>(queue, a);
  if (dim <= 128) return run_group<4>(queue, a);
  if (dim <= 256) return run_group<8>(queue, a);
  if (dim <= 512) return run_group<16>(queue, a);
  run_group<32>(queue, a);  // as far as the table's max_head_dim
}

}  // namespace gemma4::kernels::cuda

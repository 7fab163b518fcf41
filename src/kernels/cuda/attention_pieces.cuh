// Attention whose keys are cut into pieces by the row's number of keys alone; a block of threads
// takes one, and the last block of a row to finish adds the pieces up in their order.
#pragma once

#include "kernels/cuda/attention.cuh"

namespace gemma4::kernels::cuda {

constexpr int kMostPieces = 64;
constexpr int kLeastKeys = 64;  // of a piece: one turn of a block
constexpr float kNone = -INFINITY;

// The keys that one block sees
struct Piece {
  int begin;
  int end;
  int count;  // pieces of the row
};

__device__ inline Piece piece_of(int begin, int end, int index) {
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
// `weights` [heads][kMostPieces] is shared memory.
__device__ inline void add_up(const float* pieces, float* out, int count, int64_t dim, int heads,
                              float* weights) {
  const int lane = threadIdx.x % kWarp;
  for (int head = threadIdx.x / kWarp; head < heads; head += blockDim.x / kWarp) {
    constexpr int kEach = kMostPieces / kWarp;
    float max[kEach], total[kEach];
    float best = kNone;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int p = lane + i * kWarp;
      const float* piece = pieces + (head * kMostPieces + p) * piece_floats(dim);
      max[i] = p < count ? __ldcg(piece) : kNone;
      total[i] = p < count ? __ldcg(piece + 1) : 0.0f;
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
    for (int i = 0; i < kEach; ++i) weights[head * kMostPieces + lane + i * kWarp] = max[i] / sum;
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < heads * dim; i += blockDim.x) {
    const float* first = pieces + i / dim * kMostPieces * piece_floats(dim) + 2 + i % dim;
    const float* weight = weights + i / dim * kMostPieces;
    float value = 0;
#pragma unroll 8
    for (int p = 0; p < count; ++p) value += __ldcg(first + p * piece_floats(dim)) * weight[p];
    out[i] = value;
  }
}

inline unsigned most_pieces(int64_t most_keys) {
  if (most_keys == 0) return kMostPieces;
  return static_cast<unsigned>(
      std::min<int64_t>(kMostPieces, ceil_div<int64_t>(most_keys, kLeastKeys)));
}

// Runs kernel(Launch) for as many rows at once as there is scratch memory for; grid.z becomes their
// number.
inline void launch_rows(Queue queue, const AttentionArgs& a, dim3 grid, int threads,
                        size_t shared_bytes, void (*kernel)(Launch)) {
  const int64_t row_bytes = a.q_heads * kMostPieces * piece_floats(a.cache.head_dim) *
                            static_cast<int64_t>(sizeof(float));
  const int64_t rows_at_once =
      std::min(static_cast<int64_t>(kFreeScratchBytes) / row_bytes,
               static_cast<int64_t>(kCounterBytes / sizeof(unsigned)) / a.q_heads);
  for (int64_t row = 0; row < a.tokens; row += rows_at_once) {
    grid.z = static_cast<unsigned>(std::min(rows_at_once, a.tokens - row));
    launch(queue, grid, threads, shared_bytes, kernel,
           Launch{a, row, counters(queue), reinterpret_cast<float*>(free_scratch(queue))});
  }
}

}  // namespace gemma4::kernels::cuda

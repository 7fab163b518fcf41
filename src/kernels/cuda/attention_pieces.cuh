// Attention whose keys are cut into pieces by the row's number of keys alone. A block of threads
// takes one; where there are several, another kernel adds them up in their order.
#pragma once

#include "kernels/cuda/attention.cuh"

namespace gemma4::kernels::cuda {

constexpr int kMostPieces = 128;
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

// Where the pieces of one query head of one row go: for each piece dim sums, which start at whole
// vectors of four, a maximum and a total
__host__ __device__ constexpr int64_t piece_floats(int64_t dim) {
  return ceil_div<int64_t>(dim, 4) * 4 + 4;
}

struct Launch {
  AttentionArgs args;
  int64_t first_row;
  int most_pieces;  // of a row
  float* pieces;    // [rows, Hq, most_pieces, piece_floats]

  __device__ float* piece_at(int64_t row, int64_t head, int64_t piece) const {
    return pieces +
           ((row * args.q_heads + head) * most_pieces + piece) * piece_floats(args.cache.head_dim);
  }
  // The maximum and total of a piece
  __device__ float* state_of(float* piece) const {
    return piece + piece_floats(args.cache.head_dim) - 4;
  }
};

inline int most_pieces(int64_t most_keys) {
  if (most_keys == 0) return kMostPieces;
  return static_cast<int>(std::min<int64_t>(kMostPieces, ceil_div<int64_t>(most_keys, kLeastKeys)));
}

// Runs kernel(Launch) on blocks of one piece and row each, `heads` of them beside each other, and
// adds the pieces up; as many rows at once as there is scratch memory for.
void launch_pieces(Queue queue, const AttentionArgs& a, int64_t heads, int threads,
                   size_t shared_bytes, void (*kernel)(Launch));

}  // namespace gemma4::kernels::cuda

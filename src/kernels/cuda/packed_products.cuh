// Products with packed weights; see packed_single.cu, packed_few.cu and packed_products.cu.
#pragma once

#include "kernels/cuda/packed.cuh"
#include "kernels/cuda/products.cuh"

namespace gemma4::kernels::cuda {

// One launch: out_i = form of weight_i · x, for up to three weights of one input.
struct PackedLaunch {
  static constexpr int kMost = LinearGroupArgs::kMost;
  struct Part {
    const std::byte* weight;  // packed [rows, depth]
    const std::byte* up;      // of a gated product, the second matrix; else null
    float* out;               // [tokens, rows]
    int rows;
    unsigned first_block;  // set by the launch
  };
  const float* x;  // [tokens, depth], or a row for every `rows_per_x` ones below
  int64_t tokens;
  int depth;
  int count;
  Part parts[kMost];
  Form form;
  const float* multiplier;  // of kMultiplied: rows `multiplier_stride` elements apart
  int64_t multiplier_stride;
  // Where these are set, row t takes expert experts[t] of the weights, which lie `expert_bytes`
  // apart, and row t / rows_per_x of x.
  const int32_t* experts;
  int64_t expert_bytes;
  int rows_per_x;
};

inline int tiles_of(const PackedLaunch& a) {
  int tiles = 0;
  for (int i = 0; i < a.count; ++i) tiles += ceil_div(a.parts[i].rows, kTileRows);
  return tiles;
}
// How many of `most` warps, a power of two, share a tile, so that `enough` of them read.
inline int warps_per_tile(const PackedLaunch& a, int64_t turns, int most, int64_t enough) {
  int warps = 1;
  while (warps < most && tiles_of(a) * turns * warps < enough && pieces_of(a.depth) >= 2 * warps)
    warps *= 2;
  return warps;
}
// Gives every part blocks of `tiles_per_block`, one part after the other; returns their number.
inline unsigned share_out(PackedLaunch& a, int tiles_per_block) {
  unsigned num_blocks = 0;
  for (int i = 0; i < a.count; ++i) {
    a.parts[i].first_block = num_blocks;
    num_blocks +=
        static_cast<unsigned>(ceil_div(ceil_div(a.parts[i].rows, kTileRows), tiles_per_block));
  }
  return num_blocks;
}
__device__ inline const PackedLaunch::Part& part_of_block(const PackedLaunch& a) {
  int i = 0;
  while (i + 1 < a.count && blockIdx.x >= a.parts[i + 1].first_block) ++i;
  return a.parts[i];
}

// Products of one row, or of every expert's row of its own, where activations are bfloat16.
bool fits_single(Queue queue, const PackedLaunch& a);
void multiply_single(Queue queue, DType dtype, const PackedLaunch& a);

// Products whose inputs, of up to eight columns, fit beside each other in shared memory; every
// expert's row of its own.
bool fits_few(Queue queue, DType dtype, const PackedLaunch& a);
void multiply_few(Queue queue, DType dtype, PackedLaunch a);

// Any number of rows.
void multiply_packed(Queue queue, DType dtype, const PackedLaunch& a);

// Up to `tile_tokens` neighbouring pairs of a token with the same expert
struct ExpertTile {
  int expert;
  int first;
  int count;  // 0: no tile
};

// (token, choice) pairs sorted by expert
struct ExpertGroups {
  const ExpertTile* tiles;  // [num_tiles]
  const int32_t* sources;   // [pairs] rows of the input; null: pair p has row p
  int num_tiles;
  int tile_tokens;  // one of those below
};
inline int expert_tile_tokens(Queue queue, int64_t pairs, int64_t num_experts) {
  if (queue.activations == Activations::kFloat32) return 16;
  const int64_t average = pairs / num_experts;
  return average <= 6 ? 8 : average <= 24 ? 32 : 64;
}

// out [pairs, rows] = form of the expert's weight · x of each pair; x has `x_rows` rows, at most
// most_packed_tokens().
void multiply_grouped(Queue queue, DType dtype, const PackedLaunch& a, int64_t x_rows,
                      const ExpertGroups& groups);

}  // namespace gemma4::kernels::cuda

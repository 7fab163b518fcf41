// One tile of a product by `wgmma`: 64 or 128 packed weight rows and another 64 or 128, or those of
// a gate and its `up`, with up to 128 tokens. See packed_wide.cu.
#pragma once

#include "kernels/cuda/half_columns.cuh"
#include "kernels/cuda/packed_half.cuh"
#include "kernels/cuda/packed_products.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace gemma4::kernels::cuda::wide {

constexpr int kGroupThreads = 4 * kWarp;
constexpr int kTilesOfWarp = 2;  // two of a weight, or one of a gate and one of its `up`
constexpr int kMostShared = 227 << 10;

struct Product {
  const std::byte* blocks;  // of HalfColumns
  const float* factors;
  int num_blocks;
  const std::byte* weight;  // tiles of packed rows
  const std::byte* up;      // or null
  float* out;               // [T, rows]
  Form form;
  const float* multiplier;
  int64_t multiplier_stride;
  int tokens;
  int rows;
  int pieces;                // of K
  float4* partial;           // [parts, tiles, vectors of a thread, threads]
  unsigned* finished;        // [tiles], zero between launches
  const ExpertTile* groups;  // or null: all tokens and one weight
  int64_t expert_bytes;
};

// A block has kGroups groups of four warps, each with kTilesOfWarp · 64 weight rows, and kCols
// tokens.
template <Packing kPacking, int kGroups, int kCols>
struct Shape {
  static constexpr int kConsumers = kGroups * kGroupThreads;
  // Two groups need more registers than a third can have: it gives its own away.
  static constexpr bool kShifts = kGroups > 1;
  static constexpr int kThreads = kConsumers + (kShifts ? kGroupThreads : kWarp);
  static constexpr int kBlocks = kGroups > 1 ? 1 : kCols > 64 ? 2 : 3;  // on a multiprocessor
  static constexpr int kTiles = kGroups * 4 * kTilesOfWarp;             // of sixteen rows
  static constexpr int kColumnBytes = kCols / kBrickTokens * kBlockBytes;
  static constexpr int kStageBytes = kColumnBytes + kTiles * piece_bytes(kPacking);
  static constexpr int kStages = std::min(8, (kMostShared / kBlocks - 2048) / kStageBytes);
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kStages >= 3);
};

#if defined(GEMMA4_HAS_WGMMA)

// What a block works on
struct Tile {
  int first_token;
  int tokens;
  int unit;         // of weight rows
  int first_piece;  // of K
  int pieces;
  int64_t expert;
};

template <class S>
struct Barriers {
  uint64_t full[S::kStages];
  uint64_t empty[S::kStages];
};

// Where a packed tile begins: `slot` counts the warps of all groups, twice.
template <Packing kPacking, class S>
__device__ inline const std::byte* weights_of(const Product& a, const Tile& tile, int slot) {
  const bool is_up = a.up != nullptr && slot >= S::kTiles / 2;
  const int tiles = ceil_div(a.rows, kTileRows);
  int index = tile.unit * S::kTiles + slot;
  if (a.up != nullptr) index = tile.unit * (S::kTiles / 2) + slot % (S::kTiles / 2);
  return (is_up ? a.up : a.weight) + tile.expert * a.expert_bytes +
         (static_cast<int64_t>(min(index, tiles - 1)) * a.pieces + tile.first_piece) *
             piece_bytes(kPacking);
}

// The warp that copies: a lane for each tile of weights, the last one for the activations
template <Packing kPacking, class S>
__device__ inline void copy_pieces(const Product& a, const Tile& tile, std::byte* stages,
                                   Barriers<S>& barriers) {
  static_assert(S::kTiles < kWarp);
  const int lane = threadIdx.x % kWarp;
  const std::byte* const weights =
      lane < S::kTiles ? weights_of<kPacking, S>(a, tile, lane) : nullptr;
  const int first_block = tile.first_token / kBrickTokens;
  const auto column_bytes = static_cast<unsigned>(
      min(S::kColumnBytes / kBlockBytes, a.num_blocks - first_block) * kBlockBytes);
  const unsigned stage_bytes = column_bytes + S::kTiles * piece_bytes(kPacking);
  const auto copy_weights = [&](int i) {
    const int stage = i % S::kStages;
    if (lane == 0) arrive_expecting(&barriers.full[stage], stage_bytes);
    __syncwarp();
    if (lane < S::kTiles)
      copy_bulk(stages + stage * S::kStageBytes + S::kColumnBytes + lane * piece_bytes(kPacking),
                weights + static_cast<int64_t>(i) * piece_bytes(kPacking), piece_bytes(kPacking),
                &barriers.full[stage]);
  };
  const auto copy_columns = [&](int i) {
    if (lane == kWarp - 1)
      copy_bulk(
          stages + i % S::kStages * S::kStageBytes,
          a.blocks + (static_cast<int64_t>(tile.first_piece + i) * a.num_blocks + first_block) *
                         kBlockBytes,
          column_bytes, &barriers.full[i % S::kStages]);
  };
  // Weights are there before the kernel ahead has ended.
  const int ahead = min(S::kStages, tile.pieces);
  for (int i = 0; i < ahead; ++i) copy_weights(i);
  wait_for_inputs();
  for (int i = 0; i < ahead; ++i) copy_columns(i);
  for (int i = ahead; i < tile.pieces; ++i) {
    wait_for(&barriers.empty[i % S::kStages], (i / S::kStages - 1) % 2);
    copy_weights(i);
    copy_columns(i);
  }
}

template <int kCols>
using Sums = float[kTilesOfWarp][kCols / 2];

// sums += this group's rows · the tile's tokens
template <Packing kPacking, int kCols, class S>
__device__ inline void add_pieces(const Product& a, const Tile& tile, const std::byte* stages,
                                  Barriers<S>& barriers, Sums<kCols>& sums) {
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  // Tiles of a gate come first, then those of its `up`.
  const int first_slot = a.up != nullptr ? warp : warp / 4 * 8 + warp % 4;
  const int next_slot = first_slot + (a.up != nullptr ? S::kTiles / 2 : 4);
  int stage = 0;
  unsigned parity = 0;
  int previous = 0;
#pragma unroll 1
  for (int i = 0; i < tile.pieces; ++i) {
    wait_for(&barriers.full[stage], parity);
    const std::byte* const from = stages + stage * S::kStageBytes;
    HalfPiece<kPacking> pieces[kTilesOfWarp];
    pieces[0].load(from + S::kColumnBytes + first_slot * piece_bytes(kPacking), lane);
    pieces[1].load(from + S::kColumnBytes + next_slot * piece_bytes(kPacking), lane);
    const uint64_t columns = describe<kBlockBytes>(from);
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      uint32_t weights[kTilesOfWarp][4];
#pragma unroll
      for (int m = 0; m < kTilesOfWarp; ++m) pieces[m].weights_of(step, weights[m]);
      order_registers();
      constexpr uint64_t kStepBytes = 2 * 8 * kBrickTokens * 2;  // sixteen columns of K
#pragma unroll
      for (int m = 0; m < kTilesOfWarp; ++m)
        multiply_later<kCols>(sums[m], weights[m],
                              columns + static_cast<uint64_t>(step) * (kStepBytes >> 4));
      commit_products();
      wait_products<1>();
      // Every thread gives back what it has read: one arrival for its whole warp would need a
      // __syncwarp() before it, which makes ptxas serialise the products.
      if (step == 0 && i > 0) arrive(&barriers.empty[previous]);
    }
    previous = stage;
    if (++stage == S::kStages) stage = 0, parity ^= 1;
  }
  wait_products<0>();
}

template <class S>
__device__ inline void sync_consumers() {
  asm volatile("bar.sync 1, %0;" ::"n"(S::kConsumers) : "memory");
}

// Where each block has one part: leaves it for the last block of the tile, which adds them up in
// order. -> whether this is that block, and then the total in `sums`.
template <int kCols, class S>
__device__ inline bool add_up(const Product& a, Sums<kCols>& sums) {
  __shared__ bool is_last;
  constexpr int kVectors = kTilesOfWarp * kCols / 8;
  const int64_t tile = blockIdx.y * gridDim.x + blockIdx.x;
  const int64_t tiles = static_cast<int64_t>(gridDim.x) * gridDim.y;
  const auto place = [&](int64_t part, int vector) {
    return a.partial + ((part * tiles + tile) * kVectors + vector) * S::kConsumers + threadIdx.x;
  };
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const float* from = &sums[v / (kCols / 8)][v % (kCols / 8) * 4];
    *place(blockIdx.z, v) = {from[0], from[1], from[2], from[3]};
  }
  __threadfence();
  sync_consumers<S>();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(a.finished + tile, 1) + 1 == gridDim.z;
    if (is_last) a.finished[tile] = 0;
  }
  sync_consumers<S>();
  if (!is_last) return false;
  __threadfence();
#pragma unroll
  for (auto& row : sums)
#pragma unroll
    for (float& sum : row) sum = 0;
      // All of a part is in flight at once.
#pragma unroll 1
  for (int part = 0; part < static_cast<int>(gridDim.z); ++part)
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const float4 other = __ldcg(place(part, v));
      float* to = &sums[v / (kCols / 8)][v % (kCols / 8) * 4];
      to[0] += other.x, to[1] += other.y, to[2] += other.z, to[3] += other.w;
    }
  return true;
}

// `factors` of the tile's tokens, in shared memory
template <int kCols, class S>
__device__ inline void store(const Product& a, const Tile& tile, const float* factors,
                             const Sums<kCols>& sums) {
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const bool gated = a.up != nullptr;
  const int first_tile =
      gated ? tile.unit * (S::kTiles / 2) + warp : tile.unit * S::kTiles + warp / 4 * 8 + warp % 4;
#pragma unroll
  for (int m = 0; m < kTilesOfWarp; ++m) {
    if (gated && m > 0) break;
    const int first_row = (first_tile + m * 4) * kTileRows + lane / 4;
#pragma unroll
    for (int j = 0; j < kCols / 8; ++j) {
      float multiplier[4] = {};  // loaded together
      if (a.form == Form::kMultiplied)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int row = first_row + e / 2 * 8;
          const int column = j * 8 + lane % 4 * 2 + e % 2;
          if (row < a.rows && column < tile.tokens)
            multiplier[e] = a.multiplier[(tile.first_token + column) * a.multiplier_stride + row];
        }
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = first_row + e / 2 * 8;
        const int column = j * 8 + lane % 4 * 2 + e % 2;
        if (row >= a.rows || column >= tile.tokens) continue;
        const float factor = factors[column];
        float value = sums[m][4 * j + e] * factor;
        if (gated) value = gelu_tanh(value) * (sums[1][4 * j + e] * factor);
        if (a.form == Form::kMultiplied) value = gelu_tanh(value) * multiplier[e];
        a.out[static_cast<int64_t>(tile.first_token + column) * a.rows + row] = value;
      }
    }
  }
}

template <Packing kPacking, int kGroups, int kCols>
__device__ inline void multiply_tile(const Product& a) {
  using S = Shape<kPacking, kGroups, kCols>;
  extern __shared__ __align__(1024) std::byte stages[];
  __shared__ Barriers<S> barriers;
  __shared__ float factors[kCols];
  if (threadIdx.x == 0) {
    for (int s = 0; s < S::kStages; ++s) {
      init_barrier(&barriers.full[s], 1);
      init_barrier(&barriers.empty[s], S::kConsumers);
    }
    publish_barriers();
  }
  __syncthreads();
  Tile tile{static_cast<int>(blockIdx.x) * kCols, 0, static_cast<int>(blockIdx.y), 0, 0, 0};
  tile.tokens = min(kCols, a.tokens - tile.first_token);
  if (a.groups != nullptr) {
    wait_for_inputs();
    const ExpertTile group = a.groups[blockIdx.x];
    if (group.count == 0) return;
    tile.first_token = group.first;
    tile.tokens = group.count;
    tile.expert = group.expert;
  }
  const int part = static_cast<int>(blockIdx.z);
  const int parts = static_cast<int>(gridDim.z);
  tile.first_piece = part * a.pieces / parts;
  tile.pieces = (part + 1) * a.pieces / parts - tile.first_piece;
  if (threadIdx.x >= S::kConsumers) {
    if constexpr (S::kShifts) asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x < S::kConsumers + kWarp) copy_pieces<kPacking, S>(a, tile, stages, barriers);
  } else {
    if constexpr (S::kShifts) asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    wait_for_inputs();
    for (int c = static_cast<int>(threadIdx.x); c < tile.tokens; c += S::kConsumers)
      factors[c] = a.factors[tile.first_token + c];
    sync_consumers<S>();
    Sums<kCols> sums;
#pragma unroll
    for (auto& row : sums)
#pragma unroll
      for (float& sum : row) sum = 0;
    add_pieces<kPacking, kCols, S>(a, tile, stages, barriers, sums);
    allow_next();  // earlier, the next kernel would be in the way
    if (parts == 1 || add_up<kCols, S>(a, sums)) store<kCols, S>(a, tile, factors, sums);
  }
}

#endif  // GEMMA4_HAS_WGMMA

}  // namespace gemma4::kernels::cuda::wide

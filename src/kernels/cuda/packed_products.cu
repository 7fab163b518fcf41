// Products of packed weights with any number of rows. Activations, rounded first
// (packed_columns.cu), come through shared memory for all warps of a block; weights come through
// that of the one warp that has their rows.

#include "kernels/cuda/entries.cuh"
#include "kernels/cuda/packed_columns.cuh"
#include "kernels/cuda/packed_products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kMostWarps = 8;
constexpr int kRowTiles = 2;  // of a warp: two of a weight, or one of a gate and one of its `up`
constexpr int64_t kMostParts = 16;
constexpr unsigned kCard = 132;  // blocks that fill a large card, one on a multiprocessor

struct Product {
  const __nv_bfloat16* columns;  // [planes, X, padded K]
  const float* totals;           // [groups, planes · X]
  int64_t x_rows;                // X: T, or what `groups` chose from
  const std::byte* weight;       // tiles of packed rows
  const std::byte* up;           // or null
  float* out;                    // [T, rows]
  Form form;
  const float* multiplier;
  int64_t multiplier_stride;
  int tokens;
  int rows;
  int pieces;          // of K
  int parts;           // of the pieces, each summed by other blocks
  float4* partial;     // [parts, blocks, vectors of a thread, threads]
  unsigned* finished;  // [blocks], zero between launches
  // Null: all tokens and one weight. Else there are tiles of tokens of one expert each, and token t
  // is row sources[t] of the columns, or row t if that is null.
  const ExpertTile* groups;
  const int32_t* sources;
  int64_t expert_bytes;
};

// A block's tile: kColTiles tiles of eight columns
template <int kColTiles>
struct Shape {
  static constexpr int kColumns = kColTiles * 8;
  static constexpr int kStages = kColTiles <= 4 ? 6 : kColTiles <= 8 ? 4 : 3;
  static constexpr int kStageBytes = kColumns * kPieceCols * 2;
  // Of tokens, and of every warp's pieces of weights
  template <Packing kPacking>
  static constexpr size_t shared_bytes(int warps) {
    return kStages * (kStageBytes + static_cast<size_t>(warps) * kRowTiles * piece_bytes(kPacking));
  }
};

// Sixteen bytes of a column; columns that are read at once are in different banks.
__device__ inline std::byte* chunk_at(std::byte* stage, int column, int chunk) {
  return stage + column * kPieceCols * 2 + (chunk ^ (column & 1) << 2) * 16;
}

// The block's tokens, and the rows that they are among the columns
struct Tokens {
  int first;
  int count;
  const int* rows;
};

// Column c of a block's tile: which token and plane it is. Planes of eight tokens follow each
// other.
template <int kPlanes>
struct Column {
  int token;
  int plane;
  __device__ explicit Column(int c) : token(c / 8 / kPlanes * 8 + c % 8), plane(c / 8 % kPlanes) {}
};

template <int kColTiles, int kPlanes>
__device__ inline void load_columns(const Product& a, const Tokens& tokens, std::byte* stage,
                                    int piece) {
  constexpr int kChunks = kPieceCols * 2 / 16;
  for (int i = threadIdx.x; i < kColTiles * 8 * kChunks; i += blockDim.x) {
    const Column<kPlanes> column(i / kChunks);
    const bool valid = column.token < tokens.count;
    const int64_t from = column.plane * a.x_rows + tokens.rows[valid ? column.token : 0];
    copy_async(chunk_at(stage, i / kChunks, i % kChunks),
               a.columns + (from * a.pieces + piece) * kPieceCols + i % kChunks * 8, valid);
  }
}

template <int kColTiles>
using Sums = float[kRowTiles][kColTiles][4];

template <Packing kPacking, int kColTiles, int kPlanes>
__device__ inline void sum_pieces(const Product& a, const Tokens& tokens, std::byte* shared,
                                  const std::byte* const (&weights)[kRowTiles], int first, int last,
                                  Sums<kColTiles>& sums) {
  using S = Shape<kColTiles>;
  const int lane = threadIdx.x % kWarp;
  constexpr int kWeightBytes = kRowTiles * piece_bytes(kPacking);
  std::byte* const own = shared + S::kStages * S::kStageBytes +
                         static_cast<int>(threadIdx.x) / kWarp * S::kStages * kWeightBytes;
  const auto stage = [&](int piece) {
    return shared + (piece - first) % S::kStages * S::kStageBytes;
  };
  const auto weights_at = [&](int piece) {
    return own + (piece - first) % S::kStages * kWeightBytes;
  };
  const auto copy_weights = [&](int piece) {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
      copy_piece<kPacking>(weights_at(piece) + m * piece_bytes(kPacking),
                           weights[m] + static_cast<int64_t>(piece) * piece_bytes(kPacking), lane);
  };
  // Weights are there before the kernel ahead has ended; all of them count to the first group.
#pragma unroll 1
  for (int s = first; s < first + S::kStages - 1 && s < last; ++s) copy_weights(s);
  wait_for_inputs();
#pragma unroll 1
  for (int s = first; s < first + S::kStages - 1; ++s) {
    if (s < last) load_columns<kColTiles, kPlanes>(a, tokens, stage(s), s);
    commit_copies();
  }
#pragma unroll 1
  for (int piece = first; piece < last; ++piece) {
    wait_copies<S::kStages - 2>();
    __syncthreads();
    const int next = piece + S::kStages - 1;  // into the stage that was read in the turn before
    if (next < last) {
      copy_weights(next);
      load_columns<kColTiles, kPlanes>(a, tokens, stage(next), next);
    }
    commit_copies();
    std::byte* const from = stage(piece);
    Piece<kPacking> pieces[kRowTiles];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
      pieces[m].load(weights_at(piece) + m * piece_bytes(kPacking), lane);
    add_piece<kPacking, kRowTiles, kColTiles>(
        sums, pieces,
        [&](int j, int half) {
          return *reinterpret_cast<const uint4*>(
              chunk_at(from, j * 8 + lane / 4, half * 4 + lane % 4));
        },
        [&](int j, int group) {
          constexpr int kGroups = kPieceCols / group_cols(kPacking);
          const Column<kPlanes> column(j * 8 + lane % 4 * 2);
          const float* row =
              a.totals +
              (static_cast<int64_t>(piece * kGroups + group) * kPlanes + column.plane) * a.x_rows;
          const auto at = [&](int token) {
            return token < tokens.count ? __ldcg(row + tokens.rows[token]) : 0;
          };
          return float2{at(column.token), at(column.token + 1)};
        });
  }
}

// Where each block has one part: leaves it for the last block of the tile, which adds them up in
// order. -> whether this is that block, and then the total in `sums`.
template <int kColTiles>
__device__ inline bool add_up(const Product& a, Sums<kColTiles>& sums) {
  __shared__ bool is_last;
  const int64_t tile = blockIdx.y * gridDim.x + blockIdx.x;
  const int64_t tiles = static_cast<int64_t>(gridDim.x) * gridDim.y;
  const auto place = [&](int64_t part, int m, int j) {
    const int64_t vector = (part * tiles + tile) * kRowTiles * kColTiles;
    return a.partial + (vector + m * kColTiles + j) * blockDim.x + threadIdx.x;
  };
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int j = 0; j < kColTiles; ++j)
      *place(blockIdx.z, m, j) = {sums[m][j][0], sums[m][j][1], sums[m][j][2], sums[m][j][3]};
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(a.finished + tile, 1) + 1 == gridDim.z;
    if (is_last) a.finished[tile] = 0;
  }
  __syncthreads();
  if (!is_last) return false;
  __threadfence();
#pragma unroll
  for (auto& row : sums)
#pragma unroll
    for (auto& four : row)
#pragma unroll
      for (float& sum : four) sum = 0;
        // All of a part is in flight at once.
#pragma unroll 1
  for (int part = 0; part < static_cast<int>(gridDim.z); ++part)
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
      for (int j = 0; j < kColTiles; ++j) {
        const float4 other = __ldcg(place(part, m, j));
        sums[m][j][0] += other.x, sums[m][j][1] += other.y;
        sums[m][j][2] += other.z, sums[m][j][3] += other.w;
      }
  return true;
}

template <int kColTiles, int kPlanes>
__device__ inline void store(const Product& a, const Tokens& tokens, int first_tile,
                             const Sums<kColTiles>& sums) {
  const int lane = threadIdx.x % kWarp;
  const bool gated = a.up != nullptr;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    if (gated && m > 0) break;
#pragma unroll
    for (int j = 0; j < kColTiles; j += kPlanes) {
      float multiplier[4] = {};  // loaded together
      if (a.form == Form::kMultiplied)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int row = (first_tile + m) * kTileRows + lane / 4 + e / 2 * 8;
          const Column<kPlanes> column(j * 8 + lane % 4 * 2 + e % 2);
          if (row < a.rows && column.token < tokens.count)
            multiplier[e] = a.multiplier[(tokens.first + column.token) * a.multiplier_stride + row];
        }
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = (first_tile + m) * kTileRows + lane / 4 + e / 2 * 8;
        const Column<kPlanes> column(j * 8 + lane % 4 * 2 + e % 2);
        if (row >= a.rows || column.token >= tokens.count) continue;
        float value = sums[m][j][e];
        float up = sums[kRowTiles - 1][j][e];
#pragma unroll
        for (int p = 1; p < kPlanes; ++p) {
          value += sums[m][j + p][e];
          up += sums[kRowTiles - 1][j + p][e];
        }
        const int64_t token = tokens.first + column.token;
        if (gated) value = gelu_tanh(value) * up;
        if (a.form == Form::kMultiplied) value = gelu_tanh(value) * multiplier[e];
        a.out[token * a.rows + row] = value;
      }
    }
  }
}

template <Packing kPacking, int kColTiles, int kPlanes>
__global__ void __launch_bounds__(kMostWarps* kWarp) packed_product_kernel(Product a) {
  extern __shared__ __align__(128) std::byte stages[];
  const int warp = threadIdx.x / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  const int unit = static_cast<int>(blockIdx.x) * warps + warp;
  constexpr int kTokens = kColTiles * 8 / kPlanes;
  __shared__ int rows_of_tokens[kTokens];
  Tokens tokens{static_cast<int>(blockIdx.y) * kTokens, 0, rows_of_tokens};
  tokens.count = min(kTokens, a.tokens - tokens.first);
  int64_t expert = 0;
  if (a.groups != nullptr) {
    wait_for_inputs();
    const ExpertTile group = a.groups[blockIdx.y];
    if (group.count == 0) return;
    expert = group.expert;
    tokens.first = group.first;
    tokens.count = group.count;
  }
  for (int i = threadIdx.x; i < tokens.count; i += blockDim.x)
    rows_of_tokens[i] = a.sources != nullptr ? a.sources[tokens.first + i] : tokens.first + i;
  __syncthreads();
  const bool gated = a.up != nullptr;
  const int first_tile = gated ? unit : unit * kRowTiles;
  const int tiles = ceil_div(a.rows, kTileRows);
  const int64_t bytes_of_tile = static_cast<int64_t>(a.pieces) * piece_bytes(kPacking);
  const std::byte* weights[kRowTiles];
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
    weights[m] = (gated && m > 0 ? a.up : a.weight) + expert * a.expert_bytes +
                 min(gated ? first_tile : first_tile + m, tiles - 1) * bytes_of_tile;
  Sums<kColTiles> sums;
#pragma unroll
  for (auto& row : sums)
#pragma unroll
    for (auto& four : row)
#pragma unroll
      for (float& sum : four) sum = 0;
  const int part = static_cast<int>(blockIdx.z);
  const int parts = static_cast<int>(gridDim.z);
  sum_pieces<kPacking, kColTiles, kPlanes>(a, tokens, stages, weights, part * a.pieces / parts,
                                           (part + 1) * a.pieces / parts, sums);
  allow_next();  // earlier, the next kernel would be in the way
  if (parts > 1 && !add_up<kColTiles>(a, sums)) return;
  store<kColTiles, kPlanes>(a, tokens, first_tile, sums);
}

// Warps' worth of rows
unsigned units_of(const Product& a) {
  const int tiles = ceil_div(a.rows, kTileRows);
  return static_cast<unsigned>(a.up != nullptr ? tiles : ceil_div(tiles, kRowTiles));
}

template <Packing kPacking, int kColTiles, int kPlanes>
void run(Queue queue, const Product& a, int groups) {
  using S = Shape<kColTiles>;
  const auto kernel = packed_product_kernel<kPacking, kColTiles, kPlanes>;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(S::template shared_bytes<kPacking>(kMostWarps)));
  (void)allowed;  // where it failed, so does the launch
  const unsigned units = units_of(a);
  const auto col_blocks =
      static_cast<unsigned>(groups > 0 ? groups : ceil_div(a.tokens, kColTiles * 8 / kPlanes));
  unsigned warps = kMostWarps;
  while (warps > 4 && ceil_div(units, warps) * col_blocks < kCard) warps /= 2;
  dim3 grid(ceil_div(units, warps), col_blocks);
  const unsigned blocks = grid.x * grid.y;
  const int64_t room = static_cast<int64_t>((kFreeScratchBytes - kPlaneBytes) / sizeof(float4)) /
                       (static_cast<int64_t>(blocks) * kRowTiles * kColTiles * warps * kWarp);
  int64_t parts = std::min<int64_t>({kMostParts, 2 * kCard / blocks, a.pieces / 4, room});
  if (blocks > kCounterBytes / sizeof(unsigned)) parts = 1;
  grid.z = static_cast<unsigned>(std::max<int64_t>(parts, 1));
  launch(queue, grid, warps * kWarp, S::template shared_bytes<kPacking>(static_cast<int>(warps)),
         kernel, a);
}

// The smallest tile that holds all tokens; where there are more, the largest of which there are
// enough to fill the card.
template <Packing kPacking>
void run_tile(Queue queue, const Product& a, int groups, int tokens_of_group) {
  if (queue.activations == Activations::kFloat32)
    return run<kPacking, 2 * kExactPlanes, kExactPlanes>(queue, a, groups);
  const auto fills = [&](int columns) {
    return ceil_div(units_of(a), 4u) * static_cast<unsigned>(ceil_div(tokens_of_group, columns)) >=
           kCard;
  };
  if (tokens_of_group <= 8) return run<kPacking, 1, 1>(queue, a, groups);
  if (tokens_of_group <= 32 || (groups == 0 && !fills(64)))
    return run<kPacking, 4, 1>(queue, a, groups);
  if (tokens_of_group <= 64 || (groups == 0 && !fills(128)))
    return run<kPacking, 8, 1>(queue, a, groups);
  run<kPacking, 16, 1>(queue, a, groups);
}

// A product with x [tokens, depth]
Product product_of(Queue queue, DType dtype, const float* x, int64_t tokens, int depth) {
  const Columns columns = round_columns(queue, dtype, x, tokens, depth);
  Product product{};
  product.columns = columns.elements;
  product.totals = columns.totals;
  product.x_rows = tokens;
  product.tokens = static_cast<int>(tokens);
  product.pieces = static_cast<int>(pieces_of(depth));
  product.partial = reinterpret_cast<float4*>(free_scratch(queue) + kPlaneBytes);
  product.finished = counters(queue);
  return product;
}

void set_part(Product& product, const PackedLaunch::Part& part, int64_t first) {
  product.weight = part.weight;
  product.up = part.up;
  product.out = part.out + first * part.rows;
  product.rows = part.rows;
}

}  // namespace

void multiply_packed(Queue queue, DType dtype, const PackedLaunch& a) {
  const int64_t at_once = most_packed_tokens(queue, a.depth);
  for (int64_t first = 0; first < a.tokens; first += at_once) {
    const int64_t tokens = std::min(at_once, a.tokens - first);
    Product product = product_of(queue, dtype, a.x + first * a.depth, tokens, a.depth);
    product.form = a.form;
    if (a.multiplier != nullptr) product.multiplier = a.multiplier + first * a.multiplier_stride;
    product.multiplier_stride = a.multiplier_stride;
    for (int i = 0; i < a.count; ++i) {
      set_part(product, a.parts[i], first);
      dispatch_packing(dtype, [&]<Packing kPacking>() {
        run_tile<kPacking>(queue, product, 0, static_cast<int>(tokens));
      });
    }
  }
}

void multiply_grouped(Queue queue, DType dtype, const PackedLaunch& a, int64_t x_rows,
                      const ExpertGroups& groups) {
  Product product = product_of(queue, dtype, a.x, x_rows, a.depth);
  product.tokens = static_cast<int>(a.tokens);
  product.form = a.form;
  product.groups = groups.tiles;
  product.sources = groups.sources;
  product.expert_bytes = a.expert_bytes;
  set_part(product, a.parts[0], 0);
  dispatch_packing(dtype, [&]<Packing kPacking>() {
    run_tile<kPacking>(queue, product, groups.num_tiles, groups.tile_tokens);
  });
}

}  // namespace gemma4::kernels::cuda

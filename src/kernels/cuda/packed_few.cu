// Products of packed weights with a few rows: a matter of reading the weights once. A warp takes
// every n-th piece of a tile of 16 rows; up to sixteen warps share a tile, and add up in their
// order. A row of activations is a column of the product, or three where it counts in float32.

#include "kernels/cuda/entries.cuh"
#include "kernels/cuda/packed_columns.cuh"
#include "kernels/cuda/packed_products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kMostWarps = 16;
constexpr int kMostColumns = 8;
constexpr size_t kMostShared = 64 << 10;  // of activations: two blocks fit a multiprocessor

struct Launch {
  PackedLaunch a;
  int columns;         // tokens · planes
  int planes;          // bfloat16 numbers of an activation
  int warps_per_tile;  // a power of two
};

__host__ __device__ constexpr int padded(int depth) {
  return ceil_div(depth, kPieceCols) * kPieceCols;
}
// Bytes from one column to the next: two of them fill all banks.
__host__ __device__ constexpr int column_bytes(int depth) { return padded(depth) * 2 + 64; }
__host__ __device__ constexpr size_t shared_bytes(int depth, int columns, bool offsets) {
  return static_cast<size_t>(columns) * column_bytes(depth) +
         (offsets ? static_cast<size_t>(padded(depth)) / 16 * kMostColumns * sizeof(float) : 0);
}

// Four neighbouring activations of one token as `planes` columns from `column` on, if `valid`. Sums
// over groups go to totals[group][column]; whole warps come here for them.
template <Packing kPacking>
__device__ inline void put_four(std::byte* columns, float* totals, int stride, int column,
                                int planes, int k, float4 x, bool valid) {
  float rest[4] = {x.x, x.y, x.z, x.w};
#pragma unroll 1
  for (int p = 0; p < planes; ++p) {
    const uint2 pairs = {to_pair(rest[0], rest[1]), to_pair(rest[2], rest[3])};
    if (valid)
      *reinterpret_cast<uint2*>(columns + (column + p) * stride +
                                (k / 32 * 32 + order_in_32(k % 32)) * 2) = pairs;
    const float2 low = __bfloat1622float2(pair_of(pairs.x));
    const float2 high = __bfloat1622float2(pair_of(pairs.y));
    rest[0] -= low.x, rest[1] -= low.y, rest[2] -= high.x, rest[3] -= high.y;
    if constexpr (has_offset(kPacking)) {
      float sum = (low.x + low.y) + (high.x + high.y);
      for (int offset = 1; offset < group_cols(kPacking) / 4; offset *= 2)
        sum += __shfl_xor_sync(~0u, sum, offset);
      if (valid && k % group_cols(kPacking) == 0)
        totals[k / group_cols(kPacking) * kMostColumns + column + p] = sum;
    }
  }
}

// The block's activations into shared memory
template <Packing kPacking, int kWarps>
__device__ inline void put_columns(const Launch& l, int64_t first, int tokens, std::byte* columns,
                                   float* totals) {
  constexpr int kThreads = kWarps * kWarp;
  constexpr int kLoads = 4;  // in flight at once
  const int depth = l.a.depth;
  const int stride = column_bytes(depth);
  const int fours = padded(depth) / 4;  // a multiple of sixteen
  for (int t = 0; t < tokens; ++t) {
    const int64_t row = l.a.rows_per_x == 1 ? first + t : (first + t) / l.a.rows_per_x;
    const float* x = l.a.x + row * depth;
#pragma unroll 1
    for (int begin = 0; begin < fours; begin += kLoads * kThreads) {
      float4 four[kLoads];
#pragma unroll
      for (int n = 0; n < kLoads; ++n) {
        const int k = (begin + n * kThreads + static_cast<int>(threadIdx.x)) * 4;
        four[n] = {0, 0, 0, 0};
        if (k < depth) four[n] = *reinterpret_cast<const float4*>(x + k);
      }
#pragma unroll
      for (int n = 0; n < kLoads; ++n) {
        const int i = begin + n * kThreads + static_cast<int>(threadIdx.x);
        if (begin + n * kThreads < fours)  // the same for the whole block
          put_four<kPacking>(columns, totals, stride, t * l.planes, l.planes, i * 4, four[n],
                             i < fours);
      }
    }
  }
}

// Pieces of a warp's tiles on their way
template <Packing kPacking, int kTiles, int kMostBytes>
struct Ring {
  static constexpr int kBytes = piece_bytes(kPacking) * kTiles;
  static constexpr int kStages = std::clamp(kMostBytes / kBytes, 2, 8);
  static constexpr int kWarpBytes = kBytes * kStages;
};
constexpr int kRingBytes = 4608;  // of a warp
// Beside long rows, so that three blocks still fit a multiprocessor, which are what keeps the
// memory busy
constexpr int kShortRingBytes = 3200;

template <Packing kPacking, int kTiles, int kWarps, int kMostBytes>
__global__ void __launch_bounds__(kWarps* kWarp, kWarps > 8 ? 1 : 3) few_kernel(Launch l) {
  constexpr int kThreads = kWarps * kWarp;
  using R = Ring<kPacking, kTiles, kMostBytes>;
  extern __shared__ __align__(128) std::byte shared[];
  __shared__ float partial[kWarps][kTiles][kTileRows][kMostColumns];
  const PackedLaunch& a = l.a;
  const PackedLaunch::Part& part = part_of_block(a);
  const int warp = threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int tiles_per_block = kWarps / l.warps_per_tile;
  const int tiles = ceil_div(part.rows, kTileRows);
  const int first_tile = static_cast<int>(blockIdx.x - part.first_block) * tiles_per_block;
  const int tile = first_tile + warp / l.warps_per_tile;
  const int pieces = static_cast<int>(pieces_of(a.depth));
  const int tokens_at_once = l.columns / l.planes;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * tokens_at_once;
  const int tokens = static_cast<int>(min(static_cast<int64_t>(tokens_at_once), a.tokens - first));

  int64_t from = static_cast<int64_t>(min(tile, tiles - 1)) * pieces * piece_bytes(kPacking);
  if (a.experts != nullptr) {
    wait_for_inputs();  // which weights to read is only known now
    from += a.experts[first] * a.expert_bytes;
  }
  const std::byte* weights[kTiles];
  weights[0] = part.weight + from;
  if constexpr (kTiles > 1) weights[1] = part.up + from;

  const int step = l.warps_per_tile;
  const int begin_piece = warp % step;
  std::byte* const ring = shared + warp * R::kWarpBytes;
  const auto stage = [&](int turn) { return ring + turn % R::kStages * R::kBytes; };
  const auto copy = [&](int turn) {
    const int64_t piece = begin_piece + turn * step;
    if (piece < pieces)
#pragma unroll
      for (int m = 0; m < kTiles; ++m)
        copy_piece<kPacking>(stage(turn) + m * piece_bytes(kPacking),
                             weights[m] + piece * piece_bytes(kPacking), lane);
    commit_copies();
  };
#pragma unroll 1
  for (int turn = 0; turn < R::kStages; ++turn) copy(turn);

  std::byte* const columns = shared + kWarps * R::kWarpBytes;
  auto* const totals = reinterpret_cast<float*>(columns + l.columns * column_bytes(a.depth));
  wait_for_inputs();
  put_columns<kPacking, kWarps>(l, first, tokens, columns, totals);
  __syncthreads();

  allow_next();  // earlier, the next kernel would be in the way
  float sums[kTiles][1][4] = {};
  const int used = tokens * l.planes;
  // Columns beyond the last are copies of it, which nobody reads.
  const std::byte* const own =
      columns + min(lane / 4, used - 1) * column_bytes(a.depth) + lane % 4 * 16;
#pragma unroll 1
  for (int turn = 0; begin_piece + turn * step < pieces; ++turn) {
    const int piece = begin_piece + turn * step;
    wait_copies<R::kStages - 1>();
    __syncwarp();
    Piece<kPacking> own_pieces[kTiles];
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
      own_pieces[m].load(stage(turn) + m * piece_bytes(kPacking), lane);
    add_piece<kPacking, kTiles, 1>(
        sums, own_pieces,
        [&](int, int half) {
          return *reinterpret_cast<const uint4*>(own + piece * kPieceCols * 2 + half * 64);
        },
        [&](int, int group) {
          constexpr int kGroups = kPieceCols / group_cols(kPacking);
          return *reinterpret_cast<const float2*>(
              totals + (piece * kGroups + group) * kMostColumns + lane % 4 * 2);
        });
    __syncwarp();  // all have read the stage
    copy(turn + R::kStages);
  }

#pragma unroll
  for (int m = 0; m < kTiles; ++m)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      partial[warp][m][lane / 4 + e / 2 * 8][lane % 4 * 2 + e % 2] = sums[m][0][e];
  __syncthreads();
  for (int i = threadIdx.x; i < tiles_per_block * kTileRows * tokens; i += kThreads) {
    const int t = i / (tiles_per_block * kTileRows);
    const int r = i % (tiles_per_block * kTileRows);
    const int row = first_tile * kTileRows + r;
    if (row >= part.rows) continue;
    float value[kTiles] = {};
    for (int w = 0; w < l.warps_per_tile; ++w)
#pragma unroll 1
      for (int p = 0; p < l.planes; ++p)
#pragma unroll
        for (int m = 0; m < kTiles; ++m)
          value[m] +=
              partial[r / kTileRows * l.warps_per_tile + w][m][r % kTileRows][t * l.planes + p];
    float result = value[0];
    if constexpr (kTiles > 1) result = gelu_tanh(value[0]) * value[1];
    if (a.form == Form::kMultiplied)
      result = gelu_tanh(result) * a.multiplier[(first + t) * a.multiplier_stride + row];
    part.out[(first + t) * part.rows + row] = result;
  }
}

template <Packing kPacking, int kTiles, int kWarps, int kMostBytes = kRingBytes>
void run(Queue queue, Launch l) {
  const auto kernel = few_kernel<kPacking, kTiles, kWarps, kMostBytes>;
  constexpr size_t kRing = kWarps * Ring<kPacking, kTiles, kMostBytes>::kWarpBytes;
  static const cudaError_t allowed = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kMostShared + kRing));
  (void)allowed;  // where it failed, so does the launch
  PackedLaunch& a = l.a;
  const auto rows_at_once = static_cast<int64_t>(l.columns / l.planes);
  const int64_t turns = ceil_div<int64_t>(a.tokens, rows_at_once);
  constexpr int64_t kFull = 2048;  // warps that keep an H100 reading
  l.warps_per_tile = warps_per_tile(a, turns, kWarps, kFull);
  const unsigned num_blocks = share_out(a, kWarps / l.warps_per_tile);
  launch(queue, dim3(num_blocks, static_cast<unsigned>(turns)), kWarps * kWarp,
         kRing + shared_bytes(a.depth, l.columns, has_offset(kPacking)), kernel, l);
}

}  // namespace

bool fits_few(Queue queue, DType dtype, const PackedLaunch& a) {
  const int64_t columns = a.tokens * planes_of(queue);
  return columns <= kMostColumns && shared_bytes(a.depth, static_cast<int>(columns),
                                                 has_offset(packing_of(dtype))) <= kMostShared;
}

void multiply_few(Queue queue, DType dtype, PackedLaunch a) {
  Launch l{};
  l.planes = planes_of(queue);
  l.columns = l.planes * static_cast<int>(a.experts != nullptr ? 1 : a.tokens);
  l.a = a;
  dispatch_packing(dtype, [&]<Packing kPacking>() {
    if (a.form == Form::kGated) return run<kPacking, 2, 8>(queue, l);
    // Few and long rows are shared by all warps of larger blocks.
    constexpr int kCard = 132;  // multiprocessors of a large card
    if (a.experts == nullptr && tiles_of(a) <= kCard && pieces_of(a.depth) >= 4 * kMostWarps)
      return run<kPacking, 1, kMostWarps>(queue, l);
    constexpr size_t kLong = 32 << 10;
    if (shared_bytes(a.depth, l.columns, has_offset(kPacking)) > kLong)
      return run<kPacking, 1, 8, kShortRingBytes>(queue, l);
    run<kPacking, 1, 8>(queue, l);
  });
}

}  // namespace gemma4::kernels::cuda

// Products of packed weights with one row of activations in bfloat16, of every expert its own. Each
// warp reads pieces of a tile of 16 rows and, piece by piece beside them, the row itself: nothing
// is prepared by the block, so that no reading waits for it; packed_few.cu, for more rows, shares
// what it prepares.

#include "kernels/cuda/entries.cuh"
#include "kernels/cuda/packed_columns.cuh"
#include "kernels/cuda/packed_products.cuh"

namespace gemma4::kernels::cuda {
namespace {

struct Launch {
  PackedLaunch a;
  int warps_per_tile;  // a power of two
};

// What a warp has under way: pieces of kTiles weights with their 64 activations in float32.
template <Packing kPacking, int kTiles>
struct Stage {
  static constexpr int kWeightBytes = kTiles * piece_bytes(kPacking);
  static constexpr int kBytes = kWeightBytes + kPieceCols * static_cast<int>(sizeof(float));
};

// A piece's activations, rounded as they are read.
template <Packing kPacking>
struct Row {
  const float4* own;  // the lane's first four

  __device__ Row(const std::byte* activations, int lane)
      : own(reinterpret_cast<const float4*>(activations) + lane % 4) {}

  // What a lane has of half a piece, the same in all columns of a product
  __device__ uint4 half(int i) const {
    const float4 low = own[i * 8], high = own[i * 8 + 4];
    return {to_pair(low.x, low.y), to_pair(low.z, low.w), to_pair(high.x, high.y),
            to_pair(high.z, high.w)};
  }

  // The sum over a group of columns, as rounded.
  __device__ float total(int group) const {
    float sum = 0;
    if constexpr (group_cols(kPacking) == 32) {
      const uint4 all = half(group);
      sum = (sum_of(all.x) + sum_of(all.y)) + (sum_of(all.z) + sum_of(all.w));
    } else {
      const float4 four = own[group * 4];
      sum = sum_of(to_pair(four.x, four.y)) + sum_of(to_pair(four.z, four.w));
    }
    sum += __shfl_xor_sync(~0u, sum, 1);
    return sum + __shfl_xor_sync(~0u, sum, 2);
  }
  __device__ static float sum_of(uint32_t pair) {
    const float2 both = __bfloat1622float2(pair_of(pair));
    return both.x + both.y;
  }
};

template <Packing kPacking, int kTiles, int kWarps, int kStages>
__global__ void __launch_bounds__(kWarps* kWarp, kWarps > 8 ? 1 : 3) single_kernel(Launch l) {
  using S = Stage<kPacking, kTiles>;
  extern __shared__ __align__(128) std::byte shared[];
  __shared__ float partial[kWarps][kTiles][kTileRows];
  const PackedLaunch& a = l.a;
  const PackedLaunch::Part& part = part_of_block(a);
  const int warp = threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int step = l.warps_per_tile;
  const int tiles = ceil_div(part.rows, kTileRows);
  const int first_tile = static_cast<int>(blockIdx.x - part.first_block) * (kWarps / step);
  const int pieces = static_cast<int>(pieces_of(a.depth));
  const int64_t row = blockIdx.y;

  int64_t from = static_cast<int64_t>(min(first_tile + warp / step, tiles - 1)) * pieces *
                 piece_bytes(kPacking);
  if (a.experts != nullptr) {
    wait_for_inputs();  // which weights to read is only known now
    from += a.experts[row] * a.expert_bytes;
  }
  const std::byte* weights[kTiles];
  weights[0] = part.weight + from;
  if constexpr (kTiles > 1) weights[1] = part.up + from;

  const int begin_piece = warp % step;
  std::byte* const ring = shared + warp * kStages * S::kBytes;
  const auto stage = [&](int turn) { return ring + turn % kStages * S::kBytes; };
  const auto copy_weights = [&](int turn) {
    const int64_t piece = begin_piece + turn * step;
    if (piece < pieces)
#pragma unroll
      for (int m = 0; m < kTiles; ++m)
        copy_piece<kPacking>(stage(turn) + m * piece_bytes(kPacking),
                             weights[m] + piece * piece_bytes(kPacking), lane);
  };
  const float* const x = a.x + (a.rows_per_x == 1 ? row : row / a.rows_per_x) * a.depth;
  const auto copy_activations = [&](int turn) {
    const int k = (begin_piece + turn * step) * kPieceCols + lane * 4;
    if (lane * 4 < kPieceCols)
      copy_async(stage(turn) + S::kWeightBytes + lane * 16, x + min(k, a.depth - 4), k < a.depth);
    commit_copies();
  };
#pragma unroll 1
  for (int turn = 0; turn < kStages; ++turn) copy_weights(turn);
  wait_for_inputs();
#pragma unroll 1
  for (int turn = 0; turn < kStages; ++turn) copy_activations(turn);
  allow_next();

  float sums[kTiles][1][4] = {};
#pragma unroll 1
  for (int turn = 0; begin_piece + turn * step < pieces; ++turn) {
    wait_copies<kStages - 1>();
    __syncwarp();
    Piece<kPacking> own_pieces[kTiles];
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
      own_pieces[m].load(stage(turn) + m * piece_bytes(kPacking), lane);
    const Row<kPacking> activations(stage(turn) + S::kWeightBytes, lane);
    add_piece<kPacking, kTiles, 1>(
        sums, own_pieces, [&](int, int half) { return activations.half(half); },
        [&](int, int group) {
          return float2{activations.total(group), 0};
        });
    __syncwarp();  // all have read the stage
    copy_weights(turn + kStages);
    copy_activations(turn + kStages);
  }

  if (lane % 4 == 0)  // column 0; the others are copies of it
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
      partial[warp][m][lane / 4] = sums[m][0][0];
      partial[warp][m][lane / 4 + 8] = sums[m][0][2];
    }
  __syncthreads();
  const int r = static_cast<int>(threadIdx.x);
  const int out_row = first_tile * kTileRows + r;
  if (r >= kWarps / step * kTileRows || out_row >= part.rows) return;
  float value[kTiles] = {};
  for (int w = 0; w < step; ++w)
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
      value[m] += partial[r / kTileRows * step + w][m][r % kTileRows];
  float result = value[0];
  if constexpr (kTiles > 1) result = gelu_tanh(value[0]) * value[1];
  if (a.form == Form::kMultiplied)
    result = gelu_tanh(result) * a.multiplier[row * a.multiplier_stride + out_row];
  part.out[row * part.rows + out_row] = result;
}

template <Packing kPacking, int kTiles, int kWarps, int kStages>
void run(Queue queue, Launch l) {
  const auto kernel = single_kernel<kPacking, kTiles, kWarps, kStages>;
  constexpr int kRing = kWarps * kStages * Stage<kPacking, kTiles>::kBytes;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kRing);
  (void)allowed;  // where it failed, so does the launch
  PackedLaunch& a = l.a;
  constexpr int64_t kFull = 3072;  // warps that keep an H100 reading
  l.warps_per_tile = warps_per_tile(a, a.tokens, kWarps, kFull);
  const unsigned num_blocks = share_out(a, kWarps / l.warps_per_tile);
  launch(queue, dim3(num_blocks, static_cast<unsigned>(a.tokens)), kWarps * kWarp, kRing, kernel,
         l);
}

}  // namespace

bool fits_single(Queue queue, const PackedLaunch& a) {
  if (planes_of(queue) != 1) return false;
  // Gate and up of a dense layer are faster with what a block prepares (docs/performance).
  return a.experts != nullptr || (a.tokens == 1 && a.form != Form::kGated);
}

void multiply_single(Queue queue, DType dtype, const PackedLaunch& a) {
  dispatch_packing(dtype, [&]<Packing kPacking>() {
    // What is under way in a block takes the next kernel's room to begin: two or three stages.
    if (a.form == Form::kGated) return run<kPacking, 2, 8, 2>(queue, {a, 0});
    // Few and long rows are shared by all warps of larger blocks.
    constexpr int kLargeBlock = 16;
    constexpr int kMostTiles = 3 * 132;  // three for each multiprocessor of a large card
    if (a.experts == nullptr && tiles_of(a) <= kMostTiles && pieces_of(a.depth) >= 6 * kLargeBlock)
      return run<kPacking, 1, kLargeBlock, 3>(queue, {a, 0});
    run<kPacking, 1, 8, 3>(queue, {a, 0});
  });
}

}  // namespace gemma4::kernels::cuda

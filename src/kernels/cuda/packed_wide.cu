// Products of packed weights with many rows by `wgmma`. A warp brings copies of activations and
// weights on their way, stage by stage; groups of four warps turn weights into float16 in
// registers, one step ahead of the tensor cores, which take activations from shared memory. Sums
// stay where they are over all of K: weights come scaled.

#include "kernels/cuda/packed_wide.cuh"
#include "kernels/cuda/packed_wide_tile.cuh"

namespace gemma4::kernels::cuda {
namespace {

using namespace wide;  // NOLINT(google-build-using-namespace)

constexpr int kCard = 132;  // multiprocessors of a large card
constexpr int kMostParts = 16;

template <Packing kPacking, int kGroups, int kCols>
__global__ void __launch_bounds__(Shape<kPacking, kGroups, kCols>::kThreads,
                                  Shape<kPacking, kGroups, kCols>::kBlocks)
    wide_kernel(const __grid_constant__ Product a) {
#if defined(GEMMA4_HAS_WGMMA)
  multiply_tile<kPacking, kGroups, kCols>(a);
#endif
}

template <Packing kPacking, int kGroups, int kCols>
void run(Queue queue, const Product& a, int num_groups) {
  using S = Shape<kPacking, kGroups, kCols>;
  const auto kernel = wide_kernel<kPacking, kGroups, kCols>;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kSharedBytes);
  (void)allowed;  // where it failed, so does the launch
  const int tiles_of_unit = a.up != nullptr ? S::kTiles / 2 : S::kTiles;
  // Neighbouring blocks share weights.
  dim3 grid(static_cast<unsigned>(num_groups > 0 ? num_groups : ceil_div(a.tokens, kCols)),
            static_cast<unsigned>(ceil_div(ceil_div(a.rows, kTileRows), tiles_of_unit)));
  const unsigned tiles = grid.x * grid.y;
  constexpr int64_t kVectorBytes = kTilesOfWarp * kCols * 2;  // of a thread
  const int64_t room = static_cast<int64_t>(kFreeScratchBytes - kPlaneBytes) /
                       (static_cast<int64_t>(tiles) * S::kConsumers * kVectorBytes);
  int64_t parts = std::min<int64_t>(
      {kMostParts, static_cast<int64_t>(kCard * S::kBlocks / tiles), a.pieces / 8, room});
  if (num_groups > 0 || tiles > kCounterBytes / sizeof(unsigned)) parts = 1;
  grid.z = static_cast<unsigned>(std::max<int64_t>(parts, 1));
  launch(queue, grid, S::kThreads, S::kSharedBytes, kernel, a);
}

// The smallest tile that holds all tokens; large ones only where there are enough of them.
template <Packing kPacking>
void run_tile(Queue queue, const Product& a, int num_groups, int tokens_of_group) {
  if (tokens_of_group <= 16) return run<kPacking, 1, 16>(queue, a, num_groups);
  if (tokens_of_group <= 32) return run<kPacking, 1, 32>(queue, a, num_groups);
  if (tokens_of_group <= 64) return run<kPacking, 1, 64>(queue, a, num_groups);
  const int rows = a.up != nullptr ? 2 * a.rows : a.rows;
  if (ceil_div(rows, 256) * ceil_div(a.tokens, 128) < kCard)
    return run<kPacking, 1, 64>(queue, a, num_groups);
  run<kPacking, 2, 128>(queue, a, num_groups);
}

Product product_of(Queue queue, const HalfColumns& columns, int depth) {
  Product product{};
  product.blocks = columns.blocks;
  product.factors = columns.factors;
  product.num_blocks = columns.num_blocks;
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

bool can_multiply_wide(Queue queue, int64_t depth) {
  constexpr int64_t kMostDepth = 48 << 10;
  return queue.activations == Activations::kBFloat16 && depth <= kMostDepth && has_wgmma();
}

void multiply_wide(Queue queue, DType dtype, const PackedLaunch& a) {
  const int64_t at_once = most_half_tokens(a.depth);
  for (int64_t first = 0; first < a.tokens; first += at_once) {
    const int64_t tokens = std::min(at_once, a.tokens - first);
    Product product = product_of(
        queue, half_columns(queue, a.x + first * a.depth, nullptr, tokens, a.depth), a.depth);
    product.tokens = static_cast<int>(tokens);
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

void multiply_wide_grouped(Queue queue, DType dtype, const PackedLaunch& a,
                           const ExpertGroups& groups) {
  Product product =
      product_of(queue, half_columns(queue, a.x, groups.sources, a.tokens, a.depth), a.depth);
  product.tokens = static_cast<int>(a.tokens);
  product.form = a.form;
  product.groups = groups.tiles;
  product.expert_bytes = a.expert_bytes;
  set_part(product, a.parts[0], 0);
  dispatch_packing(dtype, [&]<Packing kPacking>() {
    run_tile<kPacking>(queue, product, groups.num_tiles, groups.tile_tokens);
  });
}

}  // namespace gemma4::kernels::cuda

// The best logits of a vocabulary: sorted tile by tile, keeping the best of each, until one tile is
// left.

#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kTile = 2 * kThreads;
constexpr int kKept = BestLogitsArgs::kCount;

// Larger for larger logits and, where those are equal, for smaller ids; 0 comes after all.
__device__ uint64_t key_of(float logit, int64_t id) {
  const uint32_t bits = __float_as_uint(isnan(logit) ? -INFINITY : logit + 0.0f);  // no -0
  const uint32_t rising = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(rising) << 32 | (0xFFFFFFFFu - static_cast<uint32_t>(id));
}

__device__ RankedLogit ranked(uint64_t key) {
  if (key == 0) return {-INFINITY, -1};
  const auto rising = static_cast<uint32_t>(key >> 32);
  const uint32_t bits = (rising & 0x80000000u) != 0 ? rising & 0x7FFFFFFFu : ~rising;
  return {__uint_as_float(bits), static_cast<int32_t>(0xFFFFFFFFu - static_cast<uint32_t>(key))};
}

// Falling order, by a bitonic network.
__device__ void sort(uint64_t* keys) {
  for (int size = 2; size <= kTile; size *= 2)
    for (int stride = size / 2; stride > 0; stride /= 2) {
      __syncthreads();
      const int low = 2 * threadIdx.x - (threadIdx.x & (stride - 1));
      const bool falls = (low & size) == 0;
      const uint64_t a = keys[low];
      const uint64_t b = keys[low + stride];
      if ((a < b) == falls) {
        keys[low] = b;
        keys[low + stride] = a;
      }
    }
  __syncthreads();
}

// One tile of one row: from `logits` or, if that is null, from `keys`; the best kKept of it go to
// `kept` or, if that is null, to `out`.
struct Pass {
  const float* logits;   // [R, count]
  const uint64_t* keys;  // [R, count]
  int64_t count;
  uint64_t* kept;    // [R, tiles · kKept]
  RankedLogit* out;  // [R, kKept]
};

__global__ void __launch_bounds__(kThreads) rank_kernel(Pass a) {
  __shared__ uint64_t keys[kTile];
  begin();
  const int64_t row = blockIdx.y;
  for (int i = threadIdx.x; i < kTile; i += kThreads) {
    const int64_t j = static_cast<int64_t>(blockIdx.x) * kTile + i;
    const int64_t at = row * a.count + j;
    keys[i] = j >= a.count ? 0 : a.logits != nullptr ? key_of(a.logits[at], j) : a.keys[at];
  }
  sort(keys);
  if (threadIdx.x >= kKept) return;
  if (a.kept != nullptr)
    a.kept[(row * gridDim.x + blockIdx.x) * kKept + threadIdx.x] = keys[threadIdx.x];
  else
    a.out[row * kKept + threadIdx.x] = ranked(keys[threadIdx.x]);
}

}  // namespace

void best_logits(Queue queue, const BestLogitsArgs& a) {
  const int64_t most_kept = ceil_div<int64_t>(a.cols, kTile) * kKept;
  auto* const first = reinterpret_cast<uint64_t*>(free_scratch(queue));
  const auto rows_at_once =
      static_cast<int64_t>(kFreeScratchBytes / sizeof(uint64_t) / 2) / most_kept;
  for (int64_t row = 0; row < a.rows; row += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, a.rows - row);
    uint64_t* const halves[2] = {first, first + rows * most_kept};
    Pass pass{};
    pass.logits = a.logits + row * a.cols;
    pass.count = a.cols;
    for (int turn = 0;; ++turn) {
      const int64_t tiles = ceil_div<int64_t>(pass.count, kTile);
      pass.kept = tiles > 1 ? halves[turn % 2] : nullptr;
      pass.out = a.out + row * kKept;
      launch(queue, dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(rows)), kThreads, 0,
             rank_kernel, pass);
      if (tiles == 1) break;
      pass.logits = nullptr;
      pass.keys = pass.kept;
      pass.count = tiles * kKept;
    }
  }
}

}  // namespace gemma4::kernels::cuda

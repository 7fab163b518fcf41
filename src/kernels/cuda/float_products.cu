// Products of float32 and float16 weights with many rows: the router of the mixture of experts,
// towers of other storage types. No tensor core multiplies float32 numbers without rounding them,
// so these are ordinary sums: a block has a tile of rows and tokens and a part of K, from shared
// memory; another kernel adds the parts up in their order.

#include "kernels/cuda/float_products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRows = 64;   // weight rows of a block
constexpr int kPart = 256;  // of K, summed by itself
constexpr int kDepth = 16;  // of a part that is in shared memory at once
constexpr int kThreadRows = 4;
constexpr int kThreadTokens = 4;
constexpr int kRowThreads = kRows / kThreadRows;
constexpr int kTokens = kThreads / kRowThreads * kThreadTokens;  // of a block
constexpr int kPadding = 4;  // columns of tiles begin in different banks, at whole vectors

template <typename T>
struct Product {
  const float* x;   // [T, K]
  const T* weight;  // [N, K]
  float* partial;   // [parts, T, N]
  int tokens;
  int rows;
  int depth;
};

// Elements [first, first + kDepth) of kCount rows, transposed: tile[k][row]. What is outside is 0.
template <int kCount, typename T>
__device__ inline void load_tile(float (&tile)[kDepth][kCount + kPadding], const T* from,
                                 int first_row, int rows, int depth, int first, int last) {
  for (int i = static_cast<int>(threadIdx.x); i < kCount * kDepth; i += kThreads) {
    const int row = first_row + i / kDepth;
    const int k = first + i % kDepth;
    tile[i % kDepth][i / kDepth] =
        row < rows && k < last ? to_float(from[static_cast<int64_t>(row) * depth + k]) : 0.0f;
  }
}

// A thread has kThreadTokens tokens and kThreadRows rows.
template <typename T>
__global__ void __launch_bounds__(kThreads) float_kernel(Product<T> a) {
  __shared__ __align__(16) float weights[kDepth][kRows + kPadding];
  __shared__ float tokens[kDepth][kTokens + kPadding];
  begin();
  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  const int first_token = static_cast<int>(blockIdx.y) * kTokens;
  const int own_row = static_cast<int>(threadIdx.x) % kRowThreads * kThreadRows;
  const int own_token = static_cast<int>(threadIdx.x) / kRowThreads * kThreadTokens;
  const int begin_k = static_cast<int>(blockIdx.z) * kPart;
  const int end_k = min(begin_k + kPart, a.depth);
  float sums[kThreadTokens][kThreadRows] = {};
  for (int k = begin_k; k < end_k; k += kDepth) {
    __syncthreads();  // the tiles before may still be read
    load_tile<kRows>(weights, a.weight, first_row, a.rows, a.depth, k, end_k);
    load_tile<kTokens>(tokens, a.x, first_token, a.tokens, a.depth, k, end_k);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const float4 w = *reinterpret_cast<const float4*>(&weights[i][own_row]);
#pragma unroll
      for (int t = 0; t < kThreadTokens; ++t) {
        const float x = tokens[i][own_token + t];
        sums[t][0] = fmaf(x, w.x, sums[t][0]);
        sums[t][1] = fmaf(x, w.y, sums[t][1]);
        sums[t][2] = fmaf(x, w.z, sums[t][2]);
        sums[t][3] = fmaf(x, w.w, sums[t][3]);
      }
    }
  }
#pragma unroll
  for (int t = 0; t < kThreadTokens; ++t) {
    const int token = first_token + own_token + t;
    if (token >= a.tokens) break;
    float* const out =
        a.partial + (static_cast<int64_t>(blockIdx.z) * a.tokens + token) * a.rows + first_row;
#pragma unroll
    for (int r = 0; r < kThreadRows; ++r)
      if (first_row + own_row + r < a.rows) out[own_row + r] = sums[t][r];
  }
}

// out [n] = Σ_p partial [parts, n]
__global__ void add_parts_kernel(float* out, const float* partial, int parts, int64_t n) {
  begin();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  float sum = 0;
#pragma unroll 4
  for (int p = 0; p < parts; ++p) sum += partial[p * n + i];
  out[i] = sum;
}

}  // namespace

bool can_multiply_floats(const Matrix& weight, int64_t tokens) {
  // Below, there are too few tiles for the card, and reading weights for eight rows each is faster.
  constexpr int64_t kMostFew = 64;
  const int64_t token_bytes =
      ceil_div<int64_t>(weight.cols, kPart) * weight.rows * static_cast<int64_t>(sizeof(float));
  return (weight.dtype == DType::kF32 || weight.dtype == DType::kF16) && tokens > kMostFew &&
         token_bytes <= static_cast<int64_t>(kFreeScratchBytes) / kTokens;
}

void multiply_floats(Queue queue, const LinearArgs& a) {
  const int64_t rows = a.weight.rows;
  const int parts = static_cast<int>(ceil_div<int64_t>(a.weight.cols, kPart));
  const int64_t most = static_cast<int64_t>(kFreeScratchBytes / sizeof(float)) / (parts * rows);
  auto* const partial = reinterpret_cast<float*>(free_scratch(queue));
  dispatch(a.weight, [&]<typename T>(const T* weight) {
    for (int64_t first = 0; first < a.tokens; first += most) {
      const int64_t tokens = std::min(most, a.tokens - first);
      const Product<T> product{a.x + first * a.weight.cols,
                               weight,
                               partial,
                               static_cast<int>(tokens),
                               static_cast<int>(rows),
                               static_cast<int>(a.weight.cols)};
      const dim3 grid(static_cast<unsigned>(ceil_div(product.rows, kRows)),
                      static_cast<unsigned>(ceil_div(product.tokens, kTokens)),
                      static_cast<unsigned>(parts));
      launch(queue, grid, kThreads, 0, float_kernel<T>, product);
      launch(queue, blocks(ceil_div<int64_t>(tokens * rows, kThreads)), kThreads, 0,
             add_parts_kernel, a.out + first * rows, partial, parts, tokens * rows);
    }
  });
}

}  // namespace gemma4::kernels::cuda

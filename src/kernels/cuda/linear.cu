// Linear layers in float32. With few rows of activations: one to eight warps per weight row, and
// one launch for up to three weights of one input, or a gate and what it multiplies. With more:
// products.cu, and float_products.cu for weights of other types than bfloat16.

#include "kernels/cuda/dot.cuh"
#include "kernels/cuda/entries.cuh"
#include "kernels/cuda/float_products.cuh"
#include "kernels/cuda/packed_products.cuh"
#include "kernels/cuda/packed_wide.cuh"
#include "kernels/cuda/products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kWarps = 8;

// Warps that share a row. One warp reads a row of 1,536 with six loads in flight; longer rows, and
// matrices whose rows alone would not fill the card, are shared by more, as long as each has
// something to read. Follows from the weight's shape alone, and so does the order of a sum.
int warps_per_row(int64_t rows, int64_t cols) {
  constexpr int64_t kStretch = 8 * kWarp;  // elements of one load by a warp
  constexpr int64_t kMostLoads = 6;
  constexpr int64_t kFull = 2048;  // warps that keep an H100 reading
  int warps = 1;
  while (warps < kWarps && (cols > kMostLoads * kStretch * warps ||
                            (rows * warps < kFull && cols >= 2 * kStretch * warps)))
    warps *= 2;
  return warps;
}

// One weight of a launch and where its product goes
template <typename T>
struct Part {
  const T* weight;
  const T* up;  // the second matrix of a gated part
  float* out;   // [T, rows]
  int64_t rows;
  unsigned first_block;
};

template <typename T>
struct Launch {
  const float* x;  // [T, cols]
  int64_t tokens;
  int64_t cols;
  int warps_per_row;
  Part<T> parts[LinearGroupArgs::kMost];
  int count;
  const float* multiplier;  // of a gated part without `up`
  int64_t multiplier_stride;
  Activations activations;
};

// sum[0] becomes the sum over the warps that share a row, in their order, in the first of them.
template <int kTokens, int kRows>
__device__ void add_up(float (&sum)[kRows][kTokens], int warps) {
  __shared__ float partial[kWarps][kRows][kTokens];
  const int warp = threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int m = 0; m < kRows; ++m)
#pragma unroll
    for (int t = 0; t < kTokens; ++t)
      if (lane == t) partial[warp][m][t] = sum[m][t];
  __syncthreads();
  if (warp % warps != 0) return;
  for (int i = 1; i < warps; ++i)
#pragma unroll
    for (int m = 0; m < kRows; ++m)
#pragma unroll
      for (int t = 0; t < kTokens; ++t) sum[m][t] += partial[warp + i][m][t];
}

template <int kTokens, Form kForm, typename T>
__global__ void __launch_bounds__(kWarps* kWarp) linear_kernel(Launch<T> a) {
  constexpr int kRows = kForm == Form::kGated ? 2 : 1;
  constexpr int kAhead = sizeof(T) > 2 ? 2 : 6;
  int part_idx = 0;
  while (part_idx + 1 < a.count && blockIdx.x >= a.parts[part_idx + 1].first_block) ++part_idx;
  const Part<T>& part = a.parts[part_idx];
  const int warp = threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int64_t row =
      static_cast<int64_t>(blockIdx.x - part.first_block) * (kWarps / a.warps_per_row) +
      warp / a.warps_per_row;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kTokens;
  const int tokens = static_cast<int>(min(static_cast<int64_t>(kTokens), a.tokens - first));
  const bool is_row = row < part.rows;

  const T* w[kRows];
  w[0] = is_row ? part.weight + row * a.cols : nullptr;
  if constexpr (kRows > 1) w[1] = part.up + row * a.cols;
  float sum[kRows][kTokens];
  warp_dot<kTokens, kRows, kAhead>(w, a.x + first * a.cols, a.cols, a.cols, tokens, sum,
                                   a.activations, warp % a.warps_per_row, a.warps_per_row);
  allow_next();  // earlier, the next kernel would be in the way
  if (a.warps_per_row > 1) add_up<kTokens, kRows>(sum, a.warps_per_row);
  if (!is_row || warp % a.warps_per_row != 0) return;
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    if (t >= tokens || lane != t) continue;
    float value = sum[0][t];
    if constexpr (kForm == Form::kGated) value = gelu_tanh(value) * sum[kRows - 1][t];
    if constexpr (kForm == Form::kMultiplied)
      value = gelu_tanh(value) * a.multiplier[(first + t) * a.multiplier_stride + row];
    part.out[(first + t) * part.rows + row] = value;
  }
}

// Sets the blocks of the parts and runs them all.
template <Form kForm, typename T>
void run(Queue queue, Launch<T> a) {
  int64_t rows = 0;
  for (int i = 0; i < a.count; ++i) rows += a.parts[i].rows;
  a.warps_per_row = warps_per_row(rows, a.cols);
  unsigned num_blocks = 0;
  for (int i = 0; i < a.count; ++i) {
    a.parts[i].first_block = num_blocks;
    num_blocks +=
        static_cast<unsigned>(ceil_div<int64_t>(a.parts[i].rows, kWarps / a.warps_per_row));
  }
  const auto grid = [&](int64_t tokens) {
    return dim3(num_blocks, static_cast<unsigned>(ceil_div<int64_t>(a.tokens, tokens)));
  };
  if (a.tokens == 1)
    launch(queue, grid(1), kWarps * kWarp, 0, linear_kernel<1, kForm, T>, a);
  else if (a.tokens <= 4)
    launch(queue, grid(4), kWarps * kWarp, 0, linear_kernel<4, kForm, T>, a);
  else
    launch(queue, grid(8), kWarps * kWarp, 0, linear_kernel<8, kForm, T>, a);
}

// Calls f(first token, number of tokens) for as many rows of x [tokens, depth] as can be split at
// once.
template <typename F>
void for_split(Queue queue, const float* x, int64_t tokens, int64_t depth, F&& f) {
  const int64_t most = most_tokens(queue, depth);
  for (int64_t first = 0; first < tokens; first += most) {
    const int64_t count = std::min(most, tokens - first);
    split(queue, x + first * depth, count, depth);
    f(first, count);
  }
}

bool can_multiply_all(Queue queue, const LinearGroupArgs& a) {
  for (int i = 0; i < a.count; ++i)
    if (!can_multiply(queue, a.weight[i], a.tokens)) return false;
  return true;
}

bool can_multiply_all_floats(const LinearGroupArgs& a) {
  for (int i = 0; i < a.count; ++i)
    if (!can_multiply_floats(a.weight[i], a.tokens)) return false;
  return true;
}

// Other weights than bfloat16 have no products on tensor cores that would round for them.
template <typename T>
Activations activations_of(Queue queue) {
  return std::is_same_v<T, __nv_bfloat16> ? queue.activations : Activations::kFloat32;
}

void run_packed(Queue queue, DType dtype, const PackedLaunch& a) {
  if (fits_single(queue, a)) return multiply_single(queue, dtype, a);
  if (fits_few(queue, dtype, a)) return multiply_few(queue, dtype, a);
  // A few rows and a small weight are not worth the start of a wide product.
  constexpr int64_t kSmall = 32 << 20;
  const bool is_small = a.tokens <= 8 && int64_t{a.parts[0].rows} * a.depth < kSmall;
  if (!is_small && can_multiply_wide(queue, a.depth)) return multiply_wide(queue, dtype, a);
  multiply_packed(queue, dtype, a);
}

PackedLaunch packed_launch(const float* x, int64_t tokens, const Matrix& weight) {
  PackedLaunch launch{};
  launch.x = x;
  launch.tokens = tokens;
  launch.depth = static_cast<int>(weight.cols);
  launch.rows_per_x = 1;
  return launch;
}

PackedLaunch::Part packed_part(const Matrix& weight, const Matrix& up, float* out) {
  return {static_cast<const std::byte*>(weight.packed), static_cast<const std::byte*>(up.packed),
          out, static_cast<int>(weight.rows), 0};
}

}  // namespace

void linear_group(Queue queue, const LinearGroupArgs& a) {
  if (a.weight[0].packed != nullptr) {
    PackedLaunch launch = packed_launch(a.x, a.tokens, a.weight[0]);
    for (int i = 0; i < a.count; ++i)
      launch.parts[launch.count++] = packed_part(a.weight[i], {}, a.out[i]);
    return run_packed(queue, a.weight[0].dtype, launch);
  }
  if (can_multiply_all(queue, a))
    return for_split(queue, a.x, a.tokens, a.weight[0].cols, [&](int64_t first, int64_t count) {
      for (int i = 0; i < a.count; ++i)
        multiply(queue, Form::kPlain, a.weight[i], count, a.out[i] + first * a.weight[i].rows);
    });
  if (can_multiply_all_floats(a)) {
    for (int i = 0; i < a.count; ++i)
      multiply_floats(queue, {a.out[i], a.x, a.tokens, a.weight[i]});
    return;
  }
  dispatch(a.weight[0], [&]<typename T>(const T*) {
    Launch<T> launch{};
    launch.x = a.x;
    launch.tokens = a.tokens;
    launch.cols = a.weight[0].cols;
    launch.count = a.count;
    launch.activations = activations_of<T>(queue);
    for (int i = 0; i < a.count; ++i)
      launch.parts[i] =
          Part<T>{static_cast<const T*>(a.weight[i].data), nullptr, a.out[i], a.weight[i].rows, 0};
    run<Form::kPlain>(queue, launch);
  });
}

void linear(Queue queue, const LinearArgs& a) {
  linear_group(queue,
               {.x = a.x, .tokens = a.tokens, .count = 1, .weight = {a.weight}, .out = {a.out}});
}

void gated_linear(Queue queue, const GatedLinearArgs& a) {
  if (a.gate.packed != nullptr) {
    PackedLaunch launch = packed_launch(a.x, a.tokens, a.gate);
    launch.parts[launch.count++] = packed_part(a.gate, a.up, a.out);
    launch.form = a.up ? Form::kGated : Form::kMultiplied;
    launch.multiplier = a.multiplier;
    launch.multiplier_stride = a.multiplier_stride;
    return run_packed(queue, a.gate.dtype, launch);
  }
  if (can_multiply(queue, a.gate, a.tokens) && (!a.up || can_multiply(queue, a.up, a.tokens)))
    return for_split(queue, a.x, a.tokens, a.gate.cols, [&](int64_t first, int64_t count) {
      float* const out = a.out + first * a.gate.rows;
      if (!a.up)
        return multiply(queue, Form::kMultiplied, a.gate, count, out,
                        a.multiplier + first * a.multiplier_stride, a.multiplier_stride);
      multiply(queue, Form::kPlain, a.gate, count, out);
      multiply(queue, Form::kGated, a.up, count, out);
    });
  dispatch(a.gate, [&]<typename T>(const T* gate) {
    Launch<T> launch{};
    launch.x = a.x;
    launch.tokens = a.tokens;
    launch.cols = a.gate.cols;
    launch.count = 1;
    launch.activations = activations_of<T>(queue);
    launch.multiplier = a.multiplier;
    launch.multiplier_stride = a.multiplier_stride;
    launch.parts[0] = Part<T>{gate, static_cast<const T*>(a.up.data), a.out, a.gate.rows, 0};
    a.up ? run<Form::kGated>(queue, launch) : run<Form::kMultiplied>(queue, launch);
  });
}

}  // namespace gemma4::kernels::cuda

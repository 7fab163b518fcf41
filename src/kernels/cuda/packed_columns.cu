// Rounds activations to bfloat16, or splits them into three bfloat16 numbers, in the order in which
// products with packed weights read them.

#include "kernels/cuda/packed_columns.cuh"
#include "kernels/cuda/products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr size_t kColumnBytes = kPlaneBytes / 8 * 7;  // of the scratch; the rest is for their sums

// x [T, K] as columns [planes, T, padded K] and, where asked for, sums over `group` of them
// [padded K / group, planes · T].
struct Rounding {
  const float* x;
  __nv_bfloat16* columns;
  float* totals;  // or null
  int64_t tokens;
  int depth;
  int planes;
  int group;
};

__global__ void round_kernel(Rounding a) {
  begin();
  const int padded = static_cast<int>(pieces_of(a.depth)) * kPieceCols;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t token = min(i / (padded / 4), a.tokens - 1);
  const bool valid = i / (padded / 4) < a.tokens;
  const int k = static_cast<int>(i % (padded / 4)) * 4;
  float4 x = {0, 0, 0, 0};
  if (k < a.depth) x = *reinterpret_cast<const float4*>(a.x + token * a.depth + k);
  float rest[4] = {x.x, x.y, x.z, x.w};
  for (int p = 0; p < a.planes; ++p) {
    const uint2 pairs = {to_pair(rest[0], rest[1]), to_pair(rest[2], rest[3])};
    const int64_t column = p * a.tokens + token;
    if (valid)
      *reinterpret_cast<uint2*>(a.columns + column * padded + k / 32 * 32 + order_in_32(k % 32)) =
          pairs;
    const float2 low = __bfloat1622float2(pair_of(pairs.x));
    const float2 high = __bfloat1622float2(pair_of(pairs.y));
    rest[0] -= low.x, rest[1] -= low.y, rest[2] -= high.x, rest[3] -= high.y;
    if (a.totals == nullptr) continue;
    float sum = (low.x + low.y) + (high.x + high.y);
    for (int offset = 1; offset < a.group / 4; offset *= 2)
      sum += __shfl_xor_sync(~0u, sum, offset);
    if (valid && k % a.group == 0) a.totals[k / a.group * a.planes * a.tokens + column] = sum;
  }
}

int64_t padded_depth(int64_t depth) { return pieces_of(depth) * kPieceCols; }

}  // namespace

int64_t most_packed_tokens(Queue queue, int64_t depth) {
  return static_cast<int64_t>(kColumnBytes) / (padded_depth(depth) * 2 * planes_of(queue));
}

Columns round_columns(Queue queue, DType dtype, const float* x, int64_t tokens, int depth) {
  const Packing packing = packing_of(dtype);
  Rounding a{};
  a.x = x;
  a.columns = reinterpret_cast<__nv_bfloat16*>(free_scratch(queue));
  if (has_offset(packing)) a.totals = reinterpret_cast<float*>(free_scratch(queue) + kColumnBytes);
  a.tokens = tokens;
  a.depth = depth;
  a.planes = planes_of(queue);
  a.group = group_cols(packing);
  launch(queue, blocks(ceil_div<int64_t>(tokens * padded_depth(depth) / 4, kThreads)), kThreads, 0,
         round_kernel, a);
  return {a.columns, a.totals};
}

}  // namespace gemma4::kernels::cuda

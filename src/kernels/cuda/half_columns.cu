// Rounds activations for wide products: to bfloat16, as all products do, and then, without another
// rounding, to float16 with one power of two for a token. (What is 2^-29 of the token's largest
// number or less loses bits.)

#include "kernels/cuda/half_columns.cuh"
#include "kernels/cuda/products.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr size_t kFactorBytes = 1 << 20;  // of the scratch memory for planes
constexpr int kMostShared = 112 << 10;    // two blocks on a multiprocessor

struct Rounding {
  const float* x;
  const int32_t* sources;
  std::byte* blocks;
  float* factors;
  int64_t tokens;
  int num_blocks;
  int depth;
  int tokens_at_once;  // of a block of threads: 1, 2, 4 or 8
};

__host__ __device__ constexpr int padded(int depth) {
  return ceil_div(depth, kPieceCols) * kPieceCols;
}

// Whole warps for a token
__global__ void __launch_bounds__(kThreads) half_kernel(Rounding a) {
  extern __shared__ __align__(16) __nv_bfloat16 rows[];  // [tokens_at_once, padded depth + 8]
  __shared__ float largest[kThreads / kWarp];
  begin();
  const int columns = padded(a.depth);
  const int stride = columns + 8;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * a.tokens_at_once;
  const int threads_of_token = kThreads / a.tokens_at_once;  // whole warps
  const int own = static_cast<int>(threadIdx.x) / threads_of_token;
  const int64_t token = first + own;
  int64_t source = token < a.tokens ? token : -1;
  if (source >= 0 && a.sources != nullptr) source = a.sources[token];
  float most = 0;
#pragma unroll 4
  for (int k = static_cast<int>(threadIdx.x) % threads_of_token * 4; k < columns;
       k += threads_of_token * 4) {
    float4 x = {0, 0, 0, 0};
    if (source >= 0 && k < a.depth)
      x = *reinterpret_cast<const float4*>(a.x + source * a.depth + k);
    most = fmaxf(most, fmaxf(fmaxf(fabsf(x.x), fabsf(x.y)), fmaxf(fabsf(x.z), fabsf(x.w))));
    *reinterpret_cast<uint2*>(rows + own * stride + k) = {to_pair(x.x, x.y), to_pair(x.z, x.w)};
  }
  most = warp_max(most);
  if (threadIdx.x % kWarp == 0) largest[threadIdx.x / kWarp] = most;
  __syncthreads();
  allow_next();
  // Of token t: the largest number goes to [2^14, 2^15); numbers of float16 end at 2^16.
  const auto exponent_of = [&](int t) {
    float value = 0;
    const int warps = threads_of_token / kWarp;
    for (int w = 0; w < warps; ++w) value = fmaxf(value, largest[t * warps + w]);
    return max(static_cast<int>(__float_as_uint(value) >> 23) - 127, -100);
  };
  const auto power = [](int exponent) {
    return __uint_as_float(static_cast<unsigned>(exponent + 127) << 23);
  };
  if (static_cast<int>(threadIdx.x) % threads_of_token == 0 && token < a.tokens)
    a.factors[token] = power(exponent_of(own) - 14);
  // Sixteen columns of a token; neighbours are tokens, so that blocks are written in one go.
  const int t = static_cast<int>(threadIdx.x) % a.tokens_at_once;
  const float scale = power(14 - exponent_of(t));
  const int place = static_cast<int>((first + t) % kBrickTokens);
  for (int k = static_cast<int>(threadIdx.x) / a.tokens_at_once * 16; k < columns;
       k += kThreads / a.tokens_at_once * 16) {
    const auto* from = reinterpret_cast<const uint4*>(rows + t * stride + k);
    const uint4 halves[2] = {from[0], from[1]};
    const uint32_t words[8] = {halves[0].x, halves[0].y, halves[0].z, halves[0].w,
                               halves[1].x, halves[1].y, halves[1].z, halves[1].w};
    uint32_t out[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float2 pair = __bfloat1622float2(pair_of(words[i]));
      const __half2 scaled = __floats2half2_rn(pair.x * scale, pair.y * scale);
      // order_in_16(2 i) is even: pair i goes to chunk i % 2, place i / 2.
      out[i % 2 * 4 + i / 2] = *reinterpret_cast<const uint32_t*>(&scaled);
    }
    std::byte* to =
        a.blocks +
        (static_cast<int64_t>(k / kPieceCols) * a.num_blocks + (first + t) / kBrickTokens) *
            kBlockBytes +
        (k % kPieceCols / 8 * kBrickTokens + place) * 16;
    reinterpret_cast<uint4*>(to)[0] = {out[0], out[1], out[2], out[3]};
    reinterpret_cast<uint4*>(to)[kBrickTokens] = {out[4], out[5], out[6], out[7]};
  }
}

}  // namespace

int64_t most_half_tokens(int64_t depth) {
  const auto room = static_cast<int64_t>(kPlaneBytes - kFactorBytes);
  return std::min(room / (pieces_of(depth) * kPieceCols * 2) / kBrickTokens * kBrickTokens,
                  static_cast<int64_t>(kFactorBytes / sizeof(float)));
}

HalfColumns half_columns(Queue queue, const float* x, const int32_t* sources, int64_t tokens,
                         int depth) {
  static const cudaError_t allowed =
      cudaFuncSetAttribute(half_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostShared);
  (void)allowed;  // where it failed, so does the launch
  const auto shared_bytes = [&](int at_once) {
    return static_cast<size_t>(at_once) * static_cast<size_t>(padded(depth) + 8) * 2;
  };
  Rounding a{};
  a.x = x;
  a.sources = sources;
  a.blocks = free_scratch(queue);
  a.factors = reinterpret_cast<float*>(free_scratch(queue) + kPlaneBytes - kFactorBytes);
  a.tokens = tokens;
  a.num_blocks = static_cast<int>(ceil_div<int64_t>(tokens, kBrickTokens));
  a.depth = depth;
  a.tokens_at_once = kBrickTokens;
  // Few tokens: more blocks of threads
  while (a.tokens_at_once > 1 && (shared_bytes(a.tokens_at_once) > kMostShared ||
                                  a.num_blocks * (kBrickTokens / a.tokens_at_once) < 128))
    a.tokens_at_once /= 2;
  launch(queue, blocks(static_cast<int64_t>(a.num_blocks) * (kBrickTokens / a.tokens_at_once)),
         kThreads, shared_bytes(a.tokens_at_once), half_kernel, a);
  return {a.blocks, a.factors, a.num_blocks};
}

}  // namespace gemma4::kernels::cuda

// Matrix products: tiles of dot products, vectorised along K. Included once per instruction set.
//
// Every output has one accumulator that runs over K in the same order whatever the tile, so a row's
// result does not depend on its batch mates, bit for bit; the metamorphic tests rely on it.

// Per-target include guard.
#if defined(GEMMA4_KERNELS_CPU_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_LINEAR_INL_H_
#undef GEMMA4_KERNELS_CPU_LINEAR_INL_H_
#else
#define GEMMA4_KERNELS_CPU_LINEAR_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/quantised-inl.h"
#include "kernels/table.h"
#include "quant/dequantize.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

// Accumulators per tile: as many as the registers hold beside the operands. AVX-512 and NEON have
// 32 vector registers, AVX2 and SSE have 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
constexpr int kTileTokens = 6;
#else
constexpr int kTileTokens = 2;
#endif
constexpr int kTileRows = 4;
constexpr int kSingleTokenRows = 8;  // one token: more rows in flight hide memory latency

struct F32Weights {
  using Raw = float;
  static HWY_INLINE FloatVec load(const Raw* p) { return hn::LoadU(FloatTag(), p); }
  static constexpr DType kType = DType::kF32;
};
struct Bf16Weights {
  using Raw = hwy::bfloat16_t;
  static HWY_INLINE FloatVec load(const Raw* p) {
    const hn::Rebind<uint16_t, FloatTag> half;
    const hn::RebindToUnsigned<FloatTag> word;
    const auto bits = hn::LoadU(half, reinterpret_cast<const uint16_t*>(p));
    return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(hn::PromoteTo(word, bits)));
  }
  static constexpr DType kType = DType::kBF16;
};
struct F16Weights {
  using Raw = hwy::float16_t;
  static HWY_INLINE FloatVec load(const Raw* p) {
    const hn::Rebind<hwy::float16_t, FloatTag> half;
    return hn::PromoteTo(FloatTag(), hn::LoadU(half, p));
  }
  static constexpr DType kType = DType::kF16;
};

// out[t · out_stride + n] = x[t] · w[n] for a tile of kTokens x kRows.
template <class Weights, int kTokens, int kRows>
HWY_INLINE void dot_tile(const float* HWY_RESTRICT x, int64_t x_stride,
                         const typename Weights::Raw* HWY_RESTRICT w, int64_t w_stride,
                         int64_t k_size, float* HWY_RESTRICT out, int64_t out_stride) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  FloatVec sum[kTokens][kRows];
  for (int t = 0; t < kTokens; ++t)
    for (int n = 0; n < kRows; ++n) sum[t][n] = hn::Zero(d);

  int64_t k = 0;
  for (; k + lanes <= k_size; k += lanes) {
    FloatVec row[kRows];
    for (int n = 0; n < kRows; ++n) row[n] = Weights::load(w + n * w_stride + k);
    for (int t = 0; t < kTokens; ++t) {
      const FloatVec value = hn::LoadU(d, x + t * x_stride + k);
      for (int n = 0; n < kRows; ++n) sum[t][n] = hn::MulAdd(value, row[n], sum[t][n]);
    }
  }
  if (k < k_size) {  // the tail, padded with zeros
    HWY_ALIGN float padded_w[kRows][HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float padded_x[HWY_MAX_BYTES / sizeof(float)] = {};
    const auto tail = static_cast<size_t>(k_size - k);
    for (int n = 0; n < kRows; ++n)
      for (size_t i = 0; i < tail; ++i)
        padded_w[n][i] = load_float(w + n * w_stride + k, Weights::kType, static_cast<int64_t>(i));
    for (int t = 0; t < kTokens; ++t) {
      std::memcpy(padded_x, x + t * x_stride + k, tail * sizeof(float));
      const FloatVec value = hn::Load(d, padded_x);
      for (int n = 0; n < kRows; ++n)
        sum[t][n] = hn::MulAdd(value, hn::Load(d, padded_w[n]), sum[t][n]);
    }
  }
  for (int t = 0; t < kTokens; ++t)
    for (int n = 0; n < kRows; ++n)
      out[t * out_stride + n] = hn::GetLane(hn::SumOfLanes(d, sum[t][n]));
}

// All rows [0, rows) for one group of kTokens tokens.
template <class Weights, int kTokens>
HWY_NOINLINE void dot_rows(const float* x, int64_t x_stride, const typename Weights::Raw* w,
                           int64_t w_stride, int64_t rows, int64_t k_size, float* out,
                           int64_t out_stride) {
  constexpr int kRows = kTokens == 1 ? kSingleTokenRows : kTileRows;
  int64_t n = 0;
  for (; n + kRows <= rows; n += kRows)
    dot_tile<Weights, kTokens, kRows>(x, x_stride, w + n * w_stride, w_stride, k_size, out + n,
                                      out_stride);
  for (; n < rows; ++n)
    dot_tile<Weights, kTokens, 1>(x, x_stride, w + n * w_stride, w_stride, k_size, out + n,
                                  out_stride);
}

// out[t, n] = x[t] · w[n] for t in [0, tokens), n in [0, rows).
template <class Weights>
void dot_block(const float* x, int64_t x_stride, int64_t tokens, const typename Weights::Raw* w,
               int64_t w_stride, int64_t rows, int64_t k_size, float* out, int64_t out_stride) {
  int64_t t = 0;
  for (; t + kTileTokens <= tokens; t += kTileTokens)
    dot_rows<Weights, kTileTokens>(x + t * x_stride, x_stride, w, w_stride, rows, k_size,
                                   out + t * out_stride, out_stride);
  if (tokens - t >= 4 && kTileTokens > 4) {
    dot_rows<Weights, 4>(x + t * x_stride, x_stride, w, w_stride, rows, k_size,
                         out + t * out_stride, out_stride);
    t += 4;
  }
  for (; t + 2 <= tokens; t += 2)
    dot_rows<Weights, 2>(x + t * x_stride, x_stride, w, w_stride, rows, k_size,
                         out + t * out_stride, out_stride);
  if (t < tokens)
    dot_rows<Weights, 1>(x + t * x_stride, x_stride, w, w_stride, rows, k_size,
                         out + t * out_stride, out_stride);
}

template <class Weights>
HWY_INLINE void widen(const typename Weights::Raw* HWY_RESTRICT w, int64_t n,
                      float* HWY_RESTRICT out) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(Weights::load(w + i), d, out + i);
  for (; i < n; ++i) out[i] = load_float(w, Weights::kType, i);
}

// The input of a product in the form that the weight asks for. Products: SetProducts or another.
template <class Products>
class LinearInput {
 public:
  // x [tokens, stride], of which weight.cols columns count.
  LinearInput(Queue queue, const float* x, int64_t stride, int64_t tokens, const Matrix& weight)
      : x_(x), stride_(stride) {
    static thread_local QuantisedRows quantised;  // grows to what the largest step needs
    if (weight.packed == nullptr) return;
    with_format<Products>(weight.dtype, [&](auto format) {
      quantise_rows<decltype(format)>(queue, x, stride, tokens, weight.cols, quantised);
    });
    quantised_ = &quantised;
  }
  // out[t · out_stride + n] = x[first + t] · weight[n] for t in [0, tokens) and rows [begin, end);
  // n counts from row 0.
  void multiply(int64_t first, int64_t tokens, const Matrix& weight, int64_t begin, int64_t end,
                float* out, int64_t out_stride) const {
    if (weight.packed != nullptr)
      return quantised_linear_rows<Products>(*quantised_, first, tokens, weight, begin, end, out,
                                             out_stride);
    if (is_block_dtype(weight.dtype))
      return multiply_blocks(first, tokens, weight, begin, end, out, out_stride);
    const auto run = [&](auto weights) {
      using Weights = decltype(weights);
      const auto* w = static_cast<const typename Weights::Raw*>(weight.data) + begin * weight.cols;
      if (Weights::kType != DType::kF32 && tokens >= kManyTokens)
        return multiply_widened<Weights>(first, tokens, w, weight.cols, begin, end, out,
                                         out_stride);
      dot_block<Weights>(x_ + first * stride_, stride_, tokens, w, weight.cols, end - begin,
                         weight.cols, out + begin, out_stride);
    };
    if (weight.dtype == DType::kBF16) return run(Bf16Weights());
    if (weight.dtype == DType::kF16) return run(F16Weights());
    G4_CHECK(weight.dtype == DType::kF32);
    run(F32Weights());
  }

 private:
  // Widening a weight takes the ports of two multiplications. With many tokens it is done once for
  // all of them, for as many rows as stay close while they are used; the products are the same.
  static constexpr int64_t kManyTokens = 24;
  template <class Weights>
  void multiply_widened(int64_t first, int64_t tokens, const typename Weights::Raw* w, int64_t cols,
                        int64_t begin, int64_t end, float* out, int64_t out_stride) const {
    constexpr int64_t kElements = 64 << 10;  // of float32: a part of the second cache
    static thread_local std::vector<float> wide;
    const int64_t rows = std::max<int64_t>(kTileRows, kElements / cols / kTileRows * kTileRows);
    wide.resize(static_cast<size_t>(rows * cols));
    for (int64_t n = begin; n < end; n += rows) {
      const int64_t count = std::min(rows, end - n);
      widen<Weights>(w + (n - begin) * cols, count * cols, wide.data());
      dot_block<F32Weights>(x_ + first * stride_, stride_, tokens, wide.data(), cols, count, cols,
                            out + n, out_stride);
    }
  }

  // Types without a packed order: a few rows at a time become floats.
  void multiply_blocks(int64_t first, int64_t tokens, const Matrix& weight, int64_t begin,
                       int64_t end, float* out, int64_t out_stride) const {
    static thread_local std::vector<float> rows;
    rows.resize(static_cast<size_t>(kSingleTokenRows * weight.cols));
    for (int64_t n = begin; n < end; n += kSingleTokenRows) {
      const int64_t count = std::min<int64_t>(kSingleTokenRows, end - n);
      const auto* bytes = static_cast<const std::byte*>(weight.data) + n * weight.row_bytes();
      quant::dequantize_row(weight.dtype, bytes, count * weight.cols, rows.data());
      dot_block<F32Weights>(x_ + first * stride_, stride_, tokens, rows.data(), weight.cols, count,
                            weight.cols, out + n, out_stride);
    }
  }

  const float* x_;
  int64_t stride_;
  const QuantisedRows* quantised_ = nullptr;
};

// Rows per piece of work: a small part of a usual L2 cache, so that a block of weights is read from
// memory once and then reused for every group of tokens; small enough to balance many threads,
// which take several pieces in a row while there are many.
inline int64_t rows_per_piece(const Matrix& weight) {
  constexpr int64_t kPieceBytes = 64 << 10;
  const int64_t step = weight.packed != nullptr ? 2 * kPackedRows : kSingleTokenRows;
  const int64_t rows =
      std::clamp<int64_t>(kPieceBytes / std::max<int64_t>(weight.row_bytes(), 1), step, 512);
  return rows / step * step;
}

template <class Products>
void linear(Queue queue, const LinearArgs& a) {
  const LinearInput<Products> input(queue, a.x, a.weight.cols, a.tokens, a.weight);
  queue.pool->parallel_for(
      a.weight.rows, rows_per_piece(a.weight), [&](int64_t begin, int64_t end) {
        input.multiply(0, a.tokens, a.weight, begin, end, a.out, a.weight.rows);
      });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

// Norms, activations, embeddings and the other kernels that touch each element once or twice.
// Included once per instruction set.

#if defined(GEMMA4_KERNELS_CPU_ELEMENTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_ELEMENTWISE_INL_H_
#undef GEMMA4_KERNELS_CPU_ELEMENTWISE_INL_H_
#else
#define GEMMA4_KERNELS_CPU_ELEMENTWISE_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cmath>

#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"
#include "quant/dequantize.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows per piece, so that a piece is worth handing to another thread.
inline int64_t grain_of(int64_t cols) {
  constexpr int64_t kElements = 16 << 10;
  return std::max<int64_t>(1, kElements / std::max<int64_t>(cols, 1));
}

HWY_INLINE float sum_of_squares(const float* x, int64_t n) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  FloatVec sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const FloatVec v = hn::LoadU(d, x + i);
    sum = hn::MulAdd(v, v, sum);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) total += x[i] * x[i];
  return total;
}

HWY_INLINE void normalise_row(float* out, const float* x, const float* weight, int64_t cols,
                              float eps) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float inverse = 1.0f / std::sqrt(sum_of_squares(x, cols) / static_cast<float>(cols) + eps);
  const FloatVec factor = hn::Set(d, inverse);
  int64_t j = 0;
  for (; j + lanes <= cols; j += lanes) {
    FloatVec v = hn::Mul(hn::LoadU(d, x + j), factor);
    if (weight != nullptr) v = hn::Mul(v, hn::LoadU(d, weight + j));
    hn::StoreU(v, d, out + j);
  }
  for (; j < cols; ++j) out[j] = x[j] * inverse * (weight != nullptr ? weight[j] : 1.0f);
}

inline void rms_norm(Queue queue, const RmsNormArgs& a) {
  queue.pool->parallel_for(a.rows, grain_of(a.cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      normalise_row(a.out + r * a.cols, a.x + r * a.cols, a.weight, a.cols, a.eps);
  });
}

// out[j] = table[element + j] · scale
template <class Weights>
HWY_INLINE void scaled_row(float* out, const Matrix& table, int64_t element, int64_t n,
                           float scale) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto* row = static_cast<const typename Weights::Raw*>(table.data) + element;
  const FloatVec factor = hn::Set(d, scale);
  int64_t j = 0;
  for (; j + lanes <= n; j += lanes)
    hn::StoreU(hn::Mul(Weights::load(row + j), factor), d, out + j);
  for (; j < n; ++j) out[j] = load_float(table.data, table.dtype, element + j) * scale;
}

// The same for blocks, of which the run of elements may begin and end with a part.
inline void scaled_blocks(float* out, const Matrix& table, int64_t element, int64_t n,
                          float scale) {
  const DTypeInfo info = info_of(table.dtype);
  float block[quant::kLargeBlock];
  for (int64_t j = 0; j < n;) {
    const int64_t skip = (element + j) % info.block_elements;
    const int64_t count = std::min(info.block_elements - skip, n - j);
    const auto* bytes = static_cast<const std::byte*>(table.data) +
                        (element + j) / info.block_elements * info.block_bytes;
    quant::dequantize_row(table.dtype, bytes, info.block_elements, block);
    for (int64_t i = 0; i < count; ++i) out[j + i] = block[skip + i] * scale;
    j += count;
  }
}

HWY_INLINE void load_scaled_row(float* out, const Matrix& table, int64_t element, int64_t n,
                                float scale) {
  if (is_block_dtype(table.dtype)) return scaled_blocks(out, table, element, n, scale);
  if (table.dtype == DType::kBF16) return scaled_row<Bf16Weights>(out, table, element, n, scale);
  if (table.dtype == DType::kF16) return scaled_row<F16Weights>(out, table, element, n, scale);
  scaled_row<F32Weights>(out, table, element, n, scale);
}

inline void embed(Queue queue, const EmbedArgs& a) {
  const int64_t cols = a.table.cols;
  queue.pool->parallel_for(a.tokens, grain_of(cols), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      load_scaled_row(a.out + t * cols, a.table, a.ids[t] * cols, cols, a.scale);
  });
}

inline void combine_per_layer(Queue queue, const CombinePerLayerArgs& a) {
  constexpr int64_t kChunk = quant::kLargeBlock;  // elements of the table row converted at a time
  queue.pool->parallel_for(a.tokens, grain_of(a.layers * a.width), [&](int64_t begin, int64_t end) {
    float identity[kChunk];
    for (int64_t t = begin; t < end; ++t)
      for (int64_t l = 0; l < a.layers; ++l) {
        float* out = a.out + (t * a.layers + l) * a.width;
        normalise_row(out, a.context + (t * a.layers + l) * a.width, a.weight, a.width, a.eps);
        for (int64_t j = 0; j < a.width; j += kChunk) {
          const int64_t n = std::min(kChunk, a.width - j);
          load_scaled_row(identity, a.table, a.ids[t] * a.table.cols + a.column + l * a.width + j,
                          n, a.table_scale);
          for (int64_t i = 0; i < n; ++i) out[j + i] = (out[j + i] + identity[i]) * a.combine_scale;
        }
      }
  });
}

// Positions reach 262,143 and the first pair turns once per position, so cos and sin need full
// argument reduction: the C library's, not a fast vector approximation.
inline void rope_table(Queue queue, const RopeTableArgs& a) {
  queue.pool->parallel_for(a.tokens, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t i = 0; i < a.half; ++i) {
        const float angle = static_cast<float>(a.positions[t]) * a.inv_freq[i];
        a.cos[t * a.half + i] = angle == 0.0f ? 1.0f : std::cos(angle);
        a.sin[t * a.half + i] = angle == 0.0f ? 0.0f : std::sin(angle);
      }
  });
}

inline void rope(Queue queue, const RopeArgs& a) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  queue.pool->parallel_for(a.tokens, grain_of(a.heads * 2 * a.half),
                           [&](int64_t begin, int64_t end) {
                             for (int64_t row = begin * a.heads; row < end * a.heads; ++row) {
                               float* first = a.x + row * 2 * a.half;
                               float* second = first + a.half;
                               const float* cos = a.cos + row / a.heads * a.half;
                               const float* sin = a.sin + row / a.heads * a.half;
                               int64_t i = 0;
                               for (; i + lanes <= a.half; i += lanes) {
                                 const FloatVec c = hn::LoadU(d, cos + i);
                                 const FloatVec s = hn::LoadU(d, sin + i);
                                 const FloatVec x = hn::LoadU(d, first + i);
                                 const FloatVec y = hn::LoadU(d, second + i);
                                 hn::StoreU(hn::NegMulAdd(y, s, hn::Mul(x, c)), d, first + i);
                                 hn::StoreU(hn::MulAdd(x, s, hn::Mul(y, c)), d, second + i);
                               }
                               for (; i < a.half; ++i) {
                                 const float x = first[i];
                                 const float y = second[i];
                                 first[i] = x * cos[i] - y * sin[i];
                                 second[i] = y * cos[i] + x * sin[i];
                               }
                             }
                           });
}

// gelu_tanh(x) = x · sigmoid(2u), u = √(2/π)·(x + 0.044715·x³): one exponential, and accurate for x
// ≪ 0 where 1 + tanh(u) would cancel.
template <class D, class V>
HWY_INLINE V gelu_tanh(D d, V x) {
  const V cubic = hn::Mul(hn::Mul(x, x), hn::Mul(x, hn::Set(d, 0.044715f)));
  const V twice_u = hn::Mul(hn::Add(x, cubic), hn::Set(d, 2 * 0.7978845608028654f));
  // Exp is defined up to 104; from 89 on it is infinite, which makes the far tail exactly zero.
  const V e = hn::Exp(d, hn::Min(hn::Neg(twice_u), hn::Set(d, 100.0f)));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), e));
}

inline void gated_gelu_row(float* out, const float* gate, const float* up, int64_t cols) {
  const FloatTag d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t j = 0;
  for (; j + lanes <= cols; j += lanes)
    hn::StoreU(hn::Mul(gelu_tanh(d, hn::LoadU(d, gate + j)), hn::LoadU(d, up + j)), d, out + j);
  for (; j < cols; ++j)
    hn::StoreU(hn::Mul(gelu_tanh(one, hn::LoadU(one, gate + j)), hn::LoadU(one, up + j)), one,
               out + j);
}

inline void gated_gelu(Queue queue, const GatedGeluArgs& a) {
  queue.pool->parallel_for(a.rows, grain_of(a.cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      gated_gelu_row(a.out + r * a.cols, a.gate + r * a.gate_stride, a.up + r * a.up_stride,
                     a.cols);
  });
}

inline void add(Queue queue, const AddArgs& a) {
  queue.pool->parallel_for(a.n, grain_of(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) a.out[i] = (a.a[i] + a.b[i]) * a.scale;
  });
}

inline void scale(Queue queue, const ScaleArgs& a) {
  queue.pool->parallel_for(a.rows, grain_of(a.cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* out = a.out + r * a.cols;
      const float* x = a.x + r * a.cols;
      if (a.weight != nullptr)
        for (int64_t j = 0; j < a.cols; ++j) out[j] = x[j] * a.weight[j] * a.scale;
      else
        for (int64_t j = 0; j < a.cols; ++j) out[j] = x[j] * a.scale;
    }
  });
}

inline void soft_cap(Queue queue, const SoftCapArgs& a) {
  const FloatTag d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float inverse = 1.0f / a.cap;
  queue.pool->parallel_for(a.n, grain_of(1), [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) {
      const FloatVec z = hn::Mul(hn::LoadU(d, a.x + i), hn::Set(d, inverse));
      hn::StoreU(hn::Mul(hn::Tanh(d, z), hn::Set(d, a.cap)), d, a.out + i);
    }
    for (; i < end; ++i) {
      const auto z = hn::Mul(hn::LoadU(one, a.x + i), hn::Set(one, inverse));
      hn::StoreU(hn::Mul(hn::Tanh(one, z), hn::Set(one, a.cap)), one, a.out + i);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

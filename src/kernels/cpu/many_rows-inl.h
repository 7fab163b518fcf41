// Matrix products of many rows, as the towers have them: tiles of outputs, vectorised along the
// rows of the weight, which are first turned into panels. Included once per instruction set.
//
// Beside tiles of dot products (linear-inl.h) this needs no sums across lanes and half the loads,
// and pays with panels, which many tokens share. Each output is a sum over spans of kSpan columns,
// each span one chain: that order is the same whatever the tile and the piece, so that a row's
// result does not depend on its batch mates, bit for bit.

#if defined(GEMMA4_KERNELS_CPU_MANY_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_MANY_ROWS_INL_H_
#undef GEMMA4_KERNELS_CPU_MANY_ROWS_INL_H_
#else
#define GEMMA4_KERNELS_CPU_MANY_ROWS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/linear-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
constexpr int kPanelTokens = 12;
#else
constexpr int kPanelTokens = 6;
#endif
constexpr int kPanelVectors = 2;
constexpr int64_t kPanelRows = kPanelVectors * HWY_LANES(float);

constexpr int64_t kSpan = 128;                // columns of a chain
constexpr int64_t kPanelColumns = 3 * kSpan;  // of a panel: a tile's tokens stay in the first cache
constexpr int64_t kMostPieceRows = 384;       // panels of a piece stay in the second
constexpr int64_t kPieceTokens = 42 * 12;     // share its panels: making them costs 2 %
constexpr int64_t kTokenStride = kPanelColumns + 16;  // tokens of a tile are in different sets

struct PanelShape {
  int64_t columns;  // at most kPanelColumns
  int64_t rows;     // at most kPanelRows: those that are there
};

// out[k · kPanelRows + n] = w[n, k]; rows that are not there are zero.
template <class Weights>
void make_panel(const typename Weights::Raw* w, int64_t w_stride, const PanelShape& shape,
                float* HWY_RESTRICT out) {
  int64_t n = 0;
#if HWY_TARGET != HWY_SCALAR
  const FloatTag d;
  const hn::Repartition<uint64_t, FloatTag> pairs;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr int64_t kSquare = 4;
  for (; n + kSquare <= shape.rows; n += kSquare) {
    const auto* const row = w + n * w_stride;
    int64_t k = 0;
    for (; k + lanes <= shape.columns; k += lanes) {
      const FloatVec a = Weights::load(row + k), b = Weights::load(row + w_stride + k);
      const FloatVec c = Weights::load(row + 2 * w_stride + k);
      const FloatVec e = Weights::load(row + 3 * w_stride + k);
      // Squares of 4 x 4 turn around: element i of square s becomes column 4 s + i.
      const auto ab = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
      const auto ce = hn::BitCast(pairs, hn::InterleaveLower(d, c, e));
      const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
      const auto ce_high = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
      HWY_ALIGN float turned[kSquare][HWY_LANES(float)];
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, ab, ce)), d, turned[0]);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, ab, ce)), d, turned[1]);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ce_high)), d, turned[2]);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ce_high)), d, turned[3]);
      for (int64_t i = 0; i < lanes; ++i)
        std::memcpy(out + (k + i) * kPanelRows + n, turned[i % kSquare] + i / kSquare * kSquare,
                    kSquare * sizeof(float));
    }
    for (; k < shape.columns; ++k)
      for (int64_t i = 0; i < kSquare; ++i)
        out[k * kPanelRows + n + i] = load_float(row + i * w_stride, Weights::kType, k);
  }
#endif
  for (; n < kPanelRows; ++n)
    for (int64_t k = 0; k < shape.columns; ++k)
      out[k * kPanelRows + n] =
          n < shape.rows ? load_float(w + n * w_stride, Weights::kType, k) : 0.0f;
}

struct Clip {
  explicit Clip(const Bounds& bounds)
      : open(std::isinf(bounds.low) && std::isinf(bounds.high)),
        low(hn::Set(FloatTag(), bounds.low)),
        high(hn::Set(FloatTag(), bounds.high)) {}
  HWY_INLINE FloatVec operator()(FloatVec x) const { return hn::Min(hn::Max(x, low), high); }
  bool open;  // changes nothing
  FloatVec low, high;
};

// Where the sums of a tile go: they are written first, clipped last and added in between.
struct PanelOut {
  float* HWY_RESTRICT at;
  int64_t stride;
  bool first;
  bool last;
};

// out.at[t · out.stride + n] (+)= Σ_k x[t · kTokenStride + k] · panel[k · kPanelRows + n] for
// kTokens tokens, the spans one after the other.
template <int kTokens>
HWY_NOINLINE void panel_tile(const float* HWY_RESTRICT x, const float* HWY_RESTRICT panel,
                             int64_t columns, const Bounds& bounds, PanelOut out) {
  const FloatTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t begin = 0; begin < columns; begin += kSpan, out.first = false) {
    const int64_t end = std::min(begin + kSpan, columns);
    FloatVec sum[kTokens][kPanelVectors];
    for (int t = 0; t < kTokens; ++t)
      for (int n = 0; n < kPanelVectors; ++n) sum[t][n] = hn::Zero(d);
    for (int64_t k = begin; k < end; ++k) {
      FloatVec row[kPanelVectors];
      for (int n = 0; n < kPanelVectors; ++n)
        row[n] = hn::LoadU(d, panel + k * kPanelRows + n * lanes);
      for (int t = 0; t < kTokens; ++t) {
        const FloatVec value = hn::Set(d, x[t * kTokenStride + k]);
        for (int n = 0; n < kPanelVectors; ++n) sum[t][n] = hn::MulAdd(value, row[n], sum[t][n]);
      }
    }
    const Clip clip(bounds);
    const bool clips = out.last && end == columns && !clip.open;
    for (int t = 0; t < kTokens; ++t)
      for (int n = 0; n < kPanelVectors; ++n) {
        float* const to = out.at + t * out.stride + n * lanes;
        const FloatVec all = out.first ? sum[t][n] : hn::Add(hn::LoadU(d, to), sum[t][n]);
        hn::StoreU(clips ? clip(all) : all, d, to);
      }
  }
}

// n numbers between the bounds
inline void copy_clipped(const float* HWY_RESTRICT from, int64_t n, const Bounds& bounds,
                         float* HWY_RESTRICT to) {
  const FloatTag d;
  const Clip clip(bounds);
  if (clip.open) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(clip(hn::LoadU(d, from + i)), d, to + i);
  for (; i < n; ++i) to[i] = std::min(std::max(from[i], bounds.low), bounds.high);
}

// One piece of a product: all columns for some tokens and some rows of the weight.
template <class Weights>
class PanelPiece {
 public:
  PanelPiece(const LinearArgs& a, int64_t row_begin, int64_t row_end)
      : a_(a), begin_(row_begin), end_(row_end) {}

  void multiply(int64_t first, int64_t last) {
    static thread_local std::vector<float> memory;
    const int64_t panels = (end_ - begin_ + kPanelRows - 1) / kPanelRows;
    constexpr int64_t kLine = 64 / sizeof(float);  // vectors shall not lie across cache lines
    memory.resize(static_cast<size_t>(panels * kPanelColumns * kPanelRows + kLine));
    const auto address = reinterpret_cast<uintptr_t>(memory.data()) / sizeof(float);
    panels_ = memory.data() + (kLine - static_cast<int64_t>(address % kLine)) % kLine;
    for (int64_t k = 0; k < a_.weight.cols; k += kPanelColumns) {
      const int64_t columns = std::min(kPanelColumns, a_.weight.cols - k);
      make_panels(k, columns);
      int64_t t = first;
      for (; t + kPanelTokens <= last; t += kPanelTokens)
        multiply_tokens<kPanelTokens>(t, k, columns);
      for (; t + 3 <= last; t += 3) multiply_tokens<3>(t, k, columns);
      for (; t < last; ++t) multiply_tokens<1>(t, k, columns);
    }
  }

 private:
  void make_panels(int64_t k, int64_t columns) {
    const auto* const w = static_cast<const typename Weights::Raw*>(a_.weight.data);
    for (int64_t n = begin_; n < end_; n += kPanelRows)
      make_panel<Weights>(w + n * a_.weight.cols + k, a_.weight.cols,
                          {columns, std::min(kPanelRows, end_ - n)}, panel_of(n));
  }
  float* panel_of(int64_t row) const {
    return panels_ + (row - begin_) * kPanelColumns;  // of kPanelRows rows each
  }

  template <int kTokens>
  void multiply_tokens(int64_t t, int64_t k, int64_t columns) const {
    alignas(64) float x[kTokens * kTokenStride];
    for (int64_t i = 0; i < kTokens; ++i)
      copy_clipped(a_.x + (t + i) * a_.weight.cols + k, columns, a_.input, x + i * kTokenStride);
    const bool last = k + columns == a_.weight.cols;
    const int64_t stride = a_.weight.rows;
    for (int64_t n = begin_; n < end_; n += kPanelRows) {
      float* const out = a_.out + t * stride + n;
      if (n + kPanelRows <= end_) {
        panel_tile<kTokens>(x, panel_of(n), columns, a_.output, {out, stride, k == 0, last});
        continue;
      }
      float part[kTokens * kPanelRows] = {};  // a panel that is not full is written through a copy
      const auto bytes = static_cast<size_t>(end_ - n) * sizeof(float);
      for (int64_t i = 0; i < kTokens; ++i)
        std::memcpy(part + i * kPanelRows, out + i * stride, k == 0 ? 0 : bytes);
      panel_tile<kTokens>(x, panel_of(n), columns, a_.output, {part, kPanelRows, k == 0, last});
      for (int64_t i = 0; i < kTokens; ++i)
        std::memcpy(out + i * stride, part + i * kPanelRows, bytes);
    }
  }

  const LinearArgs& a_;
  int64_t begin_;  // rows of the weight
  int64_t end_;
  float* panels_ = nullptr;
};

template <class Weights>
void panel_linear(Queue queue, const LinearArgs& a) {
  const int64_t blocks = (a.tokens + kPieceTokens - 1) / kPieceTokens;
  // Enough pieces for all threads, as large as may be: a piece's panels are its own.
  const int64_t wanted = std::max<int64_t>(1, 4 * queue.pool->num_threads() / blocks);
  int64_t rows = (a.weight.rows + wanted - 1) / wanted;
  rows = std::clamp((rows + kPanelRows - 1) / kPanelRows * kPanelRows, kPanelRows, kMostPieceRows);
  const int64_t chunks = (a.weight.rows + rows - 1) / rows;
  queue.pool->parallel_for(blocks * chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first_row = piece % chunks * rows, first = piece / chunks * kPieceTokens;
      PanelPiece<Weights>(a, first_row, std::min(first_row + rows, a.weight.rows))
          .multiply(first, std::min(first + kPieceTokens, a.tokens));
    }
  });
}

// Whether there is a way for many rows; the answer depends on the weight alone.
inline bool has_panels(const Matrix& weight) {
  return weight.packed == nullptr && !is_block_dtype(weight.dtype);
}

template <class Products>
void linear_in_order(Queue queue, const LinearArgs& a) {
  if (!a.many_rows || !has_panels(a.weight)) return linear<Products>(queue, a);
  if (a.weight.dtype == DType::kBF16) return panel_linear<Bf16Weights>(queue, a);
  if (a.weight.dtype == DType::kF16) return panel_linear<F16Weights>(queue, a);
  G4_CHECK(a.weight.dtype == DType::kF32);
  panel_linear<F32Weights>(queue, a);
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

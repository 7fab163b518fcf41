// Operations of the table that stand for several: they read or round their input once, and pass on
// what is still in the caches. Each has the bits of the entries that it stands for. Included once
// per instruction set.

#if defined(GEMMA4_KERNELS_CPU_FUSED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_FUSED_INL_H_
#undef GEMMA4_KERNELS_CPU_FUSED_INL_H_
#else
#define GEMMA4_KERNELS_CPU_FUSED_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// All products share the rounded input.
template <class Products>
void linear_group(Queue queue, const LinearGroupArgs& a) {
  const Matrix* const end_of_weights = a.weight + a.count;
  const Matrix* packed =
      std::find_if(a.weight, end_of_weights, [](const Matrix& w) { return w.packed != nullptr; });
  const LinearInput<Products> input(queue, a.x, a.weight[0].cols, a.tokens,
                                    packed == end_of_weights ? a.weight[0] : *packed);
  // Pieces of the first weight, then of the second, …
  std::array<int64_t, LinearGroupArgs::kMost + 1> first_piece{};
  for (int i = 0; i < a.count; ++i) {
    const int64_t step = rows_per_piece(a.weight[i]);
    first_piece[static_cast<size_t>(i) + 1] =
        first_piece[static_cast<size_t>(i)] + (a.weight[i].rows + step - 1) / step;
  }
  const int64_t pieces = first_piece[static_cast<size_t>(a.count)];
  queue.pool->parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int i = 0;
      while (piece >= first_piece[static_cast<size_t>(i) + 1]) ++i;
      const Matrix& weight = a.weight[i];
      const int64_t step = rows_per_piece(weight);
      const int64_t row = (piece - first_piece[static_cast<size_t>(i)]) * step;
      input.multiply(0, a.tokens, weight, row, std::min(row + step, weight.rows), a.out[i],
                     weight.rows);
    }
  });
}

// Some rows of gate and up for all tokens at a time, so that these meet while they are near.
template <class Products>
void gated_linear(Queue queue, const GatedLinearArgs& a) {
  constexpr int64_t kNearFloats = 64 << 10;  // of `up`: a part of a usual second-level cache
  constexpr int64_t kLeastRows = 2 * kPackedRows;
  const int64_t width = a.gate.rows;
  const bool up_is_packed = a.up && a.up.packed != nullptr;
  const LinearInput<Products> input(queue, a.x, a.gate.cols, a.tokens,
                                    up_is_packed ? a.up : a.gate);
  const int64_t most = rows_per_piece(a.gate);
  const int64_t near = kNearFloats / a.tokens / kLeastRows * kLeastRows;
  const int64_t step = std::min(most, std::max(near, kLeastRows));
  queue.pool->parallel_for(width, step, [&](int64_t begin, int64_t end) {
    static thread_local std::vector<float> memory;  // up [T, end - begin]
    const int64_t rows = end - begin;
    const float* up = a.multiplier == nullptr ? nullptr : a.multiplier + begin;
    int64_t up_stride = a.multiplier_stride;
    if (a.up) {
      memory.resize(static_cast<size_t>(a.tokens * rows));
      input.multiply(0, a.tokens, a.up.row_slice(begin, rows), 0, rows, memory.data(), rows);
      up = memory.data();
      up_stride = rows;
    }
    input.multiply(0, a.tokens, a.gate, begin, end, a.out, width);
    for (int64_t t = 0; t < a.tokens; ++t) {
      float* out = a.out + t * width + begin;
      gated_gelu_row(out, out, up + t * up_stride, rows);
    }
  });
}

// A row at a time through all of it.
inline void add_normed(Queue queue, const AddNormedArgs& a) {
  queue.pool->parallel_for(a.rows, grain_of(a.cols), [&](int64_t begin, int64_t end) {
    static thread_local std::vector<float> update;
    update.resize(static_cast<size_t>(a.cols));
    for (int64_t r = begin; r < end; ++r) {
      const float* x = a.x + r * a.cols;
      float* sum = a.sum + r * a.cols;
      normalise_row(update.data(), a.h + r * a.cols, a.weight, a.cols, a.eps);
      for (int64_t j = 0; j < a.cols; ++j)
        sum[j] = (x[j] + update[static_cast<size_t>(j)]) * a.scale;
      for (const AddNormedArgs::Normed& next : a.normed) {
        if (next.out == nullptr) break;
        float* out = next.out + r * a.cols;
        normalise_row(out, sum, next.weight, a.cols, a.eps);
        if (next.scale == 1) continue;
        for (int64_t j = 0; j < a.cols; ++j) out[j] *= next.scale;
      }
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

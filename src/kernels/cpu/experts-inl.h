// Mixture of experts: tokens are grouped by expert so that each chosen expert's weights are read
// once. Included once per instruction set.

#if defined(GEMMA4_KERNELS_CPU_EXPERTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_EXPERTS_INL_H_
#undef GEMMA4_KERNELS_CPU_EXPERTS_INL_H_
#else
#define GEMMA4_KERNELS_CPU_EXPERTS_INL_H_
#endif

#include <numeric>
#include <vector>

#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// Pairs (token, choice) of one expert: positions [begin, end) of the sorted order.
struct ExpertGroup {
  int64_t expert;
  int64_t begin;
  int64_t end;
};

// The product of every group with its expert, cut into pieces of weight rows over all groups at
// once. x and out are [pairs, stride] in sorted order; `per_expert` rows of `weight` belong to each
// expert.
template <class Products>
void grouped_linear(Queue queue, const std::vector<ExpertGroup>& groups, const Matrix& weight,
                    int64_t per_expert, const float* x, int64_t x_stride, float* out,
                    int64_t out_stride) {
  const LinearInput<Products> input(queue, x, x_stride, groups.back().end, weight);
  const int64_t step = rows_per_piece(weight);
  const int64_t pieces = (per_expert + step - 1) / step;
  queue.pool->parallel_for(
      static_cast<int64_t>(groups.size()) * pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t piece = begin; piece < end; ++piece) {
          const ExpertGroup& group = groups[static_cast<size_t>(piece / pieces)];
          const int64_t row = piece % pieces * step;
          input.multiply(group.begin, group.end - group.begin,
                         weight.row_slice(group.expert * per_expert, per_expert), row,
                         std::min(row + step, per_expert), out + group.begin * out_stride,
                         out_stride);
        }
      });
}

template <class Products>
void experts(Queue queue, const ExpertsArgs& a) {
  const int64_t pairs = a.tokens * a.top_k;
  std::vector<int32_t> order(static_cast<size_t>(pairs));  // sorted position -> pair
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t x, int32_t y) { return a.experts[x] < a.experts[y]; });
  std::vector<ExpertGroup> groups;
  std::vector<int32_t> place(static_cast<size_t>(pairs));  // pair -> sorted position
  for (int64_t i = 0; i < pairs; ++i) {
    const int32_t pair = order[static_cast<size_t>(i)];
    place[static_cast<size_t>(pair)] = static_cast<int32_t>(i);
    if (groups.empty() || groups.back().expert != a.experts[pair])
      groups.push_back({a.experts[pair], i, i});
    groups.back().end = i + 1;
  }

  float* x = a.workspace;  // [pairs, D] inputs in sorted order
  float* inner =
      x + pairs * a.hidden;  // [pairs, 2F] gate and up, then the activation in the first F
  float* result = inner + pairs * 2 * a.width;  // [pairs, D]
  queue.pool->parallel_for(pairs, grain_of(a.hidden), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(x + i * a.hidden, a.x + order[static_cast<size_t>(i)] / a.top_k * a.hidden,
                  static_cast<size_t>(a.hidden) * sizeof(float));
  });
  grouped_linear<Products>(queue, groups, a.gate_up, 2 * a.width, x, a.hidden, inner, 2 * a.width);
  queue.pool->parallel_for(pairs, grain_of(a.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = inner + i * 2 * a.width;
      gated_gelu_row(row, row, row + a.width, a.width);
    }
  });
  grouped_linear<Products>(queue, groups, a.down, a.hidden, inner, 2 * a.width, result, a.hidden);
  queue.pool->parallel_for(a.tokens, grain_of(a.hidden * a.top_k), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* out = a.out + t * a.hidden;
      std::fill(out, out + a.hidden, 0.0f);
      for (int64_t k = 0; k < a.top_k;
           ++k) {  // in the order of the choices: independent of the batch
        const float weight = a.weights[t * a.top_k + k];
        const float* row = result + place[static_cast<size_t>(t * a.top_k + k)] * a.hidden;
        for (int64_t j = 0; j < a.hidden; ++j) out[j] += weight * row[j];
      }
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif

#include "kernels/reference/fused.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/registry.h"

namespace gemma4::kernels::reference {

void linear_group(Queue queue, const LinearGroupArgs& a) {
  for (int i = 0; i < a.count; ++i)
    reference_table().linear(
        queue, {.out = a.out[i], .x = a.x, .tokens = a.tokens, .weight = a.weight[i]});
}

void gated_linear(Queue queue, const GatedLinearArgs& a) {
  const Table& table = reference_table();
  const int64_t width = a.gate.rows;
  std::vector<float> gate(static_cast<size_t>(a.tokens * width)), up(gate.size());
  table.linear(queue, {.out = gate.data(), .x = a.x, .tokens = a.tokens, .weight = a.gate});
  if (a.up) table.linear(queue, {.out = up.data(), .x = a.x, .tokens = a.tokens, .weight = a.up});
  table.gated_gelu(queue, {.out = a.out,
                           .gate = gate.data(),
                           .up = a.up ? up.data() : a.multiplier,
                           .rows = a.tokens,
                           .cols = width,
                           .gate_stride = width,
                           .up_stride = a.up ? width : a.multiplier_stride});
}

void prepare_heads(Queue queue, const PrepareHeadsArgs& a) {
  const Table& table = reference_table();
  const int64_t dim = a.cache.head_dim;
  const auto prepare = [&](float* out, const float* x, const float* weight, int64_t heads,
                           bool rotates) {
    table.rms_norm(queue, {.out = out,
                           .x = x,
                           .weight = weight,
                           .rows = a.tokens * heads,
                           .cols = dim,
                           .eps = a.eps});
    if (rotates)
      table.rope(queue, {.x = out,
                         .cos = a.cos,
                         .sin = a.sin,
                         .tokens = a.tokens,
                         .heads = heads,
                         .half = dim / 2});
  };
  prepare(a.q, a.q_raw, a.q_weight, a.q_heads, true);
  if (a.k_raw == nullptr) return;
  std::vector<float> k(static_cast<size_t>(a.tokens * a.cache.heads * dim)), v(k.size());
  prepare(k.data(), a.k_raw, a.k_weight, a.cache.heads, true);
  prepare(v.data(), a.v_raw, nullptr, a.cache.heads, false);
  table.store_kv(
      queue,
      {.cache = a.cache, .k = k.data(), .v = v.data(), .slots = a.slots, .tokens = a.tokens});
}

void add_normed(Queue queue, const AddNormedArgs& a) {
  const Table& table = reference_table();
  std::vector<float> update(static_cast<size_t>(a.rows * a.cols));
  const auto norm = [&](float* out, const float* x, const float* weight) {
    table.rms_norm(
        queue,
        {.out = out, .x = x, .weight = weight, .rows = a.rows, .cols = a.cols, .eps = a.eps});
  };
  norm(update.data(), a.h, a.weight);
  table.add(queue,
            {.out = a.sum, .a = a.x, .b = update.data(), .n = a.rows * a.cols, .scale = a.scale});
  for (const AddNormedArgs::Normed& next : a.normed) {
    if (next.out == nullptr) break;
    norm(next.out, a.sum, next.weight);
    table.scale(queue, {.out = next.out,
                        .x = next.out,
                        .weight = nullptr,
                        .rows = a.rows,
                        .cols = a.cols,
                        .scale = next.scale});
  }
}

void add_branches(Queue queue, const AddBranchesArgs& a) {
  const auto size = static_cast<size_t>(a.sum.rows * a.sum.cols);
  std::vector<float> h(size), update(size);
  reference_table().rms_norm(queue, {.out = h.data(),
                                     .x = a.sum.h,
                                     .weight = a.h_weight,
                                     .rows = a.sum.rows,
                                     .cols = a.sum.cols,
                                     .eps = a.sum.eps});
  add_normed(queue, {.sum = update.data(),
                     .x = h.data(),
                     .h = a.other,
                     .weight = a.other_weight,
                     .rows = a.sum.rows,
                     .cols = a.sum.cols,
                     .eps = a.sum.eps,
                     .scale = 1.0f});
  AddNormedArgs sum = a.sum;
  sum.h = update.data();
  add_normed(queue, sum);
}

bool can_add_layer_input(Queue, const LayerInputArgs&) { return true; }

void add_layer_input(Queue queue, const LayerInputArgs& a) {
  const int64_t hidden = a.gate.cols;
  std::vector<float> y(static_cast<size_t>(a.rows * hidden)), projected(y.size());
  std::vector<float> gated(static_cast<size_t>(a.rows * a.gate.rows));
  add_normed(queue, {.sum = y.data(),
                     .x = a.x,
                     .h = a.h,
                     .weight = a.post_mlp,
                     .rows = a.rows,
                     .cols = hidden,
                     .eps = a.eps,
                     .scale = 1.0f});
  gated_linear(queue, {.out = gated.data(),
                       .x = y.data(),
                       .tokens = a.rows,
                       .gate = a.gate,
                       .up = {},
                       .multiplier = a.per_layer,
                       .multiplier_stride = a.per_layer_stride});
  reference_table().linear(
      queue,
      {.out = projected.data(), .x = gated.data(), .tokens = a.rows, .weight = a.projection});
  add_normed(queue, {.sum = a.sum,
                     .x = y.data(),
                     .h = projected.data(),
                     .weight = a.post_input,
                     .normed = {{.out = a.normed, .weight = a.next_norm}},
                     .rows = a.rows,
                     .cols = hidden,
                     .eps = a.eps,
                     .scale = a.scale});
}

void best_logits(Queue, const BestLogitsArgs& a) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  for (int64_t r = 0; r < a.rows; ++r) {
    std::vector<RankedLogit> all;
    for (int64_t i = 0; i < a.cols; ++i) {
      const float logit = a.logits[r * a.cols + i];
      all.push_back({std::isnan(logit) ? kNone : logit, static_cast<int32_t>(i)});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const RankedLogit& x, const RankedLogit& y) { return x.logit > y.logit; });
    all.resize(static_cast<size_t>(a.kCount), {kNone, -1});
    std::copy(all.begin(), all.end(), a.out + r * a.kCount);
  }
}

}  // namespace gemma4::kernels::reference

// The operations that only the vision tower has; equations are in kernels/table.h. N counts
// patches.
#pragma once

#include "ops/ops.h"

namespace gemma4::ops {

// cos and sin [axes, N, half] of the positions [axes, N]
Rope rope_axes_tables(const Context& ctx, std::span<const int32_t> positions,
                      std::span<const float> inverse_frequencies, int64_t axes);
// x [N, heads, axes · 2 · half], in place
void rope_axes(const Context& ctx, View x, const Rope& rope);

struct Pooling {
  int64_t rows = 0;  // of patches; multiples of `side`, as are
  int64_t cols = 0;
  int64_t side = 1;
  float scale = 1;
  const float* bias = nullptr;    // [D] or null
  const float* weight = nullptr;  // [D] or null
};
// x [rows · cols, D] -> [rows / side · cols / side, D], written over `target` if there is one
View pool(const Context& ctx, View x, const Pooling& pooling, View target = {});

// Like x; written over `target` if there is one, which may be x.
View layer_norm(const Context& ctx, View x, const float* weight, const float* bias, float eps,
                View target = {});
// gelu(gate) ⊙ up, over `gate`
View gated_gelu(const Context& ctx, View gate, View up);

}  // namespace gemma4::ops

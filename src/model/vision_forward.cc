// Reads top down like the paper: vision_forward, then encoder_layer and its two halves.
// Shapes: N patches of all pictures, D width, H heads, Dh head dim, I inner width of the MLP.

#include "model/vision_forward.h"

#include <algorithm>
#include <cmath>

#include "ops/vision_ops.h"

namespace gemma4::model {
namespace {

using ops::Context;

struct Pass {
  const Context& ctx;
  const VisionConfig& config;
  const VisionInputs& inputs;
  ops::Rope rope;
  kernels::KvLayer keys;  // of the layer that runs
};

View rows_of(const View& x, int64_t begin, int64_t end) {
  return View(x.f32() + begin * x.cols(), DType::kF32, {end - begin, x.cols()});
}

// Keys and values of all pictures, in blocks as attention reads them.
kernels::KvLayer take_keys(const Context& ctx, const VisionConfig& config,
                           const VisionInputs& inputs) {
  kernels::KvLayer keys{.heads = config.num_attention_heads,
                        .head_dim = config.head_dim,
                        .block_tokens = kPatchBlock};
  const auto bytes = static_cast<size_t>(static_cast<int64_t>(inputs.block_table.size()) *
                                         keys.heads * keys.part_bytes());
  keys.k = ctx.arena->allocate(bytes);
  keys.v = ctx.arena->allocate(bytes);
  return keys;
}

// RMSNorm over each head: x [N, H·Dh] is updated in place and returned as [N, H, Dh].
View norm_heads(const Pass& p, View x, const ops::Norm& norm) {
  const View heads = x.reshaped({x.shape[0], p.config.num_attention_heads, p.config.head_dim});
  return ops::rms_norm(p.ctx, heads, norm, heads);
}

// Every patch sees all patches of its picture; scores are not scaled. t [N, D] -> [N, H·Dh]
View attend(const Pass& p, const VisionAttention& w, View t) {
  const View q = norm_heads(p, clipped_linear(p.ctx, t, w.q_proj), w.q_norm);
  const View k = norm_heads(p, clipped_linear(p.ctx, t, w.k_proj), w.k_norm);
  const View v = norm_heads(p, clipped_linear(p.ctx, t, w.v_proj), {.eps = w.q_norm.eps});
  ops::rope_axes(p.ctx, q, p.rope);
  ops::rope_axes(p.ctx, k, p.rope);
  ops::store_kv(p.ctx, p.keys, k, v, p.inputs.slots);
  int64_t most_keys = 1;
  for (const PatchGrid& grid : p.inputs.grids) most_keys = std::max(most_keys, grid.size());
  const View o = ops::attention(p.ctx, q, p.keys,
                                {.key_begin = p.inputs.key_begin.data(),
                                 .key_end = p.inputs.key_end.data(),
                                 .sequence = p.inputs.sequence.data(),
                                 .table_offset = p.inputs.table_offset.data(),
                                 .table_first = p.inputs.table_first.data(),
                                 .block_table = p.inputs.block_table.data(),
                                 .most_keys = most_keys,
                                 .sequences = static_cast<int64_t>(p.inputs.grids.size())});
  return o.reshaped({o.shape[0], o.shape[1] * o.shape[2]});
}

// x [N, D] is updated in place.
void self_attention(const Pass& p, const VisionLayer& layer, View x) {
  const Arena::Scope scope(*p.ctx.arena);
  const View t = ops::rms_norm(p.ctx, x, layer.input_layernorm);
  const View o = clipped_linear(p.ctx, attend(p, layer.self_attn, t), layer.self_attn.o_proj);
  ops::add_normed(p.ctx, x, o, layer.post_attention_layernorm, {.target = {.sum = x}});
}

// x [N, D] is updated in place; on a CPU some rows at a time, so that what is I wide stays in its
// caches.
void mlp(const Pass& p, const VisionLayer& layer, View x) {
  const bool on_cpu = p.ctx.device == nullptr || p.ctx.device->is_host();
  const int64_t rows = on_cpu ? 512 : x.shape[0];
  for (int64_t begin = 0; begin < x.shape[0]; begin += rows) {
    const Arena::Scope scope(*p.ctx.arena);
    const View part = rows_of(x, begin, std::min(begin + rows, x.shape[0]));
    const View t = ops::rms_norm(p.ctx, part, layer.pre_feedforward_layernorm);
    const View gate = clipped_linear(p.ctx, t, layer.gate_proj);
    const View up = clipped_linear(p.ctx, t, layer.up_proj);
    View m = ops::gated_gelu(p.ctx, gate, up);
    m = clipped_linear(p.ctx, m, layer.down_proj);
    ops::add_normed(p.ctx, part, m, layer.post_feedforward_layernorm, {.target = {.sum = part}});
  }
}

// x [N, W] gets the position of each row in both axes, W being the table's width.
void add_positions(const Context& ctx, const VisionInputs& inputs, const Matrix& table, View x) {
  for (const std::span<const int32_t> rows : inputs.table_rows) {
    const Arena::Scope scope(*ctx.arena);
    ops::add(ctx, x, ops::embed(ctx, table, rows, 1.0f), x);
  }
}

// x [N, D] -> [S, D]
View pool(const Pass& p, const VisionWeights& w, View x) {
  const int64_t side = p.config.pooling_kernel_size;
  int64_t soft_tokens = 0;
  for (const PatchGrid& grid : p.inputs.grids) soft_tokens += grid.size() / (side * side);
  View pooled(p.ctx.arena->allocate(static_cast<size_t>(soft_tokens * x.cols()) * sizeof(float)),
              DType::kF32, {soft_tokens, x.cols()});
  int64_t from = 0, to = 0;
  for (const PatchGrid& grid : p.inputs.grids) {
    const int64_t squares = grid.size() / (side * side);
    ops::pool(p.ctx, rows_of(x, from, from + grid.size()),
              {.rows = grid.rows,
               .cols = grid.cols,
               .side = side,
               .scale = std::sqrt(static_cast<float>(p.config.hidden_size)),
               .bias = w.std_bias,
               .weight = w.std_scale},
              rows_of(pooled, to, to + squares));
    from += grid.size();
    to += squares;
  }
  return pooled;
}

// h [S, in] -> [S, text hidden]
View project(const Context& ctx, const VisionWeights& w, View h) {
  ops::probe(ctx, "vision.tower", -1, h);
  const View soft = ops::linear(ctx, ops::rms_norm(ctx, h, {}), w.embedding_projection);
  ops::probe(ctx, "vision.soft", -1, soft);
  return soft;
}

// Every square of pixels becomes one soft token by itself.
View unified_forward(const Context& ctx, const VisionWeights& weights, const VisionInputs& inputs) {
  constexpr float kEps = 1e-5f;
  const UnifiedVisionWeights& w = weights.unified;
  const auto norm = [&](View x, const LayerNorm& layer_norm, View target) {
    return ops::layer_norm(ctx, x, layer_norm.weight, layer_norm.bias, kEps, target);
  };
  View h = ops::linear(ctx, norm(inputs.pixels, w.patch_ln1, {}), w.patch_dense);
  ops::clip(ctx, h, {}, w.patch_dense_bias, h);  // adds the bias
  norm(h, w.patch_ln2, h);
  add_positions(ctx, inputs, w.pos_embedding, h);
  norm(h, w.pos_norm, h);
  return project(ctx, weights, h);
}

}  // namespace

View vision_forward(const Context& ctx, const VisionConfig& config, const VisionWeights& weights,
                    std::span<const float> inverse_frequencies, const VisionInputs& inputs) {
  if (config.unified) return unified_forward(ctx, weights, inputs);
  const View x = ops::linear(ctx, inputs.pixels, weights.input_proj);
  add_positions(ctx, inputs, weights.position_embedding_table, x);
  ops::probe(ctx, "vision.embedded", -1, x);
  const Pass pass{ctx, config, inputs,
                  ops::rope_axes_tables(ctx, inputs.positions, inverse_frequencies, 2),
                  take_keys(ctx, config, inputs)};
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    self_attention(pass, weights.layers[i], x);
    mlp(pass, weights.layers[i], x);
    ops::probe(ctx, "vision.layer", static_cast<int>(i), x);
  }
  return project(ctx, weights, pool(pass, weights, x));
}

}  // namespace gemma4::model

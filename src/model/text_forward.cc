// Reads top down like the paper: text_forward, then decoder_layer, self_attention, mlp, experts.
// Shapes: T rows, D hidden, L layers, P per-layer input width, Hq/Hkv heads, Dh head dim, F MLP
// width.

#include "model/text_forward.h"

#include <cmath>

namespace gemma4::model {
namespace {

using ops::Context;

// One set of rows as the layers need it: rotary tables and visible keys per kind of layer.
struct Rows {
  std::array<ops::Rope, kNumAttentionKinds> rope;
  std::array<ops::KeyRange, kNumAttentionKinds> keys;
};

struct Step {
  const Context& ctx;
  const Model& model;
  const StepInputs& inputs;
  KvCache& cache;
  Rows rows;
};

Rows make_rows(const Context& ctx, const Model& model, const StepInputs& inputs,
               const RowInputs& set) {
  Rows rows;
  for (const AttentionKind kind : {AttentionKind::kSliding, AttentionKind::kFull}) {
    const auto i = static_cast<size_t>(index_of(kind));
    const TableInputs& tables = inputs.tables[i];
    rows.rope[i] = ops::rope_table(ctx, set.positions, model.inverse_frequencies(kind));
    rows.keys[i] = {set.key_begin[i].data(),   set.key_end[i].data(),
                    set.sequence.data(),       tables.table_offset.data(),
                    tables.table_first.data(), tables.block_table.data(),
                    inputs.most_keys[i],       static_cast<int64_t>(tables.table_offset.size())};
  }
  return rows;
}

// Attention of one layer: h [T, D] -> out, like h. Scale 1, no soft cap; K and V are cached after
// norm and RoPE.
void self_attention(const Step& s, const Layer& layer, View h, View out) {
  const Context& ctx = s.ctx;
  const Arena::Scope scope(*ctx.arena);
  const LayerPlan& plan = layer.plan;
  const Attention& w = layer.self_attn;
  const auto kind = static_cast<size_t>(index_of(plan.kind));
  const int64_t tokens = h.shape[0];

  const auto [q_raw, k_raw, v_raw] =
      ops::linear_group(ctx, h,
                        {&w.q_proj, plan.owns_kv ? &w.k_proj : nullptr,
                         plan.owns_kv && !plan.value_is_key ? &w.v_proj : nullptr});
  const kernels::KvLayer& cache = s.cache.layer(plan.index);
  const View q =
      ops::prepare_heads(ctx, q_raw, k_raw, plan.value_is_key ? k_raw : v_raw, w.q_norm, w.k_norm,
                         s.rows.rope[kind], cache, s.inputs.tables[kind].slots);
  const View heads = ops::attention(ctx, q, cache, s.rows.keys[kind]);
  ops::linear(ctx, heads.reshaped({tokens, q_raw.cols()}), w.o_proj, out);
}

// z [T, D] -> [T, D]
View mlp(const Step& s, const Mlp& w, View z) {
  const View gated = ops::gated_linear(s.ctx, z, w.gate_proj, w.up_proj);  // [T, F]
  return ops::linear(s.ctx, gated, w.down_proj);
}

// The expert branch: `routed` is the residual normed and scaled for the router, `y` its copy normed
// for the experts. Both, and what comes of them, are [T, D].
View experts(const Step& s, const Layer& layer, View routed, View y) {
  const Context& ctx = s.ctx;
  const TextConfig& text = s.model.config().text;
  const View logits = ops::linear(ctx, routed, layer.router.proj);  // [T, E]
  const ops::Routing routing =
      ops::route(ctx, logits, layer.router.per_expert_scale, text.top_k_experts);
  return ops::experts(ctx, y, routing, layer.experts.gate_up_proj, layer.experts.down_proj,
                      text.num_experts);
}

// One decoder layer: reads the residual stream [T, D] and its norm by this layer's first norm, and
// writes `out`: the new stream and, if there is a next layer, its norm by that one's first norm.
void decoder_layer(const Step& s, const Layer& layer, const ops::NormedSum& in, View per_layer,
                   int64_t slice, ops::AddNormed out) {
  const Context& ctx = s.ctx;
  const TextConfig& text = s.model.config().text;
  View h = ops::like(ctx, in.normed);
  self_attention(s, layer, in.normed, h);
  ops::AddNormed norms{.next = &layer.pre_feedforward_layernorm};
  const ops::Norm router_norm{.weight = layer.router.scale, .eps = text.rms_norm_eps};
  if (text.enable_moe_block)
    norms.further = {{{&router_norm, 1.0f / std::sqrt(static_cast<float>(text.hidden_size))},
                      {&layer.pre_feedforward_layernorm_2}}};
  const auto [x, z, further] =
      ops::add_normed(ctx, in.sum, h, layer.post_attention_layernorm, norms);
  h = mlp(s, layer.mlp, z);
  out.scale = layer.layer_scalar;  // of the whole stream, not just this layer's update
  if (text.enable_moe_block) {
    const ops::Branch dense{h, layer.post_feedforward_layernorm_1};
    const ops::Branch sparse{experts(s, layer, further[0], further[1]),
                             layer.post_feedforward_layernorm_2};
    if (!per_layer) {
      ops::add_branches(ctx, x, dense, sparse, layer.post_feedforward_layernorm, out);
      return;
    }
    h = ops::sum_branches(ctx, dense, sparse);
  }
  if (!per_layer) {
    ops::add_normed(ctx, x, h, layer.post_feedforward_layernorm, out);
    return;
  }
  ops::add_layer_input(
      ctx, x, h, layer.post_feedforward_layernorm, per_layer, slice,
      {layer.per_layer_input_gate, layer.per_layer_projection, layer.post_per_layer_input_norm},
      out);
}

// Per-layer inputs of layers [begin, begin + layers): embedding e [T, D] and ids -> [T, layers, P].
View per_layer_inputs(const Step& s, View e, std::span<const int32_t> ids, int64_t begin,
                      int64_t layers) {
  const TextConfig& text = s.model.config().text;
  const TextWeights& w = s.model.weights();
  const int64_t width = text.hidden_size_per_layer_input;
  const ops::Linear projection{
      w.per_layer_model_projection.weight.row_slice(begin * width, layers * width)};
  const View context = ops::linear(s.ctx, e, projection);
  ops::scale(s.ctx, context, 1.0f / std::sqrt(static_cast<float>(text.hidden_size)), nullptr,
             context);
  return ops::combine_per_layer(s.ctx, context.reshaped({e.shape[0], layers, width}), ids,
                                w.embed_tokens_per_layer, begin * width,
                                w.per_layer_projection_norm, std::sqrt(static_cast<float>(width)),
                                std::sqrt(0.5f));
}

// Layers [begin, end) over the rows of `s`; x [T, D] is updated in place. `per_layer` holds these
// layers' inputs.
void run_layers(const Step& s, View x, View per_layer, int64_t begin, int64_t end) {
  const auto layer = [&](int64_t i) -> const Layer& {
    return s.model.weights().layers[static_cast<size_t>(i)];
  };
  if (begin == end) return;
  const ops::NormedSum stream{x, ops::rms_norm(s.ctx, x, layer(begin).input_layernorm)};
  for (int64_t i = begin; i < end; ++i) {
    ops::probe(s.ctx, "text.hidden", static_cast<int>(i), x);
    const Arena::Scope scope(*s.ctx.arena);
    if (s.ctx.probe != nullptr)  // it may have replaced x
      ops::rms_norm(s.ctx, x, layer(i).input_layernorm, stream.normed);
    decoder_layer(
        s, layer(i), stream, per_layer, i - begin,
        {.next = i + 1 < end ? &layer(i + 1).input_layernorm : nullptr, .target = stream});
  }
}

}  // namespace

View text_forward(const Context& ctx, const Model& model, const StepInputs& inputs, KvCache& cache,
                  const ForwardOptions& options) {
  const TextConfig& text = model.config().text;
  const TextWeights& w = model.weights();
  const int64_t num_layers = text.num_hidden_layers;
  const bool has_per_layer = text.hidden_size_per_layer_input > 0;
  const bool all_rows = static_cast<int64_t>(inputs.logit_rows.size()) == inputs.num_tokens();
  // Layers from `split` on write no cache, so only the rows whose logits are wanted run them.
  const int64_t split =
      options.prompt_shortcut && !all_rows ? first_shared_layer(text) : num_layers;

  View x = ops::embed(ctx, w.embed_tokens, inputs.ids,
                      std::sqrt(static_cast<float>(text.hidden_size)));  // [T, D]
  for (const SoftRun& run : inputs.soft_runs) ops::put_rows(ctx, x, run.row, run.count, run.values);
  // Copied before the layers overwrite x: the late layers' inputs are made from the embedding too.
  const View late_embedding = split < num_layers && has_per_layer && !inputs.logit_rows.empty()
                                  ? ops::gather_rows(ctx, x, inputs.logit_rows)
                                  : View();

  Step step{ctx, model, inputs, cache, make_rows(ctx, model, inputs, inputs.rows)};
  View per_layer;
  if (has_per_layer) per_layer = per_layer_inputs(step, x, inputs.ids, 0, split);  // [T, split, P]
  ops::probe(ctx, "text.per_layer_inputs", -1, per_layer);
  run_layers(step, x, per_layer, 0, split);
  if (inputs.logit_rows.empty()) return {};

  if (!all_rows) x = ops::gather_rows(ctx, x, inputs.logit_rows);  // [R, D]
  if (split < num_layers) {
    step.rows = make_rows(ctx, model, inputs, inputs.logit_row_set);
    if (has_per_layer)
      per_layer =
          per_layer_inputs(step, late_embedding, inputs.logit_ids, split, num_layers - split);
    run_layers(step, x, per_layer, split, num_layers);
  }
  x = ops::rms_norm(ctx, x, w.norm);
  ops::probe(ctx, "text.hidden", static_cast<int>(num_layers), x);
  if (options.output == ForwardOutput::kHidden) return x;
  View logits = options.head_rows.empty()
                    ? ops::linear(ctx, x, w.lm_head)
                    : ops::linear_rows(ctx, x, w.lm_head, options.head_rows);  // [R, V]
  if (text.final_logit_softcapping)
    logits = ops::soft_cap(ctx, logits, *text.final_logit_softcapping);
  ops::probe(ctx, "text.logits", -1, logits);
  return logits;
}

size_t workspace_bytes(const Model& model, int64_t tokens, int64_t logits,
                       const ForwardOptions& options) {
  KvCache cache = KvCache::shape_only(model.config().text);
  const auto measure = [&](int64_t rows, int64_t wanted) {
    Arena arena = Arena::measuring();
    const Context ctx{.arena = &arena};
    const Batch batch = shape_only_batch(rows, wanted);
    text_forward(ctx, model, host_inputs(batch), cache, options);
    return arena.high_water_bytes();
  };
  // Wanting the logits of every row takes another path than wanting those of fewer, and either may
  // need more.
  const size_t some_rows = measure(tokens, std::min(logits, tokens - 1));
  const int64_t all = std::min(logits, tokens);
  return all == 0 ? some_rows : std::max(some_rows, measure(all, all));
}

}  // namespace gemma4::model

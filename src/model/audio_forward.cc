// Reads top down like the paper: audio_forward, then conformer_layer and its four parts.
// Shapes: F frames of features, T tokens, D hidden, H heads, Dh head dim, W keys that a row sees.

#include "model/audio_forward.h"

#include "model/tower_constants.h"

namespace gemma4::model {
namespace {

using ops::Context;

struct Pass {
  const Context& ctx;
  const AudioConfig& config;
  const AudioConstants& constants;
};

// The layer of an input that is within its bounds, or may be written over; x [T, in] -> [T, out],
// whose bounds are left to the caller.
View unbounded(const Context& ctx, View x, const ClippedLinear& layer) {
  return ops::linear(ctx, held(ctx, x, layer.input, x), layer.linear);
}

// Half a residual step: x [T, D] is updated in place.
void feed_forward(const Pass& p, const AudioFeedForward& w, View x) {
  const Arena::Scope scope(*p.ctx.arena);
  View t = ops::rms_norm(p.ctx, x, w.pre_layer_norm);
  t = unbounded(p.ctx, t, w.ffw_layer_1);  // [T, 4·D]
  t = ops::silu(p.ctx, t, w.ffw_layer_1.output, w.ffw_layer_2.input);
  t = ops::linear(p.ctx, t, w.ffw_layer_2.linear);
  t = held(p.ctx, t, w.ffw_layer_2.output, t);
  ops::add_normed(p.ctx, x, t, w.post_layer_norm, {.target = {.sum = x}});
}

// x [T, D] is updated in place.
void self_attention(const Pass& p, const AudioLayer& layer, View x) {
  const Arena::Scope scope(*p.ctx.arena);
  const AudioAttention& w = layer.self_attn;
  const int64_t heads = p.config.num_attention_heads;
  const int64_t head_dim = p.config.hidden_size / heads;
  const View relative =  // of every distance, neither clipped nor scaled
      ops::linear(p.ctx, p.constants.positions, w.relative_k_proj);
  const View t = ops::rms_norm(p.ctx, x, layer.norm_pre_attn);
  const View q = clipped_linear(p.ctx, t, w.q_proj);
  const View k = clipped_linear(p.ctx, t, w.k_proj);
  const View v = clipped_linear(p.ctx, t, w.v_proj);
  View a =
      ops::local_attention(p.ctx, q, k, v,
                           {.relative = relative.reshaped({relative.shape[0], heads, head_dim}),
                            .q_scale = w.per_dim_scale,
                            .k_scale = key_scale(),
                            .cap = p.config.attention_logit_cap});
  a = unbounded(p.ctx, a, w.post);
  a = held(p.ctx, a, w.post.output, a);
  ops::add_normed(p.ctx, x, a, layer.norm_post_attn, {.target = {.sum = x}});
}

// x [T, D] is updated in place.
void light_convolution(const Pass& p, const AudioConvolution& w, View x) {
  const Arena::Scope scope(*p.ctx.arena);
  View t = ops::rms_norm(p.ctx, x, w.pre_layer_norm);
  t = unbounded(p.ctx, t, w.linear_start);  // [T, 2·D]
  t = ops::light_conv(
      p.ctx, t,
      {.kernel = w.depthwise_conv1d, .taps = p.config.conv_kernel_size, .norm = w.conv_norm},
      w.linear_start.output, w.linear_end.input);
  t = ops::linear(p.ctx, t, w.linear_end.linear);
  t = held(p.ctx, t, w.linear_end.output, t);
  ops::add(p.ctx, x, t, x);
}

// x [T, D] is updated in place.
void conformer_layer(const Pass& p, const AudioLayer& layer, View x) {
  feed_forward(p, layer.feed_forward1, x);
  self_attention(p, layer, x);
  light_convolution(p, layer.lconv1d, x);
  feed_forward(p, layer.feed_forward2, x);
  ops::rms_norm(p.ctx, x, layer.norm_out, x);
}

// features [F, bands] -> [T, bands / 4 · channels], bands outer
View subsample(const Pass& p, const AudioWeights& w, View features) {
  View x = features.reshaped({features.shape[0], features.shape[1], 1});
  int64_t channels = 1;
  for (size_t i = 0; i < w.subsampling.size(); ++i) {
    const int64_t outputs = p.config.subsampling_conv_channels[i];
    const Matrix conv{w.subsampling[i].conv, DType::kF32, outputs, 9 * channels};
    x = ops::subsample(p.ctx, x, conv, w.subsampling[i].norm);
    channels = outputs;
  }
  return x.reshaped({x.shape[0], x.shape[1] * x.shape[2]});
}

// y [T, in] -> [T, text hidden]
View project(const Context& ctx, const AudioWeights& w, View y) {
  const View soft = ops::linear(ctx, ops::rms_norm(ctx, y, {}), w.embedding_projection);
  ops::probe(ctx, "audio.soft", -1, soft);
  return soft;
}

}  // namespace

View audio_forward(const Context& ctx, const AudioConfig& config, const AudioWeights& weights,
                   const AudioConstants& constants, View features) {
  const Pass pass{ctx, config, constants};
  const int64_t tokens = ((features.shape[0] + 1) / 2 + 1) / 2;
  View x(ctx.arena->allocate(static_cast<size_t>(tokens * config.hidden_size) * sizeof(float)),
         DType::kF32, {tokens, config.hidden_size});
  {
    const Arena::Scope scope(*ctx.arena);
    ops::linear(ctx, subsample(pass, weights, features), weights.input_proj_linear, x);
  }
  ops::probe(ctx, "audio.subsampled", -1, x);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    conformer_layer(pass, weights.layers[i], x);
    ops::probe(ctx, "audio.layer", static_cast<int>(i), x);
  }
  View y = ops::linear(ctx, x, weights.output_proj);
  y = ops::clip(ctx, y, {}, weights.output_proj_bias, y);
  ops::probe(ctx, "audio.tower", -1, y);
  return project(ctx, weights, y);
}

View waveform_forward(const Context& ctx, const AudioWeights& weights, View samples) {
  return project(ctx, weights, samples);
}

}  // namespace gemma4::model

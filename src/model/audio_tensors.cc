#include "model/audio_tensors.h"

#include "base/strings.h"
#include "model/tensor_list_builder.h"

namespace gemma4::model {
namespace {

class AudioList : public TensorList {
 public:
  explicit AudioList(const AudioConfig& audio) : TensorList("model."), audio_(audio) {}

  void clipped(const std::string& name, int64_t out, int64_t in, ClippedLinear& target) {
    TensorList::clipped(name, out, in, audio_.use_clipped_linears, target);
  }

  void feed_forward(const std::string& name, AudioFeedForward& target) {
    const int64_t d = audio_.hidden_size;
    norm(name + ".pre_layer_norm", d, target.pre_layer_norm);
    norm(name + ".post_layer_norm", d, target.post_layer_norm);
    clipped(name + ".ffw_layer_1", 4 * d, d, target.ffw_layer_1);
    clipped(name + ".ffw_layer_2", d, 4 * d, target.ffw_layer_2);
  }

  void layer(const std::string& name, AudioLayer& target) {
    const int64_t d = audio_.hidden_size;
    feed_forward(name + "feed_forward1", target.feed_forward1);
    feed_forward(name + "feed_forward2", target.feed_forward2);
    norm(name + "norm_pre_attn", d, target.norm_pre_attn);
    norm(name + "norm_post_attn", d, target.norm_post_attn);
    norm(name + "norm_out", d, target.norm_out);
    norm(name + "lconv1d.pre_layer_norm", d, target.lconv1d.pre_layer_norm);
    norm(name + "lconv1d.conv_norm", d, target.lconv1d.conv_norm);
    AudioAttention& attention = target.self_attn;
    clipped(name + "self_attn.q_proj", d, d, attention.q_proj);
    clipped(name + "self_attn.k_proj", d, d, attention.k_proj);
    clipped(name + "self_attn.v_proj", d, d, attention.v_proj);
    clipped(name + "self_attn.post", d, d, attention.post);
    linear(name + "self_attn.relative_k_proj", d, d, attention.relative_k_proj);
    vector(name + "self_attn.per_dim_scale", d / audio_.num_attention_heads,
           attention.per_dim_scale);
    clipped(name + "lconv1d.linear_start", 2 * d, d, target.lconv1d.linear_start);
    clipped(name + "lconv1d.linear_end", d, d, target.lconv1d.linear_end);
    tensor(name + "lconv1d.depthwise_conv1d.weight", {d, 1, audio_.conv_kernel_size},
           &target.lconv1d.depthwise_conv1d);
  }

 private:
  const AudioConfig& audio_;
};

}  // namespace

std::vector<TensorEntry> audio_tensors(const Config& config, AudioWeights& weights) {
  const AudioConfig& audio = *config.audio;
  AudioList list(audio);
  const int64_t text_hidden = config.text.hidden_size;
  weights.layers.clear();
  if (audio.unified) {
    list.linear("embed_audio.embedding_projection", text_hidden, audio.audio_embed_dim,
                weights.embedding_projection);
    return list.take();
  }
  const std::string tower = "audio_tower.";
  const std::string conv = tower + "subsample_conv_projection.";
  const auto [first, second] = audio.subsampling_conv_channels;
  list.tensor(conv + "layer0.conv.weight", {first, 1, 3, 3}, &weights.subsampling[0].conv);
  list.norm(conv + "layer0.norm", first, weights.subsampling[0].norm);
  list.tensor(conv + "layer1.conv.weight", {second, first, 3, 3}, &weights.subsampling[1].conv);
  list.norm(conv + "layer1.norm", second, weights.subsampling[1].norm);
  list.linear(conv + "input_proj_linear", audio.hidden_size, audio.mel_bands / 4 * second,
              weights.input_proj_linear);
  weights.layers.resize(static_cast<size_t>(audio.num_hidden_layers));
  for (size_t i = 0; i < weights.layers.size(); ++i)
    list.layer(str_cat(tower, "layers.", i, "."), weights.layers[i]);
  list.linear(tower + "output_proj", audio.output_proj_dims, audio.hidden_size,
              weights.output_proj);
  list.vector(tower + "output_proj.bias", audio.output_proj_dims, weights.output_proj_bias);
  list.linear("embed_audio.embedding_projection", text_hidden, audio.output_proj_dims,
              weights.embedding_projection);
  return list.take();
}

}  // namespace gemma4::model

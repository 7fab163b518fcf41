// The weights of the audio tower (a conformer) as plain structs that mirror the checkpoint's tree;
// audio.md, section 11. Matrices point into the mapped checkpoint.
#pragma once

#include <array>
#include <vector>

#include "model/clipped_linear.h"

namespace gemma4::model {

struct AudioFeedForward {
  ops::Norm pre_layer_norm;   // [D]
  ClippedLinear ffw_layer_1;  // [4·D, D]
  ClippedLinear ffw_layer_2;  // [D, 4·D]
  ops::Norm post_layer_norm;  // [D]; times the residual weight after loading
};

struct AudioAttention {
  ClippedLinear q_proj;  // [D, D], as are the next three
  ClippedLinear k_proj;
  ClippedLinear v_proj;
  ClippedLinear post;
  ops::Linear relative_k_proj;           // [D, D]
  const float* per_dim_scale = nullptr;  // [Dh]; what queries are multiplied by after loading
};

struct AudioConvolution {
  ops::Norm pre_layer_norm;                 // [D]
  ClippedLinear linear_start;               // [2·D, D]
  const float* depthwise_conv1d = nullptr;  // [D, 1, J]; [J, D] after loading
  ops::Norm conv_norm;                      // [D]
  ClippedLinear linear_end;                 // [D, D]
};

struct AudioLayer {
  AudioFeedForward feed_forward1;
  ops::Norm norm_pre_attn;  // [D], as are the next two
  AudioAttention self_attn;
  ops::Norm norm_post_attn;
  AudioConvolution lconv1d;
  AudioFeedForward feed_forward2;
  ops::Norm norm_out;
};

struct Subsampling {
  const float* conv = nullptr;  // [N, C, 3, 3]; [N, 3, 3, C] after loading
  ops::Norm norm;               // [N]
};

// Of the encoder-free layout there is the projection only.
struct AudioWeights {
  std::array<Subsampling, 2> subsampling;
  ops::Linear input_proj_linear;  // [D, bands / 4 · channels]
  std::vector<AudioLayer> layers;
  ops::Linear output_proj;                  // [O, D]
  const float* output_proj_bias = nullptr;  // [O]
  ops::Linear embedding_projection;         // [text hidden, O], or of raw samples
};

}  // namespace gemma4::model

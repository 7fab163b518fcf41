// config.json and generation_config.json of a Gemma 4 checkpoint, parsed and validated. Field names
// are those of the files. Nothing here or elsewhere asks "which size is this": capabilities are
// data.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::model {

enum class AttentionKind : uint8_t { kSliding = 0, kFull = 1 };
inline constexpr int kNumAttentionKinds = 2;
constexpr int index_of(AttentionKind kind) { return static_cast<int>(kind); }

struct RopeParameters {
  bool proportional = false;  // rope_type "proportional", else "default"
  double rope_theta = 10000;
  double partial_rotary_factor = 1;  // proportional only: share of the head dimension that rotates
  double factor = 1;                 // all frequencies are divided by it
  // [Dh/2], GGUF only: each frequency is divided by its own; 1e30 and above stop the rotation.
  std::vector<float> divisors;
};

struct TextConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;         // of layers without an override
  int64_t head_dim = 0;                    // of layers without an override
  std::vector<AttentionKind> layer_types;  // [L]; the last one is always full
  std::vector<int64_t> layer_head_dims;    // [L], overrides resolved
  std::vector<int64_t> layer_kv_heads;     // [L], overrides resolved
  int64_t sliding_window = 512;
  std::array<RopeParameters, kNumAttentionKinds> rope_parameters;  // by AttentionKind
  int64_t max_position_embeddings = 131072;
  float rms_norm_eps = 1e-6f;
  std::optional<float> final_logit_softcapping;
  bool attention_k_eq_v = false;
  int64_t num_kv_shared_layers = 0;
  bool use_double_wide_mlp = false;
  int64_t hidden_size_per_layer_input = 0;  // 0: no per-layer inputs
  int64_t vocab_size_per_layer_input = 0;
  bool enable_moe_block = false;
  int64_t num_experts = 0;
  int64_t top_k_experts = 0;
  int64_t moe_intermediate_size = 0;
  bool bidirectional_vision = false;  // use_bidirectional_attention == "vision"
  bool tie_word_embeddings = true;
  int32_t pad_token_id = 0;
  int32_t bos_token_id = 2;
};

struct VisionConfig {
  bool unified = false;  // the encoder-free layout of the 12B
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t head_dim = 0;
  int64_t patch_size = 16;
  int64_t pooling_kernel_size = 3;
  int64_t position_embedding_size = 0;
  bool standardize = false;
  bool use_clipped_linears = false;
  int64_t mm_embed_dim = 0;    // unified only
  int64_t mm_posemb_size = 0;  // unified only
};

struct AudioConfig {
  bool unified = false;
  int64_t hidden_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t conv_kernel_size = 5;
  std::array<int64_t, 2> subsampling_conv_channels{128, 32};
  int64_t output_proj_dims = 0;
  bool use_clipped_linears = true;
  int64_t attention_context_left = 13;  // a row sees one key less, itself included
  float attention_logit_cap = 50;
  float residual_weight = 0.5f;   // of the feed-forward parts
  int64_t mel_bands = 128;        // of the input
  int64_t audio_embed_dim = 640;  // unified only: samples of a token
};

// Ids of the placeholders that stand where soft tokens go; -1 where the vocabulary has none.
struct MediaTokenIds {
  int32_t image = -1;
  int32_t audio = -1;
  int32_t video = -1;
};

struct Config {
  std::string model_type;  // "gemma4", "gemma4_unified", "gemma4_text", …
  bool text_only = false;  // a Gemma4ForCausalLM checkpoint
  TextConfig text;
  std::optional<VisionConfig> vision;
  std::optional<AudioConfig> audio;
  std::vector<int32_t> placeholder_token_ids;  // image, audio, video: embedded as the pad row
  MediaTokenIds media_token_ids;               // the same by kind
  std::vector<int32_t> eos_token_ids;
};

// A drafter: a small decoder that proposes tokens to a target model, whose keys and values it
// reads.
struct DrafterConfig {
  std::string model_type;            // "gemma4_assistant", "gemma4_unified_assistant"
  TextConfig text;                   // all layers share keys and values: those of the target
  int64_t backbone_hidden_size = 0;  // hidden_size of the target
  // The head computes logits of the tokens in the best clusters only, those of the others are low.
  bool use_ordered_embeddings = false;
  int64_t num_centroids = 0;                // clusters of equal size; 0 without them
  int64_t centroid_intermediate_top_k = 0;  // of them, how many are computed
};

// Parses config.json in the published and in the re-saved dialect. Errors name the key:
// kInvalidData for missing or impossible values, kUnsupported for a model of another kind or an
// option we do not have.
Result<Config> parse_config(std::string_view json);

// The same of a drafter's config.json.
Result<DrafterConfig> parse_drafter_config(std::string_view json);
// Whether a config.json is a drafter's; false for what is none at all.
bool is_drafter_config(std::string_view json);

// generation_config.json. Absent keys keep the family's published defaults, but as in the reference
// a file that does not say "do_sample": true means greedy decoding (temperature 0).
struct GenerationDefaults {
  float temperature = 1.0f;
  int32_t top_k = 64;
  float top_p = 0.95f;
  std::vector<int32_t> eos_token_ids;
  std::vector<int32_t> suppress_tokens;
};
Result<GenerationDefaults> parse_generation_config(std::string_view json);

}  // namespace gemma4::model

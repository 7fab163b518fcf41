#include "model/gguf_config.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "model/config_checks.h"
#include "model/gguf_keys.h"
#include "model/gguf_names.h"
#include "model/layer_plan.h"

namespace gemma4::model {
namespace {

using io::GgufFile;
using io::GgufTensor;
using io::GgufValueType;

Error invalid(std::string message) { return {ErrorCode::kInvalidData, std::move(message)}; }
Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

std::string metadata(std::string_view key) { return "metadata " + quote(key, 100); }

constexpr Limits kWidth = {1, kMaxWidth};

Status check_architecture(const GgufFile& file) {
  G4_ASSIGN_OR_RETURN(const std::string_view name, file.get_string("general.architecture"));
  if (name == "gemma4") return {};
  if (is_drafter_architecture(name))
    return unsupported(
        "this is a Gemma 4 drafter (gemma4-assistant), which only works beside its target model; "
        "name the target's file");
  if (name == "clip")
    return unsupported(
        "this is a projector (clip, mmproj), the part of a model that sees and hears; name the "
        "file of the text model that it belongs to");
  return unsupported(str_cat("this is a ", quote(name), " model, not a Gemma 4 model (gemma4)"));
}

// Keys of the architecture family that change the mathematics, and that Gemma 4 files lack.
Status check_unsupported(const GgufKeys& keys) {
  for (const char* name : {"rope.scaling.type", "rope.scaling.factor", "attention.scale",
                           "attn_logit_softcapping", "expert_shared_count"})
    if (keys.has(name)) return unsupported(metadata(keys.key(name)) + ": no Gemma 4 model has it");
  return {};
}

Result<const GgufTensor*> require_table(const io::GgufParts& parts, const char* name) {
  const GgufTensor* tensor = parts.find_tensor(name);
  const std::string what = str_cat("tensor ", quote(name));
  if (tensor == nullptr)
    return invalid(what + (parts.tensors().empty()
                               ? " is missing: the file holds a vocabulary and no weights"
                               : " is missing"));
  if (tensor->dims.size() != 2 || tensor->dims[1] < 1 || tensor->dims[1] > kMaxVocabulary)
    return invalid(
        str_cat(what, ": has ", tensor->dims.size(), " dimensions, expected one row per token"));
  return tensor;
}

// "true" slides. Some writers give a period instead: every layer slides but each p-th.
Result<std::vector<AttentionKind>> read_layer_types(const GgufKeys& keys, int64_t layers) {
  constexpr const char* kName = "attention.sliding_window_pattern";
  G4_ASSIGN_OR_RETURN(std::vector<int64_t> pattern, keys.per_layer(kName, layers, {0, kMaxLayers}));
  if (keys.file().find(keys.key(kName))->type() != GgufValueType::kArray)
    for (int64_t i = 0; i < layers; ++i) {
      int64_t& period = pattern[static_cast<size_t>(i)];
      period = period == 0 || (i + 1) % period != 0 ? 1 : 0;
    }
  std::vector<AttentionKind> kinds;
  for (const int64_t slides : pattern)
    kinds.push_back(slides != 0 ? AttentionKind::kSliding : AttentionKind::kFull);
  if (kinds.back() != AttentionKind::kFull)
    return unsupported(metadata(keys.key(kName)) +
                       ": the last layer slides; that of a Gemma 4 model attends to everything");
  return kinds;
}

struct HeadKeys {
  const char* key_length;
  const char* value_length;
  const char* rotated;
};

Result<int64_t> read_head_dim(const GgufKeys& keys, const HeadKeys& names,
                              std::optional<int64_t> fallback) {
  constexpr Limits kLimits = {2, kMaxWidth};
  G4_ASSIGN_OR_RETURN(const int64_t dim, keys.integer(names.key_length, kLimits, fallback));
  for (const char* name : {names.value_length, names.rotated}) {
    G4_ASSIGN_OR_RETURN(const int64_t other, keys.integer(name, kLimits, dim));
    if (other != dim)
      return unsupported(str_cat(metadata(keys.key(name)), ": is ", other, ", but ",
                                 names.key_length, " is ", dim,
                                 "; they are the same in every Gemma 4 model"));
  }
  return dim;
}

Status read_heads(const GgufKeys& keys, TextConfig& text) {
  const int64_t layers = text.num_hidden_layers;
  G4_ASSIGN_OR_RETURN(text.num_attention_heads,
                      keys.same_in_layers("attention.head_count", layers, {1, kMaxHeads}));
  G4_ASSIGN_OR_RETURN(text.layer_kv_heads,
                      keys.per_layer("attention.head_count_kv", layers, {1, kMaxHeads}));
  G4_ASSIGN_OR_RETURN(
      const int64_t full,
      read_head_dim(keys,
                    {"attention.key_length", "attention.value_length", "rope.dimension_count"},
                    std::nullopt));
  G4_ASSIGN_OR_RETURN(text.head_dim,
                      read_head_dim(keys,
                                    {"attention.key_length_swa", "attention.value_length_swa",
                                     "rope.dimension_count_swa"},
                                    full));
  text.num_key_value_heads = text.layer_kv_heads.front();
  for (const AttentionKind kind : text.layer_types)
    text.layer_head_dims.push_back(kind == AttentionKind::kFull ? full : text.head_dim);
  return {};
}

// One width, or twice that on the layers that share keys and values.
Status read_mlp_width(const GgufKeys& keys, TextConfig& text) {
  constexpr const char* kName = "feed_forward_length";
  G4_ASSIGN_OR_RETURN(const std::vector<int64_t> widths,
                      keys.per_layer(kName, text.num_hidden_layers, kWidth));
  text.intermediate_size = widths.front();
  text.use_double_wide_mlp = widths.back() == 2 * widths.front();
  for (const LayerPlan& plan : plan_layers(text))
    if (plan.intermediate_size != widths[static_cast<size_t>(plan.index)])
      return unsupported(
          str_cat(metadata(keys.key(kName)), ": is ", widths[static_cast<size_t>(plan.index)],
                  " in layer ", plan.index, ", expected ", plan.intermediate_size,
                  "; Gemma 4 has one width, or twice that where layers share keys and values"));
  return {};
}

// Full layers without attn_v make V from the output of attn_k: all of them or none.
Status read_k_eq_v(const io::GgufParts& parts, TextConfig& text) {
  std::string with, without;
  for (int64_t i = 0; i < first_shared_layer(text); ++i) {
    if (text.layer_types[static_cast<size_t>(i)] != AttentionKind::kFull) continue;
    const std::string layer = gguf_layer(i);
    const bool has_v = parts.find_tensor(layer + "attn_v.weight") != nullptr ||
                       parts.find_tensor(layer + "attn_qkv.weight") != nullptr;
    (has_v ? with : without) = layer + "attn_v.weight";
  }
  if (!with.empty() && !without.empty())
    return invalid(str_cat("tensor ", quote(without), " is missing, but ", quote(with),
                           " is there; full layers have it all or none"));
  text.attention_k_eq_v = !without.empty();
  return {};
}

Status read_experts(const GgufKeys& keys, TextConfig& text) {
  G4_ASSIGN_OR_RETURN(text.num_experts, keys.integer("expert_count", {0, kMaxExperts}, 0));
  text.enable_moe_block = text.num_experts > 0;
  if (!text.enable_moe_block) return {};
  G4_ASSIGN_OR_RETURN(text.top_k_experts, keys.integer("expert_used_count", {1, text.num_experts}));
  G4_ASSIGN_OR_RETURN(
      text.moe_intermediate_size,
      keys.same_in_layers("expert_feed_forward_length", text.num_hidden_layers, kWidth));
  return {};
}

// The divisors of the full layers' frequencies. Without them, what all published models have.
Status read_rope(const GgufKeys& keys, const io::GgufParts& parts, TextConfig& text) {
  auto& sliding = text.rope_parameters[static_cast<size_t>(index_of(AttentionKind::kSliding))];
  auto& full = text.rope_parameters[static_cast<size_t>(index_of(AttentionKind::kFull))];
  G4_ASSIGN_OR_RETURN(full.rope_theta, keys.number("rope.freq_base", 1, 1e12, 1e6));
  G4_ASSIGN_OR_RETURN(sliding.rope_theta, keys.number("rope.freq_base_swa", 1, 1e12, 1e4));
  full.proportional = true;
  full.partial_rotary_factor = 0.25;
  const GgufTensor* tensor = parts.find_tensor(kRopeFreqs);
  if (tensor == nullptr) return {};
  const std::string what = str_cat("tensor ", quote(kRopeFreqs));
  const int64_t pairs = text.layer_head_dims.back() / 2;
  if (tensor->type->name != "F32" || tensor->num_elements != pairs)
    return invalid(str_cat(what, ": has ", tensor->num_elements, " elements of type ",
                           tensor->type->name, ", expected ", pairs, " of type F32"));
  full.partial_rotary_factor = 1;
  full.divisors.resize(static_cast<size_t>(pairs));
  std::memcpy(full.divisors.data(), tensor->bytes.data(), tensor->bytes.size());
  for (const float divisor : full.divisors)
    if (!(divisor >= 1e-6f))
      return invalid(str_cat(what, ": holds ", divisor, ", expected divisors above 0"));
  return {};
}

Status read_per_layer_inputs(const GgufKeys& keys, const io::GgufParts& parts, TextConfig& text) {
  text.vocab_size_per_layer_input = text.vocab_size;
  G4_ASSIGN_OR_RETURN(text.hidden_size_per_layer_input,
                      keys.integer("embedding_length_per_layer_input", {0, kMaxWidth}, 0));
  // All published models but those with per-layer inputs let the tokens of an image see each other.
  text.bidirectional_vision = text.hidden_size_per_layer_input == 0;
  if (text.hidden_size_per_layer_input == 0) return {};
  G4_ASSIGN_OR_RETURN(const GgufTensor* table, require_table(parts, "per_layer_token_embd.weight"));
  text.vocab_size_per_layer_input = table->dims[1];
  if (text.vocab_size_per_layer_input < text.vocab_size)
    return invalid(str_cat("tensor \"per_layer_token_embd.weight\": has ", table->dims[1],
                           " rows, fewer than the ", text.vocab_size, " of token_embd.weight"));
  return {};
}

// The decoder of a model, or that of a drafter, whose layers all read keys and values of its
// target.
enum class TextRole : uint8_t { kModel, kDrafter };

Result<int64_t> read_shared_layers(const GgufKeys& keys, int64_t layers, TextRole role) {
  constexpr const char* kName = "attention.shared_kv_layers";
  if (role == TextRole::kModel) return keys.integer(kName, {0, layers - 1}, 0);
  G4_ASSIGN_OR_RETURN(const int64_t said, keys.integer(kName, {0, layers}, layers));
  if (said == 0 || said == layers) return layers;
  return unsupported(str_cat(metadata(keys.key(kName)), ": is ", said,
                             ", but a drafter shares those of all ", layers, " layers"));
}

Result<TextConfig> read_text(const GgufKeys& keys, const io::GgufParts& parts, TextRole role) {
  TextConfig text;
  G4_ASSIGN_OR_RETURN(const GgufTensor* embedding, require_table(parts, "token_embd.weight"));
  text.vocab_size = embedding->dims[1];
  text.tie_word_embeddings = parts.find_tensor("output.weight") == nullptr;
  G4_ASSIGN_OR_RETURN(text.num_hidden_layers, keys.integer("block_count", {1, kMaxLayers}));
  const int64_t layers = text.num_hidden_layers;
  G4_ASSIGN_OR_RETURN(text.hidden_size, keys.integer("embedding_length", kWidth));
  G4_ASSIGN_OR_RETURN(text.max_position_embeddings,
                      keys.integer("context_length", {1, kMaxTokens}));
  G4_ASSIGN_OR_RETURN(text.layer_types, read_layer_types(keys, layers));
  G4_ASSIGN_OR_RETURN(text.sliding_window,
                      keys.integer("attention.sliding_window", {1, kMaxTokens}));
  G4_RETURN_IF_ERROR(read_heads(keys, text));
  G4_ASSIGN_OR_RETURN(text.num_kv_shared_layers, read_shared_layers(keys, layers, role));
  if (const auto problem = role == TextRole::kModel ? check_layers(text) : check_heads(text))
    return invalid(
        str_cat(problem->key, " (of config.json, from several keys): ", problem->problem));
  G4_RETURN_IF_ERROR(read_mlp_width(keys, text));
  G4_RETURN_IF_ERROR(read_k_eq_v(parts, text));
  G4_RETURN_IF_ERROR(read_experts(keys, text));
  G4_RETURN_IF_ERROR(read_rope(keys, parts, text));
  G4_RETURN_IF_ERROR(read_per_layer_inputs(keys, parts, text));
  G4_ASSIGN_OR_RETURN(const double eps,
                      keys.number("attention.layer_norm_rms_epsilon", 0, 1, 1e-6));
  text.rms_norm_eps = static_cast<float>(eps);
  if (keys.has("final_logit_softcapping")) {
    G4_ASSIGN_OR_RETURN(const double cap, keys.number("final_logit_softcapping", 0, 1e6));
    if (cap > 0) text.final_logit_softcapping = static_cast<float>(cap);
  }
  return text;
}

// Gemma's media placeholders, known by their strings: no key names them.
Status read_placeholders(const GgufFile& file, Config& config) {
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  if (file.find(kTokens) == nullptr) return {};
  G4_ASSIGN_OR_RETURN(const io::GgufArray tokens, file.get_array(kTokens, GgufValueType::kString));
  int32_t id = 0;
  for (const io::GgufValue token : tokens) {
    const std::string_view piece = *token.as_string();
    MediaTokenIds& media = config.media_token_ids;
    int32_t* const target = piece == "<|image|>"   ? &media.image
                            : piece == "<|audio|>" ? &media.audio
                            : piece == "<|video|>" ? &media.video
                                                   : nullptr;
    if (target != nullptr) {
      config.placeholder_token_ids.push_back(id);
      *target = id;
    }
    if (++id >= config.text.vocab_size) break;
  }
  return {};
}

Status read_token_ids(const GgufKeys& keys, Config& config) {
  TextConfig& text = config.text;
  const Limits limits = {0, text.vocab_size - 1};
  G4_ASSIGN_OR_RETURN(const int64_t pad,
                      keys.integer_at("tokenizer.ggml.padding_token_id", limits, 0));
  G4_ASSIGN_OR_RETURN(const int64_t bos, keys.integer_at("tokenizer.ggml.bos_token_id", limits,
                                                         std::min<int64_t>(2, limits.high)));
  text.pad_token_id = static_cast<int32_t>(pad);
  text.bos_token_id = static_cast<int32_t>(bos);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    if (keys.file().find(key) == nullptr) continue;
    G4_ASSIGN_OR_RETURN(const int64_t id, keys.integer_at(key, limits));
    config.eos_token_ids.push_back(static_cast<int32_t>(id));
  }
  return read_placeholders(keys.file(), config);
}

}  // namespace

Result<Config> read_gguf_config(const io::GgufParts& parts) {
  const GgufFile& file = parts.metadata();
  G4_RETURN_IF_ERROR(check_architecture(file));
  const GgufKeys keys(file, "gemma4.");
  G4_RETURN_IF_ERROR(check_unsupported(keys));
  Config config;
  config.model_type = "gemma4";
  config.text_only = true;  // the towers are in a file of their own
  G4_ASSIGN_OR_RETURN(config.text, read_text(keys, parts, TextRole::kModel));
  G4_RETURN_IF_ERROR(read_token_ids(keys, config));
  return config;
}

bool is_drafter_architecture(std::string_view name) {
  return name == "gemma4-assistant" || name == "gemma4_assistant";
}

Result<DrafterConfig> read_gguf_drafter_config(const io::GgufParts& parts) {
  const GgufFile& file = parts.metadata();
  G4_ASSIGN_OR_RETURN(const std::string_view name, file.get_string("general.architecture"));
  if (!is_drafter_architecture(name))
    return unsupported(
        str_cat("this is a ", quote(name), " model, not a Gemma 4 drafter (gemma4-assistant)"));
  const GgufKeys keys(file, str_cat(name, "."));
  G4_RETURN_IF_ERROR(check_unsupported(keys));
  DrafterConfig drafter;
  drafter.model_type = "gemma4_assistant";
  G4_ASSIGN_OR_RETURN(drafter.text, read_text(keys, parts, TextRole::kDrafter));
  TextConfig& text = drafter.text;
  if (text.hidden_size_per_layer_input != 0 || text.enable_moe_block || text.use_double_wide_mlp ||
      !text.tie_word_embeddings)
    return unsupported(
        "this drafter has per-layer inputs, experts, layers of several widths or an untied head; "
        "no Gemma 4 drafter does");
  text.bidirectional_vision = false;  // one query at a time
  const char* target =
      keys.has("embedding_length_out") ? "embedding_length_out" : "n_embd_backbone";
  G4_ASSIGN_OR_RETURN(drafter.backbone_hidden_size,
                      keys.integer(keys.has(target) ? target : "embedding_length_out", kWidth));
  const GgufTensor* centroids = parts.find_tensor(kDrafterCentroids);
  if (centroids == nullptr) centroids = parts.find_tensor(kOldDrafterCentroids);
  if (centroids == nullptr) return drafter;
  drafter.use_ordered_embeddings = true;
  drafter.num_centroids = centroids->dims.size() == 2 ? centroids->dims[1] : 0;
  if (drafter.num_centroids < 1 || drafter.num_centroids > text.vocab_size)
    return invalid(str_cat("tensor ", quote(kDrafterCentroids), ": expected two dimensions, and ",
                           "no more clusters than tokens"));
  G4_ASSIGN_OR_RETURN(drafter.centroid_intermediate_top_k,
                      keys.integer("centroid_top_k", {1, drafter.num_centroids},
                                   std::min<int64_t>(32, drafter.num_centroids)));
  if (const auto problem = check_centroids(drafter)) return invalid(*problem);
  return drafter;
}

Result<GenerationDefaults> read_gguf_generation(const GgufFile& file) {
  const GgufKeys keys(file, "gemma4.");
  GenerationDefaults defaults;
  G4_ASSIGN_OR_RETURN(const double temperature,
                      keys.number_at("general.sampling.temp", 0, 100, defaults.temperature));
  G4_ASSIGN_OR_RETURN(const int64_t top_k, keys.integer_at("general.sampling.top_k",
                                                           {0, kMaxVocabulary}, defaults.top_k));
  G4_ASSIGN_OR_RETURN(const double top_p,
                      keys.number_at("general.sampling.top_p", 0, 1, defaults.top_p));
  defaults.temperature = static_cast<float>(temperature);
  defaults.top_k = static_cast<int32_t>(top_k);
  defaults.top_p = static_cast<float>(top_p);
  constexpr const char* kSuppressed = "tokenizer.ggml.suppress_tokens";
  if (file.find(kSuppressed) == nullptr) return defaults;
  G4_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, file.get_ints(kSuppressed));
  for (const int64_t id : ids) {
    if (id < 0 || id >= kMaxVocabulary)
      return invalid(str_cat(metadata(kSuppressed), ": ", id, " is not a token id"));
    defaults.suppress_tokens.push_back(static_cast<int32_t>(id));
  }
  return defaults;
}

}  // namespace gemma4::model

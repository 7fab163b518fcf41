#include "model/config.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/strings.h"
#include "model/config_checks.h"
#include "model/config_fields.h"

namespace gemma4::model {
namespace {

namespace dom = simdjson::dom;

Error invalid(std::string message) { return {ErrorCode::kInvalidData, std::move(message)}; }
Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

std::vector<AttentionKind> parse_layer_types(Fields& fields, int64_t layers) {
  std::vector<AttentionKind> types;
  if (const auto list = fields.array("layer_types")) {
    for (const dom::element element : *list) {
      std::string_view name;
      if (element.get(name) != simdjson::SUCCESS ||
          (name != "sliding_attention" && name != "full_attention")) {
        fields.fail<bool>("layer_types",
                          "entries must be \"sliding_attention\" or \"full_attention\"");
        return {};
      }
      types.push_back(name == "full_attention" ? AttentionKind::kFull : AttentionKind::kSliding);
    }
    if (static_cast<int64_t>(types.size()) != layers)
      fields.fail<bool>("layer_types",
                        str_cat("has ", types.size(), " entries for ", layers, " layers"));
  } else {
    for (int64_t i = 0; i < layers; ++i)
      types.push_back((i + 1) % 6 == 0 ? AttentionKind::kFull : AttentionKind::kSliding);
  }
  if (!types.empty()) types.back() = AttentionKind::kFull;  // the reference forces it
  return types;
}

RopeParameters parse_rope(Fields& fields, AttentionKind kind) {
  RopeParameters rope;
  rope.proportional = kind == AttentionKind::kFull;
  rope.rope_theta = kind == AttentionKind::kFull ? 1e6 : 1e4;
  rope.partial_rotary_factor = kind == AttentionKind::kFull ? 0.25 : 1.0;
  auto all = fields.object("rope_parameters");
  if (!all) return rope;
  auto one = all->object(kind == AttentionKind::kFull ? "full_attention" : "sliding_attention");
  fields.take_error_of(*all);
  if (!one) return rope;
  const std::string type = one->string("rope_type", "default");
  if (type != "default" && type != "proportional")
    fields.set_error(
        unsupported(str_cat(quote(one->path("rope_type"), 120), ": ", quote(type),
                            " is not a rotary embedding of Gemma 4 (default, proportional)")));
  rope.proportional = type == "proportional";
  rope.rope_theta = one->number("rope_theta", 1, 1e12, rope.rope_theta);
  rope.partial_rotary_factor = one->number("partial_rotary_factor", 0, 1, 1.0);
  rope.factor = one->number("factor", 1e-6, 1e6, 1.0);
  if (!rope.proportional && rope.partial_rotary_factor != 1.0)
    fields.set_error(unsupported(str_cat(quote(one->path("partial_rotary_factor"), 120),
                                         ": only with rope_type \"proportional\"")));
  fields.take_error_of(*one);
  return rope;
}

// Head dimension and KV heads of every layer: `per_layer_config` (re-saved files) or else the two
// "global" keys (published files).
void resolve_layer_shapes(Fields& fields, TextConfig& text) {
  text.layer_head_dims.assign(static_cast<size_t>(text.num_hidden_layers), text.head_dim);
  text.layer_kv_heads.assign(static_cast<size_t>(text.num_hidden_layers), text.num_key_value_heads);
  if (auto overrides = fields.object("per_layer_config")) {
    for (const auto [key, value] : overrides->raw()) {
      char* end = nullptr;
      const std::string name(key);
      const long layer = std::strtol(name.c_str(), &end, 10);
      dom::object entry;
      if (name.empty() || *end != '\0' || layer < 0 || layer >= text.num_hidden_layers ||
          value.get(entry) != simdjson::SUCCESS) {
        fields.fail<bool>("per_layer_config",
                          str_cat(quote(name), " is not the number of a layer with an object"));
        return;
      }
      Fields layer_fields(entry, overrides->path(name));
      auto& head_dim = text.layer_head_dims[static_cast<size_t>(layer)];
      auto& kv_heads = text.layer_kv_heads[static_cast<size_t>(layer)];
      head_dim = layer_fields.integer("head_dim", 2, kMaxWidth, head_dim);
      kv_heads = layer_fields.integer("num_key_value_heads", 1, kMaxWidth, kv_heads);
      fields.take_error_of(layer_fields);
    }
    return;
  }
  const int64_t global_head_dim = fields.integer("global_head_dim", 2, kMaxWidth, 512);
  const int64_t global_kv_heads =
      fields.integer("num_global_key_value_heads", 1, kMaxWidth, text.num_key_value_heads);
  for (size_t i = 0; i < text.layer_types.size(); ++i) {
    if (text.layer_types[i] != AttentionKind::kFull) continue;
    text.layer_head_dims[i] = global_head_dim;
    if (text.attention_k_eq_v) text.layer_kv_heads[i] = global_kv_heads;
  }
}

void parse_experts(Fields& fields, TextConfig& text) {
  text.enable_moe_block = fields.boolean("enable_moe_block", false);
  if (!text.enable_moe_block) return;
  text.num_experts = fields.integer("num_experts", 1, 1 << 14);
  text.top_k_experts = fields.integer("top_k_experts", 1, 1 << 14);
  text.moe_intermediate_size = fields.integer("moe_intermediate_size", 1, kMaxWidth);
  if (!fields.failed() && text.top_k_experts > text.num_experts)
    fields.fail<bool>("top_k_experts", str_cat("is ", text.top_k_experts, ", but there are ",
                                               text.num_experts, " experts"));
}

void check_unsupported(Fields& fields) {
  const std::string activation = fields.string("hidden_activation", "gelu_pytorch_tanh");
  if (activation != "gelu_pytorch_tanh")
    fields.set_error(unsupported(str_cat(quote(fields.path("hidden_activation")), ": ",
                                         quote(activation), ", expected \"gelu_pytorch_tanh\"")));
  if (fields.boolean("attention_bias", false))
    fields.set_error(
        unsupported(str_cat(quote(fields.path("attention_bias")), ": no Gemma 4 model has it")));
}

// The decoder of a model, or that of a drafter, which reads the keys and values of its target.
enum class TextRole : uint8_t { kModel, kDrafter };

// How many layers at the end own no keys and values: in a drafter all, whether it says so or not.
int64_t parse_shared_layers(Fields& fields, int64_t layers, TextRole role) {
  if (role == TextRole::kModel) return fields.integer("num_kv_shared_layers", 0, layers - 1, 0);
  const int64_t said = fields.integer("num_kv_shared_layers", 0, layers, 0);
  if (said != 0 && said != layers)
    fields.fail<bool>("num_kv_shared_layers",
                      str_cat("is ", said, ", but a drafter shares those of all ", layers));
  return layers;
}

void check_drafter(Fields& fields, const TextConfig& text) {
  if (text.hidden_size_per_layer_input != 0 || text.enable_moe_block || text.use_double_wide_mlp ||
      !text.tie_word_embeddings)
    fields.set_error(
        unsupported("this drafter has per-layer inputs, experts, an MLP of double width or an "
                    "untied head; no Gemma 4 drafter does"));
}

TextConfig parse_text(Fields& fields, bool unified, TextRole role = TextRole::kModel) {
  TextConfig text;
  text.vocab_size = fields.integer("vocab_size", 1, kMaxVocabulary);
  text.hidden_size = fields.integer("hidden_size", 1, kMaxWidth);
  text.intermediate_size = fields.integer("intermediate_size", 1, kMaxWidth);
  text.num_hidden_layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  text.num_attention_heads = fields.integer("num_attention_heads", 1, 1 << 14);
  text.num_key_value_heads = fields.integer("num_key_value_heads", 1, 1 << 14);
  text.head_dim = fields.integer("head_dim", 2, kMaxWidth);
  if (fields.failed()) return text;
  text.attention_k_eq_v = fields.boolean("attention_k_eq_v", false);
  text.layer_types = parse_layer_types(fields, text.num_hidden_layers);
  if (fields.failed()) return text;
  resolve_layer_shapes(fields, text);
  text.sliding_window = fields.integer("sliding_window", 1, 1 << 30, unified ? 1024 : 512);
  for (const AttentionKind kind : {AttentionKind::kSliding, AttentionKind::kFull})
    text.rope_parameters[static_cast<size_t>(index_of(kind))] = parse_rope(fields, kind);
  text.max_position_embeddings =
      fields.integer("max_position_embeddings", 1, 1 << 30, unified ? 262144 : 131072);
  text.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps", 0, 1, 1e-6));
  if (fields.has("final_logit_softcapping"))
    text.final_logit_softcapping =
        static_cast<float>(fields.number("final_logit_softcapping", 1e-6, 1e6, 30));
  text.num_kv_shared_layers = parse_shared_layers(fields, text.num_hidden_layers, role);
  text.use_double_wide_mlp = fields.boolean("use_double_wide_mlp", false);
  const bool has_width = fields.raw()["hidden_size_per_layer_input"].error() == simdjson::SUCCESS;
  text.hidden_size_per_layer_input =
      fields.integer("hidden_size_per_layer_input", 0, kMaxWidth,
                     has_width || unified || role == TextRole::kDrafter
                         ? 0  // null means off; the unified class has none
                         : 256);
  text.vocab_size_per_layer_input =
      fields.integer("vocab_size_per_layer_input", 0, kMaxVocabulary, text.vocab_size);
  if (text.hidden_size_per_layer_input > 0 && text.vocab_size_per_layer_input < text.vocab_size)
    fields.fail<bool>("vocab_size_per_layer_input",
                      str_cat("is ", text.vocab_size_per_layer_input, ", less than vocab_size ",
                              text.vocab_size));
  parse_experts(fields, text);
  const std::string bidirectional =
      fields.string("use_bidirectional_attention", unified ? "vision" : "");
  if (!bidirectional.empty() && bidirectional != "vision")
    fields.set_error(
        unsupported(str_cat(quote(fields.path("use_bidirectional_attention")), ": ",
                            quote(bidirectional), " is used by no published Gemma 4 decoder")));
  text.bidirectional_vision = bidirectional == "vision";
  text.tie_word_embeddings = fields.boolean("tie_word_embeddings", true);
  text.pad_token_id =
      static_cast<int32_t>(fields.integer("pad_token_id", 0, text.vocab_size - 1, 0));
  text.bos_token_id = static_cast<int32_t>(fields.integer(
      "bos_token_id", 0, text.vocab_size - 1, std::min<int64_t>(2, text.vocab_size - 1)));
  check_unsupported(fields);
  if (role == TextRole::kDrafter) check_drafter(fields, text);
  if (fields.failed()) return text;
  const auto problem = role == TextRole::kDrafter ? check_heads(text) : check_layers(text);
  if (problem) fields.fail<bool>(problem->key, problem->problem);
  return text;
}

VisionConfig parse_vision(Fields& fields) {
  VisionConfig vision;
  vision.unified = fields.string("model_type", "") == "gemma4_unified_vision";
  vision.patch_size = fields.integer("patch_size", 1, 1024, 16);
  vision.pooling_kernel_size = fields.integer("pooling_kernel_size", 1, 64, 3);
  if (vision.unified) {
    vision.mm_embed_dim = fields.integer("mm_embed_dim", 1, kMaxWidth);
    vision.mm_posemb_size = fields.integer("mm_posemb_size", 1, kMaxWidth);
    return vision;
  }
  vision.hidden_size = fields.integer("hidden_size", 1, kMaxWidth);
  vision.intermediate_size = fields.integer("intermediate_size", 1, kMaxWidth);
  vision.num_hidden_layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  vision.num_attention_heads = fields.integer("num_attention_heads", 1, 1 << 14);
  vision.head_dim = fields.integer("head_dim", 1, kMaxWidth);
  vision.position_embedding_size = fields.integer("position_embedding_size", 1, kMaxWidth, 10240);
  vision.standardize = fields.boolean("standardize", false);
  vision.use_clipped_linears = fields.boolean("use_clipped_linears", false);
  return vision;
}

AudioConfig parse_audio(Fields& fields) {
  AudioConfig audio;
  audio.unified = fields.string("model_type", "") == "gemma4_unified_audio";
  if (audio.unified) {
    audio.audio_embed_dim = fields.integer("audio_embed_dim", 1, kMaxWidth, 640);
    return audio;
  }
  audio.hidden_size = fields.integer("hidden_size", 1, kMaxWidth);
  audio.num_hidden_layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  audio.num_attention_heads = fields.integer("num_attention_heads", 1, 1 << 14);
  if (!fields.failed() && audio.hidden_size % audio.num_attention_heads != 0)
    fields.fail<bool>("num_attention_heads",
                      str_cat("is ", audio.num_attention_heads,
                              ", which does not divide hidden_size ", audio.hidden_size));
  audio.conv_kernel_size = fields.integer("conv_kernel_size", 1, 1024, 5);
  audio.output_proj_dims = fields.integer("output_proj_dims", 1, kMaxWidth);
  audio.use_clipped_linears = fields.boolean("use_clipped_linears", true);
  audio.attention_context_left = fields.integer("attention_context_left", 2, 64, 13);
  audio.attention_logit_cap =
      static_cast<float>(fields.number("attention_logit_cap", 1e-3, 1e6, 50));
  audio.residual_weight = static_cast<float>(fields.number("residual_weight", -1e6, 1e6, 0.5));
  fields.integer("attention_context_right", 0, 0, 0);  // the tower looks back only
  if (const auto channels = fields.array("subsampling_conv_channels")) {
    if (channels->size() != 2)
      fields.fail<bool>("subsampling_conv_channels", "expected two numbers");
    for (size_t i = 0; i < 2 && !fields.failed(); ++i) {
      int64_t value = 0;
      if (channels->at(i).get(value) != simdjson::SUCCESS || value < 1 || value > kMaxWidth)
        fields.fail<bool>("subsampling_conv_channels", "expected two positive integers");
      audio.subsampling_conv_channels[i] = value;
    }
  }
  return audio;
}

bool is_drafter_type(const std::string& type) {
  return type == "gemma4_assistant" || type == "gemma4_unified_assistant";
}

Status check_model_type(const std::string& type) {
  static const std::set<std::string> kKnown = {"gemma4", "gemma4_unified", "gemma4_text",
                                               "gemma4_unified_text"};
  if (kKnown.contains(type)) return {};
  if (is_drafter_type(type))
    return unsupported(
        "this is a Gemma 4 drafter (gemma4_assistant), which only works beside its target model; "
        "name the target");
  if (type.empty())
    return invalid("\"model_type\": is missing; this is not the config.json of a model");
  return unsupported(str_cat("this is a ", quote(type),
                             " model, not a Gemma 4 model (gemma4, gemma4_unified, gemma4_text)"));
}

// Valid as long as `parser`.
Result<dom::object> parse_object(dom::parser& parser, std::string_view json) {
  dom::object root;
  if (const auto error = parser.parse(json.data(), json.size()).get(root);
      error != simdjson::SUCCESS)
    return invalid(str_cat("is not a JSON object: ", simdjson::error_message(error)));
  return root;
}

}  // namespace

Result<Config> parse_config(std::string_view json) {
  dom::parser parser;
  G4_ASSIGN_OR_RETURN(const dom::object root, parse_object(parser, json));
  Fields fields(root, "");
  Config config;
  config.model_type = fields.string("model_type", "");
  G4_RETURN_IF_ERROR(fields.status());
  G4_RETURN_IF_ERROR(check_model_type(config.model_type));
  const bool unified = config.model_type.starts_with("gemma4_unified");
  config.text_only = config.model_type.ends_with("_text");

  std::optional<Fields> text = config.text_only ? fields : fields.object("text_config");
  G4_RETURN_IF_ERROR(fields.status());
  if (!text) return invalid("\"text_config\": is missing");
  config.text = parse_text(*text, unified);
  G4_RETURN_IF_ERROR(text->status());
  config.text.tie_word_embeddings =
      fields.boolean("tie_word_embeddings", config.text.tie_word_embeddings);
  config.eos_token_ids = fields.token_ids("eos_token_id");
  if (config.eos_token_ids.empty()) config.eos_token_ids = text->token_ids("eos_token_id");
  G4_RETURN_IF_ERROR(text->status());
  G4_RETURN_IF_ERROR(fields.status());
  if (config.text_only) return config;

  MediaTokenIds& media = config.media_token_ids;
  for (auto [key, target] :
       {std::pair("image_token_id", &media.image), std::pair("audio_token_id", &media.audio),
        std::pair("video_token_id", &media.video)})
    for (const int32_t id : fields.token_ids(key)) {
      config.placeholder_token_ids.push_back(id);
      *target = id;
    }
  if (auto vision = fields.object("vision_config")) {
    config.vision = parse_vision(*vision);
    fields.take_error_of(*vision);
  }
  if (auto audio = fields.object("audio_config")) {
    config.audio = parse_audio(*audio);
    fields.take_error_of(*audio);
  }
  G4_RETURN_IF_ERROR(fields.status());
  return config;
}

bool is_drafter_config(std::string_view json) {
  dom::parser parser;
  dom::object root;
  std::string_view type;
  return parser.parse(json.data(), json.size()).get(root) == simdjson::SUCCESS &&
         root["model_type"].get(type) == simdjson::SUCCESS && is_drafter_type(std::string(type));
}

Result<DrafterConfig> parse_drafter_config(std::string_view json) {
  dom::parser parser;
  G4_ASSIGN_OR_RETURN(const dom::object root, parse_object(parser, json));
  Fields fields(root, "");
  DrafterConfig drafter;
  drafter.model_type = fields.string("model_type", "");
  if (!is_drafter_type(drafter.model_type))
    return unsupported(str_cat("this is a ", quote(drafter.model_type),
                               " model, not a Gemma 4 drafter (gemma4_assistant)"));
  drafter.backbone_hidden_size = fields.integer("backbone_hidden_size", 1, kMaxWidth);
  drafter.use_ordered_embeddings = fields.boolean("use_ordered_embeddings", false);
  std::optional<Fields> text = fields.object("text_config");
  G4_RETURN_IF_ERROR(fields.status());
  if (!text) return invalid("\"text_config\": is missing");
  drafter.text =
      parse_text(*text, drafter.model_type.starts_with("gemma4_unified"), TextRole::kDrafter);
  G4_RETURN_IF_ERROR(text->status());
  if (drafter.use_ordered_embeddings) {
    drafter.num_centroids = fields.integer("num_centroids", 1, drafter.text.vocab_size, 2048);
    drafter.centroid_intermediate_top_k =
        fields.integer("centroid_intermediate_top_k", 1, drafter.num_centroids, 32);
  }
  G4_RETURN_IF_ERROR(fields.status());
  if (const auto problem = check_centroids(drafter)) return invalid(*problem);
  return drafter;
}

Result<GenerationDefaults> parse_generation_config(std::string_view json) {
  dom::parser parser;
  G4_ASSIGN_OR_RETURN(const dom::object root, parse_object(parser, json));
  Fields fields(root, "");
  GenerationDefaults defaults;
  defaults.temperature = static_cast<float>(fields.number("temperature", 0, 100, 1.0));
  if (!fields.boolean("do_sample", false)) defaults.temperature = 0;
  defaults.top_k = static_cast<int32_t>(fields.integer("top_k", 0, kMaxVocabulary, 64));
  defaults.top_p = static_cast<float>(fields.number("top_p", 0, 1, 0.95));
  defaults.eos_token_ids = fields.token_ids("eos_token_id");
  defaults.suppress_tokens = fields.token_ids("suppress_tokens");
  G4_RETURN_IF_ERROR(fields.status());
  return defaults;
}

}  // namespace gemma4::model

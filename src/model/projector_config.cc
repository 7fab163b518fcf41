#include "model/projector_config.h"

#include <array>
#include <string>

#include "base/check.h"
#include "base/strings.h"
#include "model/config_checks.h"
#include "model/gguf_keys.h"

namespace gemma4::model {
namespace {

using io::GgufTensor;

constexpr Limits kWidth = {1, kMaxWidth};
constexpr int64_t kMelBins = 128;

Error invalid(std::string message) { return {ErrorCode::kInvalidData, std::move(message)}; }
Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

// Size of one dimension of a tensor, fastest first.
Result<int64_t> dim_of(const io::GgufParts& parts, const std::string& name, size_t dim) {
  const GgufTensor* tensor = parts.find_tensor(name);
  const std::string what = str_cat("tensor ", quote(name));
  if (tensor == nullptr) return invalid(what + " is missing");
  if (tensor->dims.size() <= dim)
    return invalid(
        str_cat(what, " has ", tensor->dims.size(), " dimensions, expected ", dim + 1, " or more"));
  const int64_t size = tensor->dims[dim];
  if (size < 1 || size > kMaxWidth)
    return invalid(str_cat(what, ": dimension ", dim, " is ", size));
  return size;
}

bool has_tensor(const io::GgufParts& parts, const char* name) {
  return parts.find_tensor(name) != nullptr;
}

// A layer that is missing is one error, whatever the number of layers that the file claims.
Status check_last_layer(const io::GgufParts& parts, const char* prefix, int64_t layers) {
  const std::string name = str_cat(prefix, ".blk.", layers - 1, ".ln2.weight");
  if (parts.find_tensor(name) != nullptr) return {};
  return invalid(
      str_cat("tensor ", quote(name), " is missing; the metadata claim ", layers, " layers"));
}

Result<VisionConfig> read_vision(const io::GgufParts& parts, const GgufKeys& keys, bool unified) {
  VisionConfig vision;
  vision.unified = unified;
  G4_ASSIGN_OR_RETURN(vision.patch_size, keys.integer("patch_size", {1, 1024}, 16));
  G4_ASSIGN_OR_RETURN(vision.pooling_kernel_size,
                      keys.integer("projector.scale_factor", {1, 64}, 3));
  G4_ASSIGN_OR_RETURN(const int64_t positions, dim_of(parts, "v.position_embd.weight", 1));
  if (unified) {
    vision.mm_posemb_size = positions;
    G4_ASSIGN_OR_RETURN(vision.mm_embed_dim, keys.integer("embedding_length", kWidth));
    return vision;
  }
  vision.position_embedding_size = positions;
  G4_ASSIGN_OR_RETURN(vision.hidden_size, keys.integer("embedding_length", kWidth));
  G4_ASSIGN_OR_RETURN(vision.intermediate_size, keys.integer("feed_forward_length", kWidth));
  G4_ASSIGN_OR_RETURN(vision.num_hidden_layers, keys.integer("block_count", {1, kMaxLayers}));
  G4_ASSIGN_OR_RETURN(vision.num_attention_heads,
                      keys.integer("attention.head_count", {1, kMaxHeads}));
  G4_RETURN_IF_ERROR(check_last_layer(parts, "v", vision.num_hidden_layers));
  G4_ASSIGN_OR_RETURN(vision.head_dim, dim_of(parts, "v.blk.0.attn_q_norm.weight", 0));
  vision.standardize = has_tensor(parts, "v.std_scale") || has_tensor(parts, "v.std_bias");
  vision.use_clipped_linears = has_tensor(parts, "v.blk.0.attn_q.input_min");
  return vision;
}

Result<AudioConfig> read_audio(const io::GgufParts& parts, const GgufKeys& keys, bool unified) {
  AudioConfig audio;
  audio.unified = unified;
  if (unified) {
    G4_ASSIGN_OR_RETURN(audio.audio_embed_dim, keys.integer("embedding_length", kWidth));
    return audio;
  }
  G4_ASSIGN_OR_RETURN(audio.hidden_size, keys.integer("embedding_length", kWidth));
  G4_ASSIGN_OR_RETURN(audio.num_hidden_layers, keys.integer("block_count", {1, kMaxLayers}));
  G4_ASSIGN_OR_RETURN(audio.num_attention_heads,
                      keys.integer("attention.head_count", {1, kMaxHeads}));
  const int64_t width = 4 * audio.hidden_size;
  G4_ASSIGN_OR_RETURN(const int64_t said_width,
                      keys.integer("feed_forward_length", {1, 4 * kMaxWidth}, width));
  if (audio.hidden_size % audio.num_attention_heads != 0 || said_width != width)
    return unsupported(
        str_cat("metadata \"clip.audio\": embedding_length ", audio.hidden_size,
                ", feed_forward_length ", said_width, " and ", audio.num_attention_heads,
                " heads; Gemma 4 has heads of equal size and a width of four times"));
  G4_RETURN_IF_ERROR(keys.integer("num_mel_bins", {kMelBins, kMelBins}, kMelBins));
  G4_RETURN_IF_ERROR(check_last_layer(parts, "a", audio.num_hidden_layers));
  G4_ASSIGN_OR_RETURN(audio.conv_kernel_size, dim_of(parts, "a.blk.0.conv_dw.weight", 0));
  G4_ASSIGN_OR_RETURN(audio.subsampling_conv_channels[0], dim_of(parts, "a.conv1d.0.weight", 3));
  G4_ASSIGN_OR_RETURN(audio.subsampling_conv_channels[1], dim_of(parts, "a.conv1d.1.weight", 3));
  G4_ASSIGN_OR_RETURN(audio.output_proj_dims, dim_of(parts, "a.pre_encode.out.weight", 1));
  audio.use_clipped_linears = has_tensor(parts, "a.blk.0.attn_q.input_min");
  return audio;
}

Status check_architecture(const io::GgufFile& file) {
  G4_ASSIGN_OR_RETURN(const std::string_view name, file.get_string("general.architecture"));
  if (name == "clip") return {};
  return unsupported(str_cat("this is a ", quote(name), " model, not a projector (clip, mmproj)"));
}

struct Tower {
  const char* medium;  // "vision"
  std::string_view encoder, unified;
};
constexpr Tower kVisionTower = {"vision", "gemma4v", "gemma4uv"};
constexpr Tower kAudioTower = {"audio", "gemma4a", "gemma4ua"};

enum class TowerKind : uint8_t { kNone, kEncoder, kUnified };

Result<TowerKind> read_kind(const io::GgufFile& file, const Tower& tower) {
  const std::string has_key = str_cat("clip.has_", tower.medium, "_encoder");
  if (file.find(has_key) == nullptr) return TowerKind::kNone;
  G4_ASSIGN_OR_RETURN(const bool has, file.get_bool(has_key));
  if (!has) return TowerKind::kNone;
  std::string key = str_cat("clip.", tower.medium, ".projector_type");
  if (file.find(key) == nullptr) key = "clip.projector_type";  // files with one tower
  G4_ASSIGN_OR_RETURN(const std::string_view type, file.get_string(key));
  if (type == tower.encoder) return TowerKind::kEncoder;
  if (type == tower.unified) return TowerKind::kUnified;
  return unsupported(str_cat("this is a projector of type ", quote(type),
                             ", not that of a Gemma 4 ", "model (", tower.encoder, ", ",
                             tower.unified, ")"));
}

// The width of the text model; that of all towers is the same.
Status read_projection_dim(const GgufKeys& keys, TextConfig& text) {
  G4_ASSIGN_OR_RETURN(const int64_t dim, keys.integer("projection_dim", kWidth));
  if (text.hidden_size != 0 && text.hidden_size != dim)
    return invalid(str_cat("metadata ", quote(keys.key("projection_dim")), ": is ", dim,
                           ", but that of vision is ", text.hidden_size));
  text.hidden_size = dim;
  return {};
}

void add_sizes(io::GgufHeader& header, const std::string& prefix,
               const std::array<int64_t, 5>& sizes) {
  constexpr std::array kKeys = {"embedding_length", "feed_forward_length", "block_count",
                                "attention.head_count", "projection_dim"};
  for (size_t i = 0; i < sizes.size(); ++i)
    header.add(prefix + kKeys[i], static_cast<uint32_t>(sizes[i]));
  header.add(prefix + "attention.layer_norm_epsilon", 1e-6f);
}

}  // namespace

Result<Config> read_projector_config(const io::GgufParts& parts) {
  const io::GgufFile& file = parts.metadata();
  G4_RETURN_IF_ERROR(check_architecture(file));
  Config config;
  G4_ASSIGN_OR_RETURN(const TowerKind vision, read_kind(file, kVisionTower));
  G4_ASSIGN_OR_RETURN(const TowerKind audio, read_kind(file, kAudioTower));
  if (vision == TowerKind::kNone && audio == TowerKind::kNone)
    return invalid("this projector has neither a vision nor an audio tower");
  const bool unified = vision == TowerKind::kUnified || audio == TowerKind::kUnified;
  if (unified && (vision == TowerKind::kEncoder || audio == TowerKind::kEncoder))
    return unsupported("this projector has one tower with an encoder and one without");
  config.model_type = unified ? "gemma4_unified" : "gemma4";
  if (vision != TowerKind::kNone) {
    const GgufKeys keys(file, "clip.vision.");
    G4_RETURN_IF_ERROR(read_projection_dim(keys, config.text));
    G4_ASSIGN_OR_RETURN(config.vision, read_vision(parts, keys, unified));
  }
  if (audio != TowerKind::kNone) {
    const GgufKeys keys(file, "clip.audio.");
    G4_RETURN_IF_ERROR(read_projection_dim(keys, config.text));
    G4_ASSIGN_OR_RETURN(config.audio, read_audio(parts, keys, unified));
  }
  return config;
}

void add_projector_config(const Config& config, io::GgufHeader& header) {
  G4_CHECK(config.vision || config.audio);
  const int64_t width = config.text.hidden_size;
  if (config.vision) {
    const VisionConfig& vision = *config.vision;
    const std::string prefix = "clip.vision.";
    header.add("clip.has_vision_encoder", true);
    header.add(prefix + "projector_type",
               vision.unified ? kVisionTower.unified : kVisionTower.encoder);
    add_sizes(header, prefix,
              {vision.unified ? vision.mm_embed_dim : vision.hidden_size, vision.intermediate_size,
               vision.num_hidden_layers, vision.num_attention_heads, width});
    header.add(prefix + "patch_size", static_cast<uint32_t>(vision.patch_size));
    header.add(prefix + "projector.scale_factor",
               static_cast<uint32_t>(vision.pooling_kernel_size));
    // Required by other engines: pictures have any size, and the model itself maps 0…1 to -1…1.
    header.add(prefix + "image_size", 224u);
    header.add(prefix + "image_mean", std::span<const float>(std::array{0.0f, 0.0f, 0.0f}));
    header.add(prefix + "image_std", std::span<const float>(std::array{1.0f, 1.0f, 1.0f}));
  }
  if (config.audio) {
    const AudioConfig& audio = *config.audio;
    const std::string prefix = "clip.audio.";
    header.add("clip.has_audio_encoder", true);
    header.add(prefix + "projector_type",
               audio.unified ? kAudioTower.unified : kAudioTower.encoder);
    const std::array<int64_t, 5> sizes = {audio.unified ? audio.audio_embed_dim : audio.hidden_size,
                                          audio.unified ? 0 : 4 * audio.hidden_size,
                                          audio.num_hidden_layers, audio.num_attention_heads,
                                          width};
    add_sizes(header, prefix, sizes);
    header.add(prefix + "num_mel_bins", static_cast<uint32_t>(kMelBins));
  }
}

}  // namespace gemma4::model

#include "apps/info_parts.h"

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/json_output.h"
#include "base/strings.h"
#include "model/drafter_file.h"
#include "model/projector_file.h"

namespace gemma4::apps {
namespace {

using nlohmann::ordered_json;

uint64_t elements(const io::TensorMap& tensors) {
  uint64_t count = 0;
  for (const auto& [name, tensor] : tensors) count += static_cast<uint64_t>(tensor.size());
  return count;
}

uint64_t bytes(const io::TensorMap& tensors) {
  uint64_t count = 0;
  for (const auto& [name, tensor] : tensors) count += tensor.bytes.size();
  return count;
}

std::string describe(const model::VisionConfig& vision) {
  const int64_t side = vision.patch_size * vision.pooling_kernel_size;
  if (vision.unified)
    return str_cat("no encoder: patches of ", side, " pixels, ", vision.mm_embed_dim, " wide");
  return str_cat(vision.num_hidden_layers, " layers, ", vision.hidden_size, " wide, ",
                 vision.num_attention_heads, " heads; patches of ", vision.patch_size,
                 " pixels, pooled by ", vision.pooling_kernel_size,
                 vision.use_clipped_linears ? ", clipped" : "",
                 vision.standardize ? ", standardised" : "");
}

std::string describe(const model::AudioConfig& audio) {
  if (audio.unified) return str_cat("no encoder: ", audio.audio_embed_dim, " samples a token");
  return str_cat(audio.num_hidden_layers, " layers, ", audio.hidden_size, " wide, ",
                 audio.num_attention_heads, " heads", audio.use_clipped_linears ? ", clipped" : "");
}

ordered_json fields_of(const model::VisionConfig& vision) {
  if (vision.unified)
    return {{"mm_embed_dim", vision.mm_embed_dim},
            {"mm_posemb_size", vision.mm_posemb_size},
            {"patch_size", vision.patch_size},
            {"pooling_kernel_size", vision.pooling_kernel_size}};
  return {{"hidden_size", vision.hidden_size},
          {"intermediate_size", vision.intermediate_size},
          {"num_hidden_layers", vision.num_hidden_layers},
          {"num_attention_heads", vision.num_attention_heads},
          {"head_dim", vision.head_dim},
          {"patch_size", vision.patch_size},
          {"pooling_kernel_size", vision.pooling_kernel_size},
          {"position_embedding_size", vision.position_embedding_size},
          {"standardize", vision.standardize},
          {"use_clipped_linears", vision.use_clipped_linears}};
}

ordered_json fields_of(const model::AudioConfig& audio) {
  if (audio.unified) return {{"audio_embed_dim", audio.audio_embed_dim}};
  return {{"hidden_size", audio.hidden_size},
          {"num_hidden_layers", audio.num_hidden_layers},
          {"num_attention_heads", audio.num_attention_heads},
          {"conv_kernel_size", audio.conv_kernel_size},
          {"output_proj_dims", audio.output_proj_dims},
          {"use_clipped_linears", audio.use_clipped_linears}};
}

void print_weights(const io::TensorMap& tensors) {
  const TypeSummary types = summarise_types(tensors);
  print_line("parameters", with_thousands(elements(tensors)));
  print_line("weights", types.bytes);
  print_line("tensors", types.tensors);
}

}  // namespace

void print_line(const char* label, const std::string& value) {
  std::printf("%-22s %s\n", label, value.c_str());
}

TypeSummary summarise_types(const io::TensorMap& tensors) {
  struct Total {
    uint64_t tensors = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string_view, Total> totals;
  for (const auto& [name, tensor] : tensors) {
    Total& total = totals[name_of(tensor.dtype)];
    ++total.tensors;
    total.bytes += tensor.bytes.size();
  }
  TypeSummary summary;
  for (const auto& [type, total] : totals) {
    const char* comma = summary.bytes.empty() ? "" : ", ";
    summary.bytes += str_cat(comma, human_bytes(total.bytes), " ", type);
    summary.tensors += str_cat(comma, total.tensors, " ", type);
  }
  return summary;
}

void print_towers(const model::Config& config) {
  if (config.vision) print_line("vision", describe(*config.vision));
  if (config.audio) print_line("audio", describe(*config.audio));
}

void add_towers(const model::Config& config, ordered_json& json) {
  json["vision"] = config.vision ? fields_of(*config.vision) : ordered_json();
  json["audio"] = config.audio ? fields_of(*config.audio) : ordered_json();
}

Status show_projector(const std::string& path, InfoFormat format) {
  G4_ASSIGN_OR_RETURN(const model::Projector projector, model::open_projector(path));
  const io::TensorMap& tensors = projector.store.tensors();
  const int64_t width = projector.config.text.hidden_size;
  if (format == InfoFormat::kJson) {
    ordered_json json = {{"projector", path},
                         {"model_type", projector.config.model_type},
                         {"parameters", elements(tensors)},
                         {"bytes", bytes(tensors)},
                         {"tensors", tensors.size()},
                         {"projection_dim", width}};
    add_towers(projector.config, json);
    write_json(json);
    return {};
  }
  print_line("projector", str_cat(path, " (", projector.config.model_type,
                                  "), the part of a model that sees and hears"));
  print_weights(tensors);
  print_line("of a model with", str_cat("hidden size ", width));
  print_towers(projector.config);
  return {};
}

Status show_drafter(const std::string& path, InfoFormat format) {
  G4_ASSIGN_OR_RETURN(const model::Drafter drafter, model::open_drafter(path));
  const io::TensorMap& tensors = drafter.store.tensors();
  const model::DrafterConfig& config = drafter.config;
  if (format == InfoFormat::kJson) {
    write_json({{"drafter", path},
                {"model_type", config.model_type},
                {"parameters", elements(tensors)},
                {"bytes", bytes(tensors)},
                {"tensors", tensors.size()},
                {"backbone_hidden_size", config.backbone_hidden_size},
                {"hidden_size", config.text.hidden_size},
                {"vocab_size", config.text.vocab_size},
                {"num_hidden_layers", config.text.num_hidden_layers},
                {"num_centroids", config.num_centroids},
                {"centroid_intermediate_top_k", config.centroid_intermediate_top_k}});
    return {};
  }
  print_line("drafter",
             str_cat(path, " (", config.model_type, "), proposes tokens to a model; not used yet"));
  print_weights(tensors);
  print_line("of a model with", str_cat("hidden size ", config.backbone_hidden_size));
  print_line("hidden size", str_cat(config.text.hidden_size, ", vocabulary ",
                                    with_thousands(static_cast<uint64_t>(config.text.vocab_size))));
  print_line("layers",
             str_cat(config.text.num_hidden_layers, ", reading the keys and values of the model"));
  if (config.use_ordered_embeddings)
    print_line("head", str_cat(config.num_centroids, " clusters of tokens, the best ",
                               config.centroid_intermediate_top_k, " are computed"));
  return {};
}

}  // namespace gemma4::apps

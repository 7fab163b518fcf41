// gemma4 info: what a checkpoint is, and what it will cost to run.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/info_parts.h"
#include "apps/json_output.h"
#include "apps/model_source.h"
#include "apps/option_checks.h"
#include "apps/options.h"
#include "base/strings.h"
#include "engine/engine.h"
#include "model/drafter_file.h"
#include "model/kv_cache.h"
#include "model/tensor_list.h"

namespace gemma4::apps {
namespace {

struct Arguments {
  std::string model;
  std::string projector;
  int64_t context = 0;
  std::string kv_type;
  bool json = false;
};

// The tensors of one type.
struct TypeTotal {
  uint64_t tensors = 0;
  uint64_t bytes = 0;
};

struct Facts {
  std::string path;
  std::string model_type;
  const model::TextConfig* text = nullptr;
  int64_t context = 0;
  DType kv_type = DType::kF32;
  int64_t full_layers = 0;
  int64_t sliding_layers = 0;
  uint64_t sliding_kv_bytes = 0;
  uint64_t full_kv_bytes = 0;
  uint64_t ignored_tensors = 0;
  bool vision = false;
  bool audio = false;
  std::map<std::string, TypeTotal> by_type;
};

Facts collect(const std::string& path, const model::Model& model, int64_t context, DType kv_type) {
  const model::Config& config = model.config();
  Facts facts{
      .path = path, .model_type = config.model_type, .text = &config.text, .kv_type = kv_type};
  facts.context =
      context > 0 ? context : std::min<int64_t>(8192, config.text.max_position_embeddings);
  for (const auto& plan : model::plan_layers(config.text))
    (plan.kind == model::AttentionKind::kFull ? facts.full_layers : facts.sliding_layers) += 1;
  const auto blocks = model::KvCache::blocks_needed(config.text, facts.context,
                                                    engine::EngineOptions().chunk_tokens);
  const auto kv_bytes = [&](model::AttentionKind kind) {
    return static_cast<uint64_t>(blocks[static_cast<size_t>(index_of(kind))] *
                                 model::KvCache::block_bytes(config.text, kind, kv_type));
  };
  facts.sliding_kv_bytes = kv_bytes(model::AttentionKind::kSliding);
  facts.full_kv_bytes = kv_bytes(model::AttentionKind::kFull);
  for (const auto& [name, tensor] : model.store().tensors()) {
    TypeTotal& total = facts.by_type[std::string(name_of(tensor.dtype))];
    ++total.tensors;
    total.bytes += tensor.bytes.size();
    facts.vision |= name.find("vision") != name.npos;
    facts.audio |= name.find("audio") != name.npos;
  }
  model::TextWeights unused;
  facts.ignored_tensors =
      model.store().tensors().size() - model::text_tensors(config, "", unused).size();
  return facts;
}

void print_text(const Facts& f, const model::Model& model) {
  const model::TextConfig& t = *f.text;
  const auto line = [](const char* label, const std::string& value) {
    std::printf("%-22s %s\n", label, value.c_str());
  };
  line("checkpoint", str_cat(f.path, " (", f.model_type, ")"));
  line("parameters", with_thousands(model.text_size().parameters) + " in the text decoder");
  std::string types, tensors;
  for (const auto& [type, total] : f.by_type) {
    types += (types.empty() ? "" : ", ") + str_cat(human_bytes(total.bytes), " ", type);
    tensors += (tensors.empty() ? "" : ", ") + str_cat(total.tensors, " ", type);
  }
  line("weights",
       str_cat(types, " on disk; the text decoder is ", human_bytes(model.text_size().bytes)));
  if (model.per_layer_table_size().bytes > 0)
    line("", str_cat("of that ", human_bytes(model.per_layer_table_size().bytes),
                     " per-layer-input table, read by row and never copied"));
  line("tensors", tensors);
  line("read per token", human_bytes(model.bytes_per_token()));
  line("hidden size", str_cat(t.hidden_size, ", vocabulary ",
                              with_thousands(static_cast<uint64_t>(t.vocab_size))));
  line("layers", str_cat(t.num_hidden_layers, " (", f.sliding_layers, " sliding with window ",
                         t.sliding_window, ", ", f.full_layers, " full",
                         t.num_kv_shared_layers > 0 ? str_cat("; the last ", t.num_kv_shared_layers,
                                                              " share keys and values")
                                                    : "",
                         ")"));
  if (t.enable_moe_block)
    line("experts", str_cat(t.num_experts, ", ", t.top_k_experts, " active per token"));
  if (t.hidden_size_per_layer_input > 0)
    line("per-layer inputs", str_cat(t.hidden_size_per_layer_input, " wide"));
  line("context",
       str_cat(with_thousands(static_cast<uint64_t>(f.context)), " tokens (the model takes up to ",
               with_thousands(static_cast<uint64_t>(t.max_position_embeddings)), ")"));
  line("cache at this context",
       str_cat(human_bytes(f.sliding_kv_bytes + f.full_kv_bytes), " in ",
               lower_case(name_of(f.kv_type)), " (", human_bytes(f.sliding_kv_bytes), " sliding, ",
               human_bytes(f.full_kv_bytes), " full)"));
  const std::string towers = str_cat(f.vision ? "vision " : "", f.audio ? "audio " : "");
  if (!towers.empty()) line("towers", str_cat(towers, "(present, not used yet)"));
  if (!towers.empty()) print_towers(model.config());
  if (!model.projector().path.empty()) line("projector", model.projector().path);
  if (f.ignored_tensors > 0)
    line("tensors not used", str_cat(f.ignored_tensors, " of ", model.store().tensors().size()));
}

void print_json(const Facts& f, const model::Model& model) {
  const model::TextConfig& t = *f.text;
  nlohmann::ordered_json bytes_by_type = nlohmann::ordered_json::object();
  nlohmann::ordered_json tensors_by_type = nlohmann::ordered_json::object();
  for (const auto& [type, total] : f.by_type) {
    bytes_by_type[type] = total.bytes;
    tensors_by_type[type] = total.tensors;
  }
  nlohmann::ordered_json json = {{"checkpoint", f.path},
                                 {"model_type", f.model_type},
                                 {"text_parameters", model.text_size().parameters},
                                 {"text_bytes", model.text_size().bytes},
                                 {"per_layer_table_bytes", model.per_layer_table_size().bytes},
                                 {"bytes_read_per_token", model.bytes_per_token()},
                                 {"bytes_by_type", bytes_by_type},
                                 {"tensors_by_type", tensors_by_type},
                                 {"hidden_size", t.hidden_size},
                                 {"vocab_size", t.vocab_size},
                                 {"num_hidden_layers", t.num_hidden_layers},
                                 {"sliding_layers", f.sliding_layers},
                                 {"full_layers", f.full_layers},
                                 {"sliding_window", t.sliding_window},
                                 {"num_kv_shared_layers", t.num_kv_shared_layers},
                                 {"num_experts", t.num_experts},
                                 {"max_position_embeddings", t.max_position_embeddings},
                                 {"context", f.context},
                                 {"kv_type", lower_case(name_of(f.kv_type))},
                                 {"sliding_kv_bytes", f.sliding_kv_bytes},
                                 {"full_kv_bytes", f.full_kv_bytes},
                                 {"unused_tensors", f.ignored_tensors}};
  add_towers(model.config(), json);
  json["projector"] = model.projector().path.empty()
                          ? nlohmann::ordered_json()
                          : nlohmann::ordered_json(model.projector().path);
  write_json(json);
}

Status show_part(const Arguments& arguments, const std::string& path, model::CheckpointKind kind) {
  const bool is_drafter = kind == model::CheckpointKind::kDrafter;
  if (arguments.context > 0 || !arguments.projector.empty())
    return Error{ErrorCode::kInvalidArgument,
                 str_cat(path, ": is a ", is_drafter ? "drafter" : "projector",
                         "; --ctx and --mmproj are for whole models")};
  const InfoFormat format = arguments.json ? InfoFormat::kJson : InfoFormat::kText;
  return is_drafter ? show_drafter(path, format) : show_projector(path, format);
}

Status run(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::string path, resolve_model(arguments.model));
  const model::CheckpointKind kind = model::checkpoint_kind(path);
  if (kind != model::CheckpointKind::kModel) return show_part(arguments, path, kind);
  G4_ASSIGN_OR_RETURN(
      const model::Model model,
      model::Model::load(path, nullptr, {.projector = projector_choice(arguments.projector)}));
  if (const std::string& note = model.projector().note; !note.empty())
    std::fprintf(stderr, "gemma4: note: %s\n", note.c_str());
  const int64_t limit = model.config().text.max_position_embeddings;
  if (arguments.context > limit)
    return Error{
        ErrorCode::kInvalidArgument,
        str_cat("--ctx ", arguments.context, ": this model takes up to ", limit, " tokens")};
  const DType kv_type = kv_type_of(arguments.kv_type, model.kv_type());
  G4_RETURN_IF_ERROR(model::KvCache::check_type(model.config().text, kv_type));
  const Facts facts = collect(path, model, arguments.context, kv_type);
  arguments.json ? print_json(facts, model) : print_text(facts, model);
  return {};
}

}  // namespace

Command add_info(CLI::App& app) {
  auto* command = app.add_subcommand("info", "Show what a checkpoint is and what it costs to run");
  auto arguments = std::make_shared<Arguments>();
  add_model_argument(*command, arguments->model);
  add_projector_argument(*command, arguments->projector);
  command->add_option("--ctx", arguments->context, "Context to plan for, in tokens")
      ->check(whole_number(1));
  add_kv_type_argument(*command, arguments->kv_type);
  command->add_flag("--json", arguments->json, "Print JSON");
  return [arguments] { return exit_code(run(*arguments)); };
}

}  // namespace gemma4::apps

#include "apps/weight_types.h"

#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "model/gguf_names.h"
#include "quant/quantize.h"

namespace gemma4::apps {
namespace {

std::vector<DType> writable_types() {
  std::vector<DType> types;
  for (int i = 0; i <= static_cast<int>(DType::kIQ4_XS); ++i)
    if (quant::can_quantize(static_cast<DType>(i))) types.push_back(static_cast<DType>(i));
  return types;
}

Result<DType> parse_type(const std::string& option, const std::string& name) {
  for (const DType type : writable_types())
    if (lower_case(name_of(type)) == lower_case(name)) return type;
  return Error{ErrorCode::kInvalidArgument,
               str_cat(option, ": ", quote(name), " is none of ", weight_type_names())};
}

// The table of embeddings is the vocabulary head too, and errors there are errors in every logit:
// files of four and five bits give it six, as other quantisers do.
DType head_type(DType type) {
  switch (type) {
    case DType::kQ4_0:
    case DType::kIQ4_NL:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return DType::kQ6_K;
    default:
      return type;
  }
}

// Blocks of 256 to blocks of 32 as near in size as can be written, those to plain floats.
DType smaller_blocks(DType type) {
  if (info_of(type).block_elements <= 32) return DType::kBF16;
  const DType next = type == DType::kQ4_K   ? DType::kQ5_0
                     : type == DType::kQ5_K ? DType::kQ5_1
                     : type == DType::kQ6_K ? DType::kQ8_0
                                            : DType::kIQ4_NL;
  return quant::can_quantize(next) ? next : DType::kQ8_0;
}

}  // namespace

DType fitting_type(DType type, int64_t cols) {
  while (cols % info_of(type).block_elements != 0) type = smaller_blocks(type);
  return type;
}

std::string weight_type_names() {
  std::string names;
  for (const DType type : writable_types())
    names += (names.empty() ? "" : ", ") + lower_case(name_of(type));
  return names;
}

void add_weight_type_arguments(CLI::App& command, WeightTypeArguments& arguments) {
  command.add_option("--type", arguments.type, "Type of the matrices: " + weight_type_names());
  command.add_option("--head", arguments.head,
                     "Type of the embedding table and the vocabulary head (default: q6_k for types "
                     "of four and five bits, else --type)");
  command.add_option("--per-layer-table", arguments.per_layer_table,
                     "Type of the per-layer-input table (default: that of --head)");
  command
      .add_option("--tensor", arguments.tensors,
                  "PATTERN=TYPE for tensors by their GGUF names, as in 'blk.*.attn_v.weight=q8_0'; "
                  "may be repeated, the first that matches counts")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
}

Result<WeightTypes> WeightTypes::parse(const WeightTypeArguments& arguments,
                                       const std::string& type_option) {
  WeightTypes types;
  G4_ASSIGN_OR_RETURN(types.type_, parse_type(type_option, arguments.type));
  types.head_ = head_type(*types.type_);
  if (!arguments.head.empty()) {
    G4_ASSIGN_OR_RETURN(types.head_, parse_type("--head", arguments.head));
  }
  types.per_layer_table_ = types.head_;
  if (!arguments.per_layer_table.empty()) {
    G4_ASSIGN_OR_RETURN(types.per_layer_table_,
                        parse_type("--per-layer-table", arguments.per_layer_table));
  }
  for (const std::string& rule : arguments.tensors) {
    const size_t equals = rule.rfind('=');
    if (equals == rule.npos || equals == 0)
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("--tensor ", quote(rule), ": expected PATTERN=TYPE")};
    G4_ASSIGN_OR_RETURN(const DType type,
                        parse_type("--tensor " + quote(rule), rule.substr(equals + 1)));
    types.rules_.push_back({rule.substr(0, equals), type});
  }
  return types;
}

DType WeightTypes::wanted(const model::GgufTensorEntry& tensor, DType stored) {
  for (Rule& rule : rules_)
    if (fnmatch(rule.pattern.c_str(), tensor.name.c_str(), 0) == 0) {
      rule.used = true;
      return rule.type;
    }
  if (!type_) return stored;
  if (tensor.name == "token_embd.weight" || tensor.name == "output.weight") return *head_;
  if (tensor.name == "per_layer_token_embd.weight") return *per_layer_table_;
  // Small, and not quantised by others either: one is read once a token for all layers, the other
  // chooses which tokens a drafter computes at all.
  const bool is_small =
      tensor.name == "per_layer_model_proj.weight" || tensor.name == model::kDrafterCentroids;
  if (is_small && is_float_dtype(stored) && is_block_dtype(*type_)) return stored;
  return *type_;
}

DType WeightTypes::choose(const model::GgufTensorEntry& tensor, DType stored) {
  if (tensor.is_ids) return DType::kI32;
  if (!tensor.is_matrix) return DType::kF32;
  const DType type = wanted(tensor, stored);
  const DType fitting = fitting_type(type, tensor.shape.back());
  if (fitting != type) ++num_misfits_;
  return fitting;
}

void WeightTypes::note_misfits() const {
  if (num_misfits_ == 0) return;
  std::fprintf(stderr,
               "gemma4: note: %d tensors have rows that are no whole number of blocks, and get "
               "another type\n",
               num_misfits_);
}

void note_requantisation(DType stored) {
  std::fprintf(stderr,
               "gemma4: note: the weights are %s already; from the original weights the result is "
               "closer to them\n",
               std::string(name_of(stored)).c_str());
}

Status WeightTypes::check_rules_used() const {
  const auto unused = std::ranges::find(rules_, false, &Rule::used);
  if (unused == rules_.end()) return {};
  return Error{ErrorCode::kInvalidArgument,
               str_cat("--tensor ", quote(unused->pattern),
                       ": no matrix has such a name (or a rule before it takes them all)")};
}

}  // namespace gemma4::apps

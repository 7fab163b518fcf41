// Which type each tensor of a written GGUF file gets: --type, --tensor, --head, --per-layer-table.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "model/gguf_export.h"

namespace CLI {
class App;
}

namespace gemma4::apps {

struct WeightTypeArguments {
  std::string type;
  std::string head;                  // empty: chosen by `type`
  std::string per_layer_table;       // empty: like the head
  std::vector<std::string> tensors;  // "PATTERN=TYPE"
};
void add_weight_type_arguments(CLI::App& command, WeightTypeArguments& arguments);

// The types that can be written: "bf16", "q4_0" …
std::string weight_type_names();

class WeightTypes {
 public:
  // Keeps every matrix as it is.
  WeightTypes() = default;
  // kInvalidArgument, naming the option, for what is no type or no rule; `type_option` is what the
  // command calls that of `arguments.type`.
  static Result<WeightTypes> parse(const WeightTypeArguments& arguments,
                                   const std::string& type_option = "--type");

  // For a tensor that is stored as `stored`. F32 for all but matrices; rows that are no whole
  // number of blocks get the next best type that they fit.
  DType choose(const model::GgufTensorEntry& tensor, DType stored);
  // After all tensors: kInvalidArgument for a rule that none of them matched.
  Status check_rules_used() const;
  // After all tensors: says on stderr that some had rows that did not fit the type meant for them.
  void note_misfits() const;

 private:
  struct Rule {
    std::string pattern;
    DType type;
    bool used = false;
  };
  DType wanted(const model::GgufTensorEntry& tensor, DType stored);

  std::optional<DType> type_, head_, per_layer_table_;
  std::vector<Rule> rules_;
  int num_misfits_ = 0;
};

// Says on stderr that weights in blocks are quantised again, from `stored`.
void note_requantisation(DType stored);

// The type that takes the place of `type` where rows of `cols` elements are no whole blocks of it;
// `type` itself where they are.
DType fitting_type(DType type, int64_t cols);

}  // namespace gemma4::apps

// From JSON Schema to a grammar.
//
//   G4_ASSIGN_OR_RETURN(const json::Value schema, json::parse(text));
//   G4_ASSIGN_OR_RETURN(auto grammar, grammar_of_schema(schema, {}));
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "constrain/dialect.h"
#include "constrain/grammar.h"
#include "constrain/inhabitants.h"
#include "constrain/schema_algebra.h"
#include "json/json.h"

namespace gemma4::constrain {

// The grammar of the JSON texts that satisfy `schema` (draft 2020-12, and the older forms that
// tools still write). Properties may come in any order, none of the named ones twice.
// Errors, with the keyword's name and its JSON pointer: kInvalidArgument for what is no schema or
// allows nothing, kUnsupported for what cannot be enforced, kResourceExhausted for what would take
// too much.
Result<std::shared_ptr<const Grammar>> grammar_of_schema(const json::Value& schema,
                                                         const SchemaOptions& options);

// A count as a register can hold it; no text is so long that it matters.
inline uint32_t clamped(uint64_t count) {
  return static_cast<uint32_t>(std::min<uint64_t>(count, UINT32_MAX - 1));
}

// Adds rules for values to a grammar.
class ValueRules {
 public:
  ValueRules(SchemaAlgebra algebra, GrammarBuilder& grammar, Dialect& dialect)
      : algebra_(std::move(algebra)),
        grammar_(grammar),
        dialect_(dialect),
        inhabitants_(algebra_) {}

  // A value that satisfies all of `schemas`. Error kInvalidArgument: there is none.
  Result<RuleId> root(const std::vector<SchemaId>& schemas);

 private:
  friend class ObjectRule;
  friend class ArrayRule;
  // A value that satisfies `all`, of which there has to be one.
  Result<RuleId> value(const Conjunction& all);
  Status add_alternatives(RuleId rule, const Conjunction& all);

  SchemaAlgebra algebra_;
  GrammarBuilder& grammar_;
  Dialect& dialect_;
  Inhabitants inhabitants_;
  int depth_ = 0;
  std::map<Conjunction, RuleId> rules_;
};

}  // namespace gemma4::constrain

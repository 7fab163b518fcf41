// The rule of one alternative for arrays.
#pragma once

#include "constrain/array_plan.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {

class ArrayRule {
 public:
  // `plan` is of an alternative that has values.
  ArrayRule(ValueRules& rules, ArrayPlan plan)
      : rules_(rules), grammar_(rules.grammar_), plan_(std::move(plan)), spec_(plan_.spec) {}

  Result<RuleId> build();

 private:
  Status plain();
  Status unique();
  Status containing();
  // A state behind `from` and, unless it is the first item, a comma.
  StateId before_item(StateId from, bool first);
  Status add_item(StateId from, const Conjunction& all, StateId to,
                  std::vector<Operation> operations = {});

  ValueRules& rules_;
  GrammarBuilder& grammar_;
  const ArrayPlan plan_;
  const ArraySpec& spec_;
  StateId open_ = -1;     // behind `[` and space
  StateId close_ = -1;    // before space and `]`
  StateId bracket_ = -1;  // before `]`
};

}  // namespace gemma4::constrain

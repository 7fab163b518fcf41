// The rule of one alternative for objects.
#pragma once

#include <string>
#include <vector>

#include "constrain/object_plan.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {

class ObjectRule {
 public:
  // `plan` is of one alternative of `all` that has values.
  ObjectRule(ValueRules& rules, ObjectPlan plan, const Conjunction& all)
      : rules_(rules),
        grammar_(rules.grammar_),
        plan_(std::move(plan)),
        spec_(plan_.spec),
        all_(all),
        sorted_(rules.dialect_.sorts_keys()) {}

  Result<RuleId> build();

 private:
  using Named = ObjectPlan::Named;
  using Class = ObjectPlan::Class;

  Status find_possible();
  void number_registers();
  uint32_t bit_of(size_t index) const;
  uint32_t end_of_required(size_t index) const;
  std::vector<Operation> write(size_t index) const;
  std::vector<Operation> count_one() const;
  std::vector<Operation> may_close() const;
  std::vector<Operation> may_go_on() const;
  Status add_named(size_t index, StateId from, StateId to);
  Status add_class(const Class& keys, StateId from, StateId to);
  // Adds the ways to serve obligations, or not, and the value behind `key`. `needed`: a property
  // that must come.
  template <typename AddKey>
  Status add_ways(const Conjunction& value, const std::vector<bool>& serves, bool needed,
                  const std::vector<Operation>& operations, StateId from, StateId to,
                  AddKey add_key);

  ValueRules& rules_;
  GrammarBuilder& grammar_;
  ObjectPlan plan_;
  const ObjectSpec& spec_;
  const Conjunction& all_;
  const bool sorted_;
  std::vector<Named> named_;  // those that may be there
  std::vector<Class> classes_;
  // Word 0 is the place in the order of the keys where that is fixed; then the bits of what has
  // been written, then the number of properties.
  uint32_t first_named_ = 0, first_obligation_ = 0;  // bits
  uint32_t counter_ = 0;                             // a word
  uint32_t named_mask_ = 0;                          // all that may be there
  uint32_t needed_mask_ = 0;                         // all that must be, obligations included
};

}  // namespace gemma4::constrain

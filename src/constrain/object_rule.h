// The rule of one alternative for objects.
#pragma once

#include <string>
#include <vector>

#include "constrain/schema_grammar.h"

namespace gemma4::constrain {

class ObjectRule {
 public:
  ObjectRule(ValueRules& rules, const ObjectSpec& spec, const Conjunction& all)
      : rules_(rules), grammar_(rules.grammar_), spec_(spec), all_(all) {}

  Result<RuleId> build();

 private:
  // A property that is named, and keys that are not, which are all treated alike.
  struct Named {
    std::string key;
    Conjunction value;
    bool required = false;
    bool possible = true;      // else the key may not be there
    std::vector<bool> serves;  // by obligation (ObjectSpec::exists)
  };
  struct Class {
    Dfa keys;
    Conjunction value;
    std::vector<bool> serves;
  };

  Status find_named();
  Status find_classes();
  Status split(const Dfa& by, const std::optional<Literal>& value, std::vector<bool>& inside,
               std::optional<size_t> serves);
  void number_registers();
  bool satisfiable() const;
  std::vector<Operation> use(size_t index) const;
  std::vector<Operation> count_one(bool required, size_t index) const;
  std::vector<Operation> may_close() const;
  std::vector<Operation> may_go_on() const;
  Status add_member(StateId from, StateId key_end, const Conjunction& value, StateId to);
  Status add_named(size_t index, StateId from, StateId to);
  Status add_class(const Class& keys, StateId from, StateId to);
  // Adds the ways to serve obligations, or not, and the value behind `key`.
  template <typename AddKey>
  Status add_ways(const Conjunction& value, const std::vector<bool>& serves,
                  const std::vector<Operation>& operations, StateId from, StateId to,
                  AddKey add_key);

  ValueRules& rules_;
  GrammarBuilder& grammar_;
  const ObjectSpec& spec_;
  const Conjunction& all_;
  std::vector<Named> named_;
  std::vector<Class> classes_;
  bool counts_ = false;
  uint32_t first_obligation_ = 0;  // its bit
  uint32_t counter_ = 0;           // the word that counts properties
  uint32_t required_mask_ = 0, named_mask_ = 0, needed_mask_ = 0;
  std::vector<uint32_t> server_masks_;  // by obligation: the named properties that may serve it
  std::vector<bool> open_servers_;      // by obligation: whether other properties may
};

}  // namespace gemma4::constrain

// What GrammarBuilder::build does: drops dead states, refuses left recursion, packs the tables.
#pragma once

#include <memory>
#include <vector>

#include "constrain/grammar.h"

namespace gemma4::constrain {

class GrammarLinker {
 public:
  GrammarLinker(const GrammarBuilder& source, RuleId root) : source_(source), root_(root) {}

  // Errors as GrammarBuilder::build.
  Result<std::shared_ptr<const Grammar>> link();

  static Error nothing_satisfies();

 private:
  enum class Through : uint8_t { kAnyInput, kNoInput };
  // By state: whether its rule can be finished from there, by some text or by none at all.
  std::vector<bool> finishable(Through through) const;
  Status refuse_left_recursion() const;
  std::vector<RuleId> first_calls(RuleId rule, std::vector<RuleId>& seen) const;
  void number_states();
  void pack(Grammar& grammar) const;

  const GrammarBuilder& source_;
  const RuleId root_;
  std::vector<bool> living_;      // by state: its rule can be finished from there
  std::vector<bool> silent_;      // by state: without any input
  std::vector<StateId> new_ids_;  // by state, -1 for those that are dropped
  std::vector<StateId> kept_;     // the others, in their new order
};

}  // namespace gemma4::constrain

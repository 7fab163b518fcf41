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

 private:
  void find_living();
  void find_nullable();
  Status refuse_left_recursion() const;
  std::vector<RuleId> first_calls(RuleId rule) const;
  void number_states();
  void pack(Grammar& grammar) const;

  const GrammarBuilder& source_;
  const RuleId root_;
  std::vector<bool> living_;      // by state: its rule can be finished from there
  std::vector<bool> nullable_;    // by rule: may take no input
  std::vector<StateId> new_ids_;  // by state, -1 for those that are dropped
  std::vector<StateId> kept_;     // the others, in their new order
};

// Fills in State::plain.
void find_plain_states(Grammar& grammar);

}  // namespace gemma4::constrain

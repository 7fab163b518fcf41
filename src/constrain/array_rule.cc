#include "constrain/array_rule.h"

#include <algorithm>

namespace gemma4::constrain {
Result<RuleId> ArrayRule::build() {
  const RuleId rule = grammar_.add_rule("array");
  open_ = rules_.dialect_.space(grammar_.bytes(grammar_.start(rule), "["));
  close_ = grammar_.add_state();
  bracket_ = rules_.dialect_.space(close_);
  grammar_.accept(grammar_.bytes(bracket_, "]"));
  if (plan_.unique()) {
    G4_RETURN_IF_ERROR(unique());
  } else if (plan_.states.empty()) {
    G4_RETURN_IF_ERROR(plain());
  } else {
    G4_RETURN_IF_ERROR(containing());
  }
  return rule;
}

StateId ArrayRule::before_item(StateId from, bool first) {
  return first ? from : rules_.dialect_.space(grammar_.bytes(from, ","));
}

Status ArrayRule::add_item(StateId from, const Conjunction& all, StateId to,
                           std::vector<Operation> operations) {
  G4_ASSIGN_OR_RETURN(const bool possible, rules_.inhabitants_.exist(all));
  if (!possible) return {};
  G4_ASSIGN_OR_RETURN(const RuleId value, rules_.value(all));
  grammar_.call(from, value, to, std::move(operations));
  return {};
}

// A state for each item of the prefixes, then a loop that counts if it has to.
Status ArrayRule::plain() {
  const uint64_t prefix = std::min(plan_.longest_prefix(), spec_.max);
  StateId state = open_;
  if (spec_.min == 0) grammar_.jump(open_, bracket_);
  for (uint64_t i = 0; i < prefix; ++i) {
    const StateId next = grammar_.add_state();
    G4_RETURN_IF_ERROR(add_item(before_item(state, i == 0), rules_.algebra_.item(spec_, i), next));
    if (i + 1 >= spec_.min) grammar_.jump(next, close_);
    state = next;
  }
  if (prefix >= spec_.max) return {};
  const uint32_t min = clamped(spec_.min > prefix ? spec_.min - prefix : 0);
  const uint32_t max = clamped(spec_.max == kNoLimit ? kNoLimit : spec_.max - prefix);
  std::vector<Operation> count;
  if (spec_.max != kNoLimit) {
    count = {{Operation::Kind::kCountBelow, 0, max}};
  } else if (min > 1) {
    count = {{Operation::Kind::kCountUpTo, 0, min}};
  }
  const Conjunction rest = rules_.algebra_.item(spec_, prefix);
  const StateId loop = grammar_.add_state();
  const StateId again = grammar_.add_state();
  G4_RETURN_IF_ERROR(add_item(before_item(state, prefix == 0), rest, loop, count));
  std::vector<Operation> enough;
  if (min > 1) enough = {{Operation::Kind::kAtLeast, 0, min}};
  grammar_.jump(loop, close_, std::move(enough));
  // Before the comma: whether another item may follow.
  std::vector<Operation> room;
  if (spec_.max != kNoLimit) room = {{Operation::Kind::kBelow, 0, max}};
  grammar_.jump(loop, again, std::move(room));
  return add_item(before_item(again, false), rest, loop, count);
}

// Items from a list: each of its values is a bit that can be used once.
Status ArrayRule::unique() {
  const Conjunction item = rules_.algebra_.item(spec_, 0);
  std::vector<Conjunction> values;
  for (const SchemaId value : plan_.values) {
    Conjunction one = item;
    rules_.algebra_.add_to(one, {value, false});
    G4_ASSIGN_OR_RETURN(const bool possible, rules_.inhabitants_.exist(one));
    if (possible) values.push_back(std::move(one));
  }
  const auto count = static_cast<uint32_t>(values.size());
  const uint32_t counter = (count + 31) / 32;
  std::vector<uint32_t> bits(counter, 0);
  for (uint32_t i = 0; i < count; ++i) bits[i / 32] |= 1U << (i % 32);
  const uint32_t mask = grammar_.add_mask(std::move(bits));
  const uint32_t max = clamped(std::min<uint64_t>(spec_.max, count));
  const StateId first = grammar_.add_state();
  const StateId loop = grammar_.add_state();
  const StateId again = grammar_.add_state();
  if (spec_.min == 0) grammar_.jump(open_, bracket_);
  grammar_.jump(open_, first);
  for (uint32_t i = 0; i < count; ++i)
    G4_RETURN_IF_ERROR(add_item(first, values[i], loop,
                                {{.kind = Operation::Kind::kUseBit, .bit = i},
                                 {Operation::Kind::kCountBelow, counter, max}}));
  grammar_.jump(loop, close_, {{Operation::Kind::kAtLeast, counter, clamped(spec_.min)}});
  grammar_.jump(loop, again,
                {{.kind = Operation::Kind::kAnyClear, .mask = mask},
                 {Operation::Kind::kBelow, counter, max}});
  grammar_.jump(before_item(again, false), first);
  return {};
}

Status ArrayRule::containing() {
  std::vector<StateId> states{open_};
  while (states.size() < plan_.states.size()) states.push_back(grammar_.add_state());
  for (size_t i = 0; i < states.size(); ++i) {
    if (plan_.states[i].may_end) grammar_.jump(states[i], i == 0 ? bracket_ : close_);
    if (plan_.states[i].edges.empty()) continue;
    const StateId before = before_item(states[i], i == 0);
    for (const ArrayPlan::Edge& edge : plan_.states[i].edges)
      G4_RETURN_IF_ERROR(add_item(before, edge.item, states[edge.next]));
  }
  return {};
}

}  // namespace gemma4::constrain

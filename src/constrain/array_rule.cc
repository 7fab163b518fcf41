#include "constrain/array_rule.h"

#include <algorithm>
#include <limits>

namespace gemma4::constrain {
namespace {

uint32_t clamped(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max() - 1));
}

}  // namespace

Result<RuleId> ArrayRule::build() {
  const RuleId rule = grammar_.add_rule("array");
  open_ = rules_.dialect_.space(grammar_.bytes(grammar_.start(rule), "["));
  close_ = grammar_.add_state();
  bracket_ = rules_.dialect_.space(close_);
  grammar_.accept(grammar_.bytes(bracket_, "]"));
  if (spec_.unique && spec_.max > 1) {
    G4_RETURN_IF_ERROR(unique());
  } else if (spec_.contains.empty()) {
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
  G4_ASSIGN_OR_RETURN(const bool none, rules_.algebra_.empty(all));
  if (none) return {};
  G4_ASSIGN_OR_RETURN(const RuleId value, rules_.value(all));
  grammar_.call(from, value, to, std::move(operations));
  return {};
}

// A state for each item of the prefixes, then a loop that counts if it has to.
Status ArrayRule::plain() {
  uint64_t prefix = 0;
  for (const auto& group : spec_.groups) prefix = std::max<uint64_t>(prefix, group->prefix.size());
  prefix = std::min(prefix, spec_.max);
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
  const bool alike = std::all_of(spec_.groups.begin(), spec_.groups.end(),
                                 [](const auto& group) { return group->prefix.empty(); });
  constexpr size_t kMostValues = 1000;
  const Conjunction item = rules_.algebra_.item(spec_, 0);
  std::optional<std::vector<SchemaId>> values;
  if (alike && spec_.contains.empty()) {
    G4_ASSIGN_OR_RETURN(values, rules_.algebra_.finite_values(item));
  }
  if (!values || values->size() > kMostValues)
    return rules_.algebra_.refuse(all_.empty() ? 0 : all_[0].schema, "uniqueItems",
                                  "only items of an enum of at most 1,000 values can be compared");
  const auto count = static_cast<uint32_t>(values->size());
  const uint32_t counter = (count + 31) / 32;
  std::vector<uint32_t> bits(counter, 0);
  for (uint32_t i = 0; i < count; ++i) bits[i / 32] |= 1U << (i % 32);
  const uint32_t mask = grammar_.add_mask(std::move(bits));
  const uint32_t max = clamped(std::min<uint64_t>(spec_.max, count));
  const uint32_t min = clamped(spec_.min);
  if (spec_.min > count) return {};
  const StateId first = grammar_.add_state();
  const StateId loop = grammar_.add_state();
  const StateId again = grammar_.add_state();
  if (spec_.min == 0) grammar_.jump(open_, bracket_);
  grammar_.jump(open_, first);
  for (uint32_t i = 0; i < count; ++i) {
    Conjunction one = item;
    rules_.algebra_.add_to(one, {(*values)[i], false});
    G4_RETURN_IF_ERROR(
        add_item(first, one, loop,
                 {{Operation::Kind::kUseBit, i}, {Operation::Kind::kCountBelow, counter, max}}));
  }
  grammar_.jump(loop, close_, {{Operation::Kind::kAtLeast, counter, min}});
  grammar_.jump(loop, again,
                {{Operation::Kind::kAnyClear, mask}, {Operation::Kind::kBelow, counter, max}});
  grammar_.jump(before_item(again, false), first);
  return {};
}

// With `contains`: a state for every index and count that matter.
Status ArrayRule::containing() {
  constexpr size_t kMostStates = 4000;
  using Key = std::vector<uint64_t>;  // the number of items, then of matches, as far as they matter
  uint64_t most = spec_.max == kNoLimit ? spec_.min : spec_.max;
  for (const auto& group : spec_.groups) most = std::max<uint64_t>(most, group->prefix.size());
  for (const auto& c : spec_.contains) most = std::max(most, c.from);
  most = std::max<uint64_t>(most, 1);  // the first item has no comma before it
  std::map<Key, StateId> states;
  std::vector<Key> work{Key(spec_.contains.size() + 1, 0)};
  states[work[0]] = open_;
  for (size_t w = 0; w < work.size(); ++w) {
    if (work.size() > kMostStates)
      return rules_.algebra_.refuse(all_.empty() ? 0 : all_[0].schema, "contains",
                                    "the counts are too large");
    const Key key = work[w];
    const StateId state = states[key];
    bool enough = key[0] >= spec_.min;
    for (size_t c = 0; c < spec_.contains.size(); ++c)
      enough = enough && key[c + 1] >= spec_.contains[c].min;
    if (enough) grammar_.jump(state, w == 0 ? bracket_ : close_);
    if (spec_.max != kNoLimit && key[0] >= spec_.max) continue;
    const StateId before = before_item(state, w == 0);
    // Every way in which the next item matches or does not.
    const size_t ways = size_t{1} << std::min<size_t>(spec_.contains.size(), 12);
    for (size_t way = 0; way < ways; ++way) {
      Key next = key;
      next[0] = std::min(key[0] + 1, most);
      Conjunction item = rules_.algebra_.item(spec_, key[0]);
      bool possible = true;
      for (size_t c = 0; c < spec_.contains.size(); ++c) {
        const ArraySpec::Contains& contains = spec_.contains[c];
        const bool matches = (way >> c & 1) != 0;
        const bool limited = contains.max != kNoLimit;
        if (key[0] < contains.from || (!limited && key[c + 1] >= contains.min)) {
          possible = possible && !matches;  // nothing to count
        } else if (matches) {
          ++next[c + 1];
          possible = possible && next[c + 1] <= contains.max;
          rules_.algebra_.add_to(item, contains.item);
        } else if (limited) {
          rules_.algebra_.add_to(item, {contains.item.schema, !contains.item.negated});
        }
      }
      if (!possible) continue;
      const auto [it, is_new] = states.emplace(next, -1);
      if (is_new) {
        it->second = grammar_.add_state();
        work.push_back(next);
      }
      G4_RETURN_IF_ERROR(add_item(before, item, it->second));
    }
  }
  return {};
}

}  // namespace gemma4::constrain

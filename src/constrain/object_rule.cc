#include "constrain/object_rule.h"

#include <algorithm>

namespace gemma4::constrain {
namespace {

using Kind = Operation::Kind;

std::string lower_cased(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

void set_bit(std::vector<uint32_t>& words, size_t bit) {
  if (words.size() <= bit / 32) words.resize(bit / 32 + 1);
  words[bit / 32] |= 1U << (bit % 32);
}

}  // namespace

Result<RuleId> ObjectRule::build() {
  const RuleId rule = grammar_.add_rule("object");
  G4_RETURN_IF_ERROR(find_possible());
  number_registers();
  const StateId open = rules_.dialect_.space(grammar_.bytes(grammar_.start(rule), "{"));
  const StateId members = grammar_.add_state();
  const StateId behind = grammar_.add_state();
  const StateId comma = grammar_.add_state();
  const StateId close = grammar_.add_state();
  const StateId end = grammar_.add_state();
  grammar_.jump(open, members);
  grammar_.jump(open, end, may_close());
  grammar_.jump(behind, close, may_close());
  grammar_.jump(rules_.dialect_.space(close), end);
  grammar_.accept(grammar_.bytes(end, "}"));
  grammar_.jump(behind, comma, may_go_on());
  grammar_.jump(rules_.dialect_.space(grammar_.bytes(comma, ",")), members);
  for (size_t i = 0; i < named_.size(); ++i) G4_RETURN_IF_ERROR(add_named(i, members, behind));
  for (const Class& keys : classes_) G4_RETURN_IF_ERROR(add_class(keys, members, behind));
  return rule;
}

// What registers count has to be possible, or an answer could run into a dead end.
Status ObjectRule::find_possible() {
  for (Named& named : plan_.named) {
    if (!named.allowed) continue;
    G4_ASSIGN_OR_RETURN(const bool possible, rules_.inhabitants_.exist(named.value));
    if (possible) named_.push_back(std::move(named));
  }
  for (Class& keys : plan_.classes) {
    G4_ASSIGN_OR_RETURN(const bool possible, rules_.inhabitants_.exist(keys.value));
    if (possible) classes_.push_back(std::move(keys));
  }
  if (sorted_)
    std::stable_sort(named_.begin(), named_.end(), [](const Named& a, const Named& b) {
      return lower_cased(a.key) < lower_cased(b.key);
    });
  return {};
}

void ObjectRule::number_registers() {
  first_named_ = sorted_ ? 32 : 0;
  first_obligation_ = first_named_ + static_cast<uint32_t>(named_.size());
  counter_ = (first_obligation_ + static_cast<uint32_t>(spec_.exists.size()) + 31) / 32;
  std::vector<uint32_t> needed;
  std::vector<uint32_t> all;
  for (size_t i = 0; i < named_.size(); ++i) {
    if (named_[i].required) set_bit(needed, bit_of(i));
    set_bit(all, bit_of(i));
  }
  for (size_t i = 0; i < spec_.exists.size(); ++i) set_bit(needed, first_obligation_ + i);
  named_mask_ = grammar_.add_mask(std::move(all));
  needed_mask_ = grammar_.add_mask(std::move(needed));
}

uint32_t ObjectRule::bit_of(size_t index) const {
  return first_named_ + static_cast<uint32_t>(index);
}

// The place behind the last required property before `index`.
uint32_t ObjectRule::end_of_required(size_t index) const {
  while (index > 0 && !named_[index - 1].required) --index;
  return static_cast<uint32_t>(index);
}

// What it takes to write named property `index` now. Those that are required have bits also where
// there is an order, because they need room.
std::vector<Operation> ObjectRule::write(size_t index) const {
  std::vector<Operation> result;
  if (sorted_)
    result.push_back({.kind = Kind::kAdvance,
                      .limit = static_cast<uint32_t>(index),
                      .least = end_of_required(index)});
  if (!sorted_ || named_[index].required)
    result.push_back({.kind = Kind::kUseBit, .bit = bit_of(index)});
  const uint64_t ahead = named_.size() - index;  // with this one
  if (sorted_ && classes_.empty() && spec_.min > ahead)
    result.push_back({Kind::kAtLeast, counter_, clamped(spec_.min - ahead)});
  return result;
}

std::vector<Operation> ObjectRule::count_one() const {
  if (spec_.max != kNoLimit) return {{Kind::kCountBelow, counter_, clamped(spec_.max)}};
  if (spec_.min > 0) return {{Kind::kCountUpTo, counter_, clamped(spec_.min)}};
  return {};
}

std::vector<Operation> ObjectRule::may_close() const {
  std::vector<Operation> result{{.kind = Kind::kHasAll, .mask = needed_mask_}};
  if (spec_.min > 0) result.push_back({Kind::kAtLeast, counter_, clamped(spec_.min)});
  return result;
}

// Whether another property may follow, so that a comma makes sense.
std::vector<Operation> ObjectRule::may_go_on() const {
  std::vector<Operation> result;
  if (spec_.max != kNoLimit) result.push_back({Kind::kBelow, counter_, clamped(spec_.max)});
  if (!classes_.empty()) return result;
  if (sorted_) {
    result.push_back({Kind::kBelow, 0, static_cast<uint32_t>(named_.size())});
  } else {
    result.push_back({.kind = Kind::kAnyClear, .mask = named_mask_});
  }
  return result;
}

template <typename AddKey>
Status ObjectRule::add_ways(const Conjunction& value, const std::vector<bool>& serves, bool needed,
                            const std::vector<Operation>& operations, StateId from, StateId to,
                            AddKey add_key) {
  std::vector<size_t> obligations;
  for (size_t i = 0; i < serves.size(); ++i)
    if (serves[i]) obligations.push_back(i);
  if (obligations.size() > 8)
    return rules_.algebra_.refuse(SchemaAlgebra::first_of(all_), "not",
                                  "it demands too many properties at once");
  for (size_t way = 0; way < size_t{1} << obligations.size(); ++way) {
    Conjunction all = value;
    std::vector<Operation> mine;
    // What need not come leaves room for what has to.
    if (spec_.max != kNoLimit && !needed && way == 0)
      mine.push_back({Kind::kRoom, counter_, clamped(spec_.max), needed_mask_});
    mine.insert(mine.end(), operations.begin(), operations.end());
    for (size_t i = 0; i < obligations.size(); ++i) {
      if ((way >> i & 1) == 0) continue;
      all = plan_.serving(rules_.algebra_, std::move(all), obligations[i]);
      mine.push_back({.kind = Kind::kUseBit,
                      .bit = first_obligation_ + static_cast<uint32_t>(obligations[i])});
    }
    for (const Operation& operation : count_one()) mine.push_back(operation);
    G4_ASSIGN_OR_RETURN(const bool possible, rules_.inhabitants_.exist(all));
    if (!possible) continue;
    const StateId begin = grammar_.add_state();
    grammar_.jump(from, begin, std::move(mine));
    G4_ASSIGN_OR_RETURN(const StateId colon, add_key(begin));
    G4_ASSIGN_OR_RETURN(const RuleId rule, rules_.value(all));
    grammar_.call(colon, rule, to);
  }
  return {};
}

Status ObjectRule::add_named(size_t index, StateId from, StateId to) {
  const Named& named = named_[index];
  return add_ways(
      named.value, named.serves, named.required, write(index), from, to,
      [&](StateId state) -> Result<StateId> { return rules_.dialect_.key(state, named.key); });
}

Status ObjectRule::add_class(const Class& keys, StateId from, StateId to) {
  return add_ways(keys.value, keys.serves, false, {}, from, to,
                  [&](StateId state) { return rules_.dialect_.key(state, keys.keys); });
}

}  // namespace gemma4::constrain

#include "constrain/object_rule.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/strings.h"
#include "constrain/nfa.h"

namespace gemma4::constrain {
namespace {

using Kind = Operation::Kind;

uint32_t clamped(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max() - 1));
}

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
  G4_RETURN_IF_ERROR(find_named());
  G4_RETURN_IF_ERROR(find_classes());
  if (!satisfiable()) return rule;  // no way through
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

// The properties that are named anywhere, in the order of the schema.
Status ObjectRule::find_named() {
  std::vector<std::string> keys;
  std::set<std::string> seen;
  for (const auto& group : spec_.groups) {
    for (const std::string& key : group->order)
      if (seen.insert(key).second) keys.push_back(key);
    for (const auto& [key, literals] : group->named)
      if (seen.insert(key).second) keys.push_back(key);
  }
  for (const std::string& key : spec_.required)
    if (seen.insert(key).second) keys.push_back(key);
  if (rules_.dialect_.sorts_keys())
    std::stable_sort(keys.begin(), keys.end(),
                     [](const auto& a, const auto& b) { return lower_cased(a) < lower_cased(b); });
  G4_ASSIGN_OR_RETURN(const StringSet names, rules_.algebra_.names(spec_));
  for (const std::string& key : keys) {
    Named named{.key = key,
                .value = rules_.algebra_.property(spec_, key),
                .required = spec_.required.contains(key)};
    G4_ASSIGN_OR_RETURN(bool none, rules_.algebra_.empty(named.value));
    if (!names.is_all()) {
      G4_ASSIGN_OR_RETURN(const auto dfa, to_dfa(names));
      none = none || !dfa->accepts(key);
    }
    for (const auto& exists : spec_.exists) named.serves.push_back(exists.keys->accepts(key));
    named.possible = !none;
    named_.push_back(std::move(named));
  }
  return {};
}

// Splits every class into the keys that `by` accepts, for which `value` holds too, and the others.
Status ObjectRule::split(const Dfa& by, const std::optional<Literal>& value,
                         std::vector<bool>& inside, std::optional<size_t> serves) {
  constexpr size_t kMostClasses = 64;
  std::vector<Class> result;
  std::vector<bool> result_inside;
  for (size_t i = 0; i < classes_.size(); ++i) {
    for (const bool matching : {true, false}) {
      G4_ASSIGN_OR_RETURN(
          Dfa keys, combine(classes_[i].keys, by,
                            matching ? SetOperation::kAnd : SetOperation::kMinus, kMaxDfaStates));
      if (keys.empty()) continue;
      Class part{std::move(keys), classes_[i].value, classes_[i].serves};
      if (matching && value) rules_.algebra_.add_to(part.value, *value);
      if (serves) part.serves[*serves] = matching;
      result.push_back(std::move(part));
      result_inside.push_back(inside[i] || matching);
    }
  }
  if (result.size() > kMostClasses)
    return rules_.algebra_.refuse(all_.empty() ? 0 : all_[0].schema, "patternProperties",
                                  "the patterns overlap in too many ways");
  classes_ = std::move(result);
  inside = std::move(result_inside);
  return {};
}

// All other keys, by what the patterns and additionalProperties of the groups say about them.
Status ObjectRule::find_classes() {
  bool says_more = false;
  for (const auto& group : spec_.groups)
    says_more = says_more || group->additional || !group->patterns.empty();
  if (!rules_.open_objects_ && !named_.empty() && !says_more) return {};
  std::vector<std::string> names;
  for (const Named& named : named_) names.push_back(named.key);
  G4_ASSIGN_OR_RETURN(const StringSet allowed, rules_.algebra_.names(spec_));
  G4_ASSIGN_OR_RETURN(const auto keys, to_dfa(allowed));
  G4_ASSIGN_OR_RETURN(Dfa others, combine(*keys, dfa_of_strings(std::move(names)),
                                          SetOperation::kMinus, kMaxDfaStates));
  if (others.empty()) return {};
  classes_.push_back({std::move(others), {}, std::vector<bool>(spec_.exists.size())});
  for (const auto& group : spec_.groups) {
    std::vector<bool> inside(classes_.size());
    for (const auto& [dfa, value] : group->patterns)
      G4_RETURN_IF_ERROR(split(*dfa, value, inside, std::nullopt));
    for (size_t i = 0; i < classes_.size(); ++i)
      if (!inside[i] && group->additional)
        rules_.algebra_.add_to(classes_[i].value, *group->additional);
  }
  for (size_t i = 0; i < spec_.exists.size(); ++i) {
    std::vector<bool> inside(classes_.size());
    G4_RETURN_IF_ERROR(split(*spec_.exists[i].keys, std::nullopt, inside, i));
  }
  std::vector<Class> possible;
  for (Class& one : classes_) {
    G4_ASSIGN_OR_RETURN(const bool none, rules_.algebra_.empty(one.value));
    if (!none) possible.push_back(std::move(one));
  }
  classes_ = std::move(possible);
  return {};
}

bool ObjectRule::satisfiable() const {
  uint64_t possible = 0;
  for (const Named& named : named_) {
    if (!named.possible && named.required) return false;
    possible += named.possible;
  }
  return !classes_.empty() || possible >= spec_.min;
}

void ObjectRule::number_registers() {
  const bool sorted = rules_.dialect_.sorts_keys();
  const size_t bits = (sorted ? 32 : named_.size()) + spec_.exists.size();
  first_obligation_ = static_cast<uint32_t>(sorted ? 32 : named_.size());
  counter_ = static_cast<uint32_t>((bits + 31) / 32);
  counts_ = spec_.min > 0 || spec_.max != kNoLimit;
  std::vector<uint32_t> required;
  std::vector<uint32_t> all;
  for (size_t i = 0; i < named_.size(); ++i) {
    if (named_[i].required) set_bit(required, i);
    if (named_[i].possible) set_bit(all, i);
  }
  std::vector<uint32_t> needed = sorted ? std::vector<uint32_t>() : required;
  for (size_t i = 0; i < spec_.exists.size(); ++i) {
    set_bit(needed, first_obligation_ + i);
    std::vector<uint32_t> servers;
    bool open = false;
    for (size_t n = 0; n < named_.size(); ++n)
      if (named_[n].possible && named_[n].serves[i]) set_bit(servers, n);
    for (const Class& keys : classes_) open = open || keys.serves[i];
    server_masks_.push_back(grammar_.add_mask(std::move(servers)));
    open_servers_.push_back(open || sorted);
  }
  required_mask_ = grammar_.add_mask(std::move(required));
  named_mask_ = grammar_.add_mask(std::move(all));
  needed_mask_ = grammar_.add_mask(std::move(needed));
}

// What it takes to write named property `index` now.
std::vector<Operation> ObjectRule::use(size_t index) const {
  std::vector<Operation> result;
  if (rules_.dialect_.sorts_keys()) {
    uint32_t first = 0;  // behind the last required property before it
    for (size_t i = 0; i < index; ++i)
      if (named_[i].required) first = static_cast<uint32_t>(i + 1);
    result.push_back({Kind::kAdvance, static_cast<uint32_t>(index), first});
  } else {
    result.push_back({Kind::kUseBit, static_cast<uint32_t>(index)});
  }
  for (const Operation& operation : count_one(named_[index].required, index))
    result.push_back(operation);
  return result;
}

// Counts a property where that matters, if there is room for it and for those that must come.
std::vector<Operation> ObjectRule::count_one(bool required, size_t index) const {
  if (!counts_) return {};
  std::vector<Operation> result;
  uint64_t later = 0;
  for (size_t i = index; i < named_.size(); ++i) later += i > index && named_[i].required;
  const bool sorted = rules_.dialect_.sorts_keys();
  if (spec_.max != kNoLimit && !required && !sorted)
    result.push_back({Kind::kRoom, counter_, clamped(spec_.max), required_mask_});
  if (sorted && classes_.empty() && spec_.min > named_.size() - index)
    result.push_back({Kind::kAtLeast, counter_, clamped(spec_.min - (named_.size() - index))});
  if (spec_.max == kNoLimit) {
    result.push_back({Kind::kCountUpTo, counter_, clamped(spec_.min)});
  } else {
    result.push_back({Kind::kCountBelow, counter_,
                      clamped(spec_.max - (sorted ? std::min(later, spec_.max) : 0))});
  }
  return result;
}

std::vector<Operation> ObjectRule::may_close() const {
  std::vector<Operation> result;
  if (rules_.dialect_.sorts_keys()) {
    uint32_t first = 0;
    for (size_t i = 0; i < named_.size(); ++i)
      if (named_[i].required) first = static_cast<uint32_t>(i + 1);
    if (first > 0) result.push_back({Kind::kAtLeast, 0, first});
  }
  result.push_back({Kind::kHasAll, needed_mask_});
  if (spec_.min > 0) result.push_back({Kind::kAtLeast, counter_, clamped(spec_.min)});
  return result;
}

// Whether another property may follow, so that a comma makes sense.
std::vector<Operation> ObjectRule::may_go_on() const {
  std::vector<Operation> result;
  if (spec_.max != kNoLimit) result.push_back({Kind::kBelow, counter_, clamped(spec_.max)});
  if (!classes_.empty()) return result;
  if (rules_.dialect_.sorts_keys()) {
    uint32_t end = 0;  // behind the last property there can be
    for (size_t i = 0; i < named_.size(); ++i)
      if (named_[i].possible) end = static_cast<uint32_t>(i + 1);
    result.push_back({Kind::kBelow, 0, end});
  } else {
    result.push_back({Kind::kAnyClear, named_mask_});
  }
  return result;
}

template <typename AddKey>
Status ObjectRule::add_ways(const Conjunction& value, const std::vector<bool>& serves,
                            const std::vector<Operation>& operations, StateId from, StateId to,
                            AddKey add_key) {
  std::vector<size_t> obligations;
  for (size_t i = 0; i < serves.size(); ++i)
    if (serves[i]) obligations.push_back(i);
  if (obligations.size() > 8)
    return rules_.algebra_.refuse(all_.empty() ? 0 : all_[0].schema, "not",
                                  "it demands too many properties at once");
  for (size_t way = 0; way < size_t{1} << obligations.size(); ++way) {
    Conjunction all = value;
    std::vector<Operation> mine = operations;
    for (size_t i = 0; i < obligations.size(); ++i) {
      if ((way >> i & 1) == 0) continue;
      rules_.algebra_.add_to(all, spec_.exists[obligations[i]].value);
      mine.push_back({Kind::kUseBit, first_obligation_ + static_cast<uint32_t>(obligations[i])});
    }
    for (size_t i = 0; i < spec_.exists.size(); ++i)
      if (!open_servers_[i])
        mine.push_back(
            {Kind::kSetOrAnyClear, first_obligation_ + static_cast<uint32_t>(i), server_masks_[i]});
    G4_ASSIGN_OR_RETURN(const bool none, rules_.algebra_.empty(all));
    if (none) continue;
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
  if (!named.possible) return {};
  return add_ways(
      named.value, named.serves, use(index), from, to,
      [&](StateId state) -> Result<StateId> { return rules_.dialect_.key(state, named.key); });
}

Status ObjectRule::add_class(const Class& keys, StateId from, StateId to) {
  return add_ways(keys.value, keys.serves, count_one(false, named_.size()), from, to,
                  [&](StateId state) { return rules_.dialect_.key(state, keys.keys); });
}

}  // namespace gemma4::constrain

#include "constrain/object_plan.h"

#include <algorithm>
#include <set>

#include "constrain/nfa.h"

namespace gemma4::constrain {
namespace {

// Goes through the ways to give obligations away. Groups are those that one other key takes.
class Assignments {
 public:
  Assignments(const ObjectPlan& plan, bool share) : plan_(plan), share_(share) {}

  // False: there are too many.
  bool find() {
    chosen_.assign(plan_.spec.exists.size(), 0);
    return assign(0, 0);
  }
  // By obligation: the index of a named property, or -1 minus the number of a group.
  const std::vector<std::vector<int>>& all() const { return all_; }

 private:
  bool assign(size_t index, int groups) {
    constexpr size_t kMostMembers = 20000;
    if (index == chosen_.size()) {
      all_.push_back(chosen_);
      return all_.size() * (plan_.named.size() + 1) <= kMostMembers;
    }
    for (size_t n = 0; n < plan_.named.size(); ++n) {
      if (!plan_.named[n].serves[index]) continue;
      chosen_[index] = static_cast<int>(n);
      if (!assign(index + 1, groups)) return false;
    }
    for (int group = share_ ? 0 : groups; group <= groups; ++group) {
      chosen_[index] = -1 - group;
      if (!assign(index + 1, std::max(groups, group + 1))) return false;
    }
    return true;
  }

  const ObjectPlan& plan_;
  const bool share_;
  std::vector<int> chosen_;
  std::vector<std::vector<int>> all_;
};

void add_all(const SchemaAlgebra& algebra, Conjunction& to, const Conjunction& more) {
  for (const Literal& literal : more) algebra.add_to(to, literal);
}

// The alternative in which obligations have gone to whom `chosen` says.
Result<ObjectSpec> with_assignment(SchemaAlgebra& algebra, const ObjectPlan& plan,
                                   const std::vector<int>& chosen, const Dfa& names) {
  ObjectSpec spec = plan.spec;
  spec.exists.clear();
  ObjectSpec::Group served{.annotates = false};
  for (size_t i = 0; i < chosen.size(); ++i) {
    const ObjectSpec::Exists& exists = plan.spec.exists[i];
    if (chosen[i] >= 0) {
      const std::string& key = plan.named[chosen[i]].key;
      spec.required.insert(key);
      auto& literals = served.named[key];
      literals.insert(literals.end(), exists.value.begin(), exists.value.end());
      continue;
    }
    const auto group = static_cast<size_t>(-1 - chosen[i]);
    const bool is_new = group >= spec.exists.size();
    if (is_new) spec.exists.emplace_back();
    ObjectSpec::Exists& merged = spec.exists[group];
    G4_ASSIGN_OR_RETURN(Dfa keys, is_new ? combine(*exists.keys, names, SetOperation::kMinus,
                                                   kMaxDfaStates, algebra.work())
                                         : combine(*merged.keys, *exists.keys, SetOperation::kAnd,
                                                   kMaxDfaStates, algebra.work()));
    merged.keys = std::make_shared<const Dfa>(std::move(keys));
    add_all(algebra, merged.value, exists.value);
  }
  if (!served.named.empty())
    spec.groups.push_back(std::make_shared<const ObjectSpec::Group>(std::move(served)));
  return spec;
}

}  // namespace

Conjunction ObjectPlan::serving(const SchemaAlgebra& algebra, Conjunction value,
                                size_t index) const {
  add_all(algebra, value, spec.exists[index].value);
  return value;
}

Result<ObjectPlan> ObjectPlanner::plan(ObjectSpec spec, SchemaId place) const {
  constexpr std::string_view kKeywords = "properties, patternProperties, propertyNames";
  ObjectPlan plan{.spec = std::move(spec)};
  Status status = find_named(plan);
  if (status.ok()) status = find_classes(plan, place);
  if (!status.ok()) return algebra_.placed(status.error(), place, kKeywords);
  return plan;
}

Result<std::vector<ObjectPlan>> ObjectPlanner::assigned(const ObjectPlan& plan,
                                                        SchemaId place) const {
  Assignments assignments(plan, plan.spec.max != kNoLimit);
  if (!assignments.find())
    return algebra_.refuse(place, "not", "it demands too many properties at once");
  std::vector<std::string> keys;
  for (const auto& named : plan.named) keys.push_back(named.key);
  const Dfa names = dfa_of_strings(std::move(keys));
  std::vector<ObjectPlan> result;
  for (const std::vector<int>& chosen : assignments.all()) {
    auto assigned = with_assignment(algebra_, plan, chosen, names);
    if (!assigned.ok()) return algebra_.placed(assigned.error(), place, "not");
    ObjectSpec spec = std::move(assigned).value();
    const bool possible = std::none_of(spec.exists.begin(), spec.exists.end(),
                                       [](const auto& exists) { return exists.keys->empty(); });
    if (!possible || spec.required.size() + spec.exists.size() > spec.max) continue;
    G4_ASSIGN_OR_RETURN(result.emplace_back(), this->plan(std::move(spec), place));
  }
  return result;
}

// The properties that are named anywhere, in the order of the schema.
Status ObjectPlanner::find_named(ObjectPlan& plan) const {
  std::vector<std::string> keys;
  std::set<std::string> seen;
  for (const auto& group : plan.spec.groups) {
    for (const std::string& key : group->order)
      if (seen.insert(key).second) keys.push_back(key);
    for (const auto& [key, literals] : group->named)
      if (seen.insert(key).second) keys.push_back(key);
  }
  for (const std::string& key : plan.spec.required)
    if (seen.insert(key).second) keys.push_back(key);
  G4_ASSIGN_OR_RETURN(const StringSet names, algebra_.names(plan.spec));
  G4_ASSIGN_OR_RETURN(const auto allowed, to_dfa(names, algebra_.work()));
  for (const std::string& key : keys) {
    ObjectPlan::Named named{.key = key,
                            .value = algebra_.property(plan.spec, key),
                            .required = plan.spec.required.contains(key),
                            .allowed = names.is_all() || allowed->accepts(key)};
    for (const auto& exists : plan.spec.exists) named.serves.push_back(exists.keys->accepts(key));
    plan.named.push_back(std::move(named));
  }
  return {};
}

// Splits every class into the keys that `by` accepts, for which `value` holds too, and the others.
Status ObjectPlanner::split(std::vector<Class>& classes, const Dfa& by,
                            const std::optional<Literal>& value, std::vector<bool>& inside,
                            std::optional<size_t> serves, SchemaId place) const {
  constexpr size_t kMostClasses = 64;
  std::vector<Class> result;
  std::vector<bool> result_inside;
  for (size_t i = 0; i < classes.size(); ++i) {
    for (const bool matching : {true, false}) {
      G4_ASSIGN_OR_RETURN(Dfa keys, combine(classes[i].keys, by,
                                            matching ? SetOperation::kAnd : SetOperation::kMinus,
                                            kMaxDfaStates, algebra_.work()));
      if (keys.empty()) continue;
      Class part{std::move(keys), classes[i].value, classes[i].serves};
      if (matching && value) algebra_.add_to(part.value, *value);
      if (serves) part.serves[*serves] = matching;
      result.push_back(std::move(part));
      result_inside.push_back(inside[i] || matching);
    }
  }
  if (result.size() > kMostClasses)
    return algebra_.refuse(place, "patternProperties", "the patterns overlap in too many ways");
  classes = std::move(result);
  inside = std::move(result_inside);
  return {};
}

// Whether it is plain that there are no keys but the named ones.
bool ObjectPlanner::has_no_others(const ObjectPlan& plan) const {
  bool says_more = false;
  bool never = false;
  bool patterns = false;
  bool names_some = !plan.spec.required.empty();
  for (const auto& group : plan.spec.groups) {
    says_more = says_more || group->additional || !group->patterns.empty();
    patterns = patterns || !group->patterns.empty();
    names_some = names_some || !group->order.empty();
    never = never || (group->additional && !group->additional->negated &&
                      algebra_.schema(group->additional->schema).never);
  }
  return (!algebra_.open_objects() && names_some && !says_more) || (never && !patterns);
}

// All other keys, by what the patterns and additionalProperties of the groups say about them.
Status ObjectPlanner::find_classes(ObjectPlan& plan, SchemaId place) const {
  if (has_no_others(plan)) return {};
  const ObjectSpec& spec = plan.spec;
  std::vector<std::string> names;
  for (const auto& named : plan.named) names.push_back(named.key);
  G4_ASSIGN_OR_RETURN(const StringSet allowed, algebra_.names(spec));
  G4_ASSIGN_OR_RETURN(const auto keys, to_dfa(allowed, algebra_.work()));
  G4_ASSIGN_OR_RETURN(Dfa others, combine(*keys, dfa_of_strings(std::move(names)),
                                          SetOperation::kMinus, kMaxDfaStates, algebra_.work()));
  if (others.empty()) return {};
  std::vector<Class>& classes = plan.classes;
  classes.push_back({std::move(others), {}, std::vector<bool>(spec.exists.size())});
  for (const auto& group : spec.groups) {
    std::vector<bool> inside(classes.size());
    for (const auto& [dfa, value] : group->patterns)
      G4_RETURN_IF_ERROR(split(classes, *dfa, value, inside, std::nullopt, place));
    for (size_t i = 0; i < classes.size(); ++i)
      if (!inside[i] && group->additional) algebra_.add_to(classes[i].value, *group->additional);
  }
  for (size_t i = 0; i < spec.exists.size(); ++i) {
    std::vector<bool> inside(classes.size());
    G4_RETURN_IF_ERROR(split(classes, *spec.exists[i].keys, std::nullopt, inside, i, place));
  }
  return {};
}

}  // namespace gemma4::constrain

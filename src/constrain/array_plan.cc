#include "constrain/array_plan.h"

#include <algorithm>
#include <map>
#include <optional>

namespace gemma4::constrain {
namespace {

constexpr size_t kMostStates = 4000;
constexpr size_t kMostContains = 10;
constexpr size_t kMostValues = 1000;

// Finds the states of an array with `contains`, each a number of items and one of matches for every
// `contains`, as far as they matter.
class Counting {
 public:
  Counting(const SchemaAlgebra& algebra, ArrayPlan& plan)
      : algebra_(algebra), plan_(plan), contains_(plan.spec.contains) {
    most_ = plan.spec.max == kNoLimit ? plan.spec.min : plan.spec.max;
    most_ = std::max(most_, plan.longest_prefix());
    for (const auto& one : contains_) most_ = std::max(most_, one.from);
    most_ = std::max<uint64_t>(most_, 1);  // the first item has no comma before it
  }

  // False: there are too many.
  bool find() {
    state_of(Key(contains_.size() + 1, 0));
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (keys_.size() > kMostStates) return false;
      plan_.states[i].may_end = enough(keys_[i]);
      if (plan_.spec.max != kNoLimit && keys_[i][0] >= plan_.spec.max) continue;
      for (size_t matching = 0; matching < size_t{1} << contains_.size(); ++matching)
        add_item(i, matching);
    }
    return true;
  }

 private:
  using Key = std::vector<uint64_t>;

  size_t state_of(const Key& key) {
    const auto [it, is_new] = ids_.emplace(key, keys_.size());
    if (is_new) {
      keys_.push_back(key);
      plan_.states.emplace_back();
    }
    return it->second;
  }

  bool enough(const Key& key) const {
    bool result = key[0] >= plan_.spec.min;
    for (size_t c = 0; c < contains_.size(); ++c) result = result && key[c + 1] >= contains_[c].min;
    return result;
  }

  // Adds the item that matches those of `contains` whose bits are set and, where that matters, not
  // the others.
  void add_item(size_t state, size_t matching) {
    Key next = keys_[state];
    next[0] = std::min(next[0] + 1, most_);
    Conjunction item = algebra_.item(plan_.spec, keys_[state][0]);
    for (size_t c = 0; c < contains_.size(); ++c)
      if (!count(contains_[c], keys_[state][0], (matching >> c & 1) != 0, next[c + 1], item))
        return;
    const size_t target = state_of(next);
    plan_.states[state].edges.push_back({std::move(item), target});
  }

  // Counts the item at `index` if it matches, and says so in `item`. False where that cannot be, or
  // where matching and not matching make no difference.
  bool count(const ArraySpec::Contains& contains, uint64_t index, bool matches, uint64_t& matched,
             Conjunction& item) const {
    const bool limited = contains.max != kNoLimit;
    if (index < contains.from || (!limited && matched >= contains.min)) return !matches;
    if (matches) {
      algebra_.add_to(item, contains.item);
      return ++matched <= contains.max;
    }
    if (limited) algebra_.add_to(item, {contains.item.schema, !contains.item.negated});
    return true;
  }

  const SchemaAlgebra& algebra_;
  ArrayPlan& plan_;
  const std::vector<ArraySpec::Contains>& contains_;
  uint64_t most_ = 0;  // items beyond are not counted
  std::map<Key, size_t> ids_;
  std::vector<Key> keys_;
};

Status find_values(SchemaAlgebra& algebra, const Conjunction& all, ArrayPlan& plan) {
  std::optional<std::vector<SchemaId>> values;
  if (plan.longest_prefix() == 0 && plan.spec.contains.empty()) {
    G4_ASSIGN_OR_RETURN(values, algebra.finite_values(algebra.item(plan.spec, 0)));
  }
  if (!values || values->size() > kMostValues)
    return algebra.refuse(SchemaAlgebra::first_of(all), "uniqueItems",
                          "only items of an enum of at most 1,000 values can be compared");
  plan.values = std::move(*values);
  return {};
}

}  // namespace

uint64_t ArrayPlan::longest_prefix() const {
  uint64_t longest = 0;
  for (const auto& group : spec.groups) longest = std::max<uint64_t>(longest, group->prefix.size());
  return longest;
}

Result<ArrayPlan> plan_array(SchemaAlgebra& algebra, ArraySpec spec, const Conjunction& all) {
  ArrayPlan plan{.spec = std::move(spec)};
  if (plan.unique()) {
    G4_RETURN_IF_ERROR(find_values(algebra, all, plan));
    return plan;
  }
  if (plan.spec.contains.empty()) return plan;
  const SchemaId place = SchemaAlgebra::first_of(all);
  if (plan.spec.contains.size() > kMostContains)
    return algebra.refuse(place, "contains", "there are more than ten of it for one array");
  if (!Counting(algebra, plan).find())
    return algebra.refuse(place, "contains", "the counts are too large");
  return plan;
}

}  // namespace gemma4::constrain

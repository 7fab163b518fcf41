#include "constrain/inhabitants.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace gemma4::constrain {

Inhabitants::Node& Inhabitants::find(const Conjunction& all) {
  const auto [it, is_new] = nodes_.try_emplace(all);
  Node& node = it->second;
  if (!is_new) return node;
  node.all = &it->first;
  enqueue(node);
  return node;
}

// Whether `all` is known to be inhabited; if not, the current node will be looked at again when it
// is.
Result<bool> Inhabitants::ask(const Conjunction& all) {
  Node& node = find(all);
  if (!node.inhabited && current_ != nullptr) node.dependents.push_back(current_);
  return node.inhabited;
}

// Obligations are given away only where nothing else helps: that takes long.
Status Inhabitants::work_off() {
  while (true) {
    G4_RETURN_IF_ERROR(empty_queue());
    if (stalled_.empty()) return {};
    for (const auto& [node, ways] : std::exchange(stalled_, {})) {
      if (node->inhabited) continue;
      G4_RETURN_IF_ERROR(assign(*ways, *node->all));
      enqueue(*node);
    }
  }
}

void Inhabitants::enqueue(Node& node) {
  if (node.inhabited || node.waits) return;
  node.waits = true;
  queue_.push_back(&node);
}

Status Inhabitants::empty_queue() {
  while (!queue_.empty()) {
    Node& node = *queue_.front();
    queue_.pop_front();
    node.waits = false;
    if (node.inhabited) continue;
    current_ = &node;
    auto found = has_value(node);
    current_ = nullptr;
    if (!found.ok()) return found.error();
    if (!found.value()) continue;
    node.inhabited = true;
    for (Node* dependent : node.dependents) enqueue(*dependent);
    node.dependents = {};
  }
  return {};
}

// What `check` says once all that it asks for is settled.
template <typename Check>
Result<bool> Inhabitants::settled(Check check) {
  while (true) {
    G4_ASSIGN_OR_RETURN(const bool known, check());
    if (known || queue_.empty()) return known;
    G4_RETURN_IF_ERROR(work_off());
  }
}

Result<bool> Inhabitants::exist(const Conjunction& all) {
  Node& node = find(all);
  return settled([&]() -> Result<bool> { return node.inhabited; });
}

Result<bool> Inhabitants::has_value(Node& node) {
  G4_RETURN_IF_ERROR(algebra_.charge(1, SchemaAlgebra::first_of(*node.all)));
  if (!node.planned) {
    G4_ASSIGN_OR_RETURN(const bool atom, has_atom(*node.all));
    if (atom) return true;
    G4_RETURN_IF_ERROR(make_plans(node));
  }
  for (Candidates& ways : node.objects) {
    G4_ASSIGN_OR_RETURN(const bool found, has_object(ways));
    if (found) return true;
  }
  for (ArrayPlan& plan : node.arrays) {
    G4_ASSIGN_OR_RETURN(const bool found, has_array(plan));
    if (found) return true;
  }
  return false;
}

Result<bool> Inhabitants::has_atom(const Conjunction& all) {
  for (const Atom atom : {Atom::kNull, Atom::kTrue, Atom::kFalse}) {
    G4_ASSIGN_OR_RETURN(const bool accepted, algebra_.accepts(all, atom));
    if (accepted) return true;
  }
  G4_ASSIGN_OR_RETURN(const StringSet texts, algebra_.strings(all));
  if (!texts.is_none()) return true;
  G4_ASSIGN_OR_RETURN(const NumberSet values, algebra_.numbers(all));
  return !values.is_none();
}

Status Inhabitants::make_plans(Node& node) {
  if (node.planned) return {};
  node.planned = true;
  G4_ASSIGN_OR_RETURN(const std::vector<ObjectSpec> objects, algebra_.objects(*node.all));
  for (const ObjectSpec& spec : objects) {
    G4_ASSIGN_OR_RETURN(ObjectPlan plan, planner_.plan(spec, SchemaAlgebra::first_of(*node.all)));
    node.objects.push_back({.open = {.plan = std::move(plan)}});
  }
  G4_ASSIGN_OR_RETURN(const std::vector<ArraySpec> arrays, algebra_.arrays(*node.all));
  for (const ArraySpec& spec : arrays) {
    G4_ASSIGN_OR_RETURN(node.arrays.emplace_back(), plan_array(algebra_, spec, *node.all));
  }
  return {};
}

Result<bool> Inhabitants::has_array(ArrayPlan& plan) {
  if (plan.unique()) return has_different(plan);
  if (!plan.states.empty()) return has_counted(plan);
  const uint64_t different = plan.longest_prefix() + 1;
  for (uint64_t i = 0; i < std::min(plan.spec.min, different); ++i) {
    G4_ASSIGN_OR_RETURN(const bool found, ask(algebra_.item(plan.spec, i)));
    if (!found) return false;
  }
  return true;
}

Result<bool> Inhabitants::has_counted(const ArrayPlan& plan) {
  std::vector<bool> reached(plan.states.size());
  std::vector<size_t> work{0};
  reached[0] = true;
  while (!work.empty()) {
    const ArrayPlan::State& state = plan.states[work.back()];
    work.pop_back();
    if (state.may_end) return true;
    for (const ArrayPlan::Edge& edge : state.edges) {
      if (reached[edge.next]) continue;
      G4_ASSIGN_OR_RETURN(const bool found, ask(edge.item));
      if (!found) continue;
      reached[edge.next] = true;
      work.push_back(edge.next);
    }
  }
  return false;
}

Result<bool> Inhabitants::has_different(const ArrayPlan& plan) {
  uint64_t count = 0;
  for (const SchemaId value : plan.values) {
    if (count >= plan.spec.min) break;
    Conjunction one = algebra_.item(plan.spec, 0);
    algebra_.add_to(one, {value, false});
    G4_ASSIGN_OR_RETURN(const bool found, ask(one));
    count += found;
  }
  return count >= plan.spec.min;
}

Result<bool> Inhabitants::has_object(Candidates& ways) {
  if (may_stay_open(ways)) {
    G4_ASSIGN_OR_RETURN(const bool found, has_members(ways.open));
    if (found || ways.open.plan.spec.exists.empty()) return found;
  }
  if (!ways.assigned) {
    stalled_.emplace_back(current_, &ways);
    return false;
  }
  for (Candidate& candidate : *ways.assigned) {
    G4_ASSIGN_OR_RETURN(const bool found, has_members(candidate));
    if (found) return true;
  }
  return false;
}

// Where there is room for any number of properties, other keys can take obligations at any time.
bool Inhabitants::may_stay_open(const Candidates& ways) {
  const ObjectSpec& spec = ways.open.plan.spec;
  return spec.exists.empty() || spec.max == kNoLimit;
}

Status Inhabitants::assign(Candidates& ways, const Conjunction& all) {
  if (ways.assigned) return {};
  G4_ASSIGN_OR_RETURN(std::vector<ObjectPlan> plans,
                      planner_.assigned(ways.open.plan, SchemaAlgebra::first_of(all)));
  ways.assigned.emplace();
  for (ObjectPlan& plan : plans) ways.assigned->push_back({.plan = std::move(plan)});
  return {};
}

Result<bool> Inhabitants::has_members(Candidate& candidate) {
  const ObjectPlan& plan = candidate.plan;
  if (plan.needed() > plan.spec.max) return false;
  for (; candidate.known < plan.named.size(); ++candidate.known) {
    const ObjectPlan::Named& named = plan.named[candidate.known];
    if (!named.required) continue;
    if (!named.allowed) return false;
    G4_ASSIGN_OR_RETURN(const bool found, ask(named.value));
    if (!found) return false;
  }
  for (size_t i = 0; i < plan.spec.exists.size(); ++i) {
    G4_ASSIGN_OR_RETURN(const bool found, has_server(plan, i));
    if (!found) return false;
  }
  if (plan.needed() >= plan.spec.min) return true;
  return has_enough_members(plan);
}

Result<bool> Inhabitants::has_server(const ObjectPlan& plan, size_t obligation) {
  for (const ObjectPlan::Class& keys : plan.classes) {
    if (!keys.serves[obligation]) continue;
    G4_ASSIGN_OR_RETURN(const bool found, ask(plan.serving(algebra_, keys.value, obligation)));
    if (found) return true;
  }
  return false;
}

// Unnamed keys are as many as one likes.
Result<bool> Inhabitants::has_enough_members(const ObjectPlan& plan) {
  for (const ObjectPlan::Class& keys : plan.classes) {
    G4_ASSIGN_OR_RETURN(const bool found, ask(keys.value));
    if (found) return true;
  }
  uint64_t count = 0;
  for (const ObjectPlan::Named& named : plan.named) {
    if (!named.allowed) continue;
    G4_ASSIGN_OR_RETURN(const bool found, ask(named.value));
    count += found;
  }
  return count >= plan.spec.min;
}

Result<std::vector<ArrayPlan>> Inhabitants::take_arrays(const Conjunction& all) {
  G4_ASSIGN_OR_RETURN(const bool any, exist(all));
  if (!any) return std::vector<ArrayPlan>();
  Node& node = find(all);
  G4_CHECK(!std::exchange(node.arrays_taken, true));
  G4_RETURN_IF_ERROR(make_plans(node));
  std::vector<ArrayPlan> result;
  for (ArrayPlan& plan : node.arrays) {
    G4_ASSIGN_OR_RETURN(const bool found, settled([&] { return has_array(plan); }));
    if (found) result.push_back(std::move(plan));
  }
  node.arrays.clear();
  return result;
}

Result<std::vector<ObjectPlan>> Inhabitants::take_objects(const Conjunction& all) {
  G4_ASSIGN_OR_RETURN(const bool any, exist(all));
  if (!any) return std::vector<ObjectPlan>();
  Node& node = find(all);
  G4_CHECK(!std::exchange(node.objects_taken, true));
  G4_RETURN_IF_ERROR(make_plans(node));
  std::vector<ObjectPlan> result;
  const auto take = [&](Candidate& candidate) -> Result<bool> {
    G4_ASSIGN_OR_RETURN(const bool found, settled([&] { return has_members(candidate); }));
    if (found) result.push_back(std::move(candidate.plan));
    return found;
  };
  for (Candidates& ways : node.objects) {
    const bool has_obligations = !ways.open.plan.spec.exists.empty();
    if (may_stay_open(ways)) {
      G4_ASSIGN_OR_RETURN(const bool found, take(ways.open));
      if (found || !has_obligations) continue;
    }
    G4_RETURN_IF_ERROR(assign(ways, all));
    for (Candidate& candidate : *ways.assigned) G4_RETURN_IF_ERROR(take(candidate));
  }
  node.objects.clear();
  return result;
}

}  // namespace gemma4::constrain

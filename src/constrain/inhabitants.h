// Which conjunctions of schemas some finite value satisfies, recursion included: a schema that
// demands itself inside of itself has none. Rules are made of nothing else, because what their
// registers count has to be possible.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "constrain/array_plan.h"
#include "constrain/object_plan.h"
#include "constrain/schema_algebra.h"

namespace gemma4::constrain {

// The least solution of what values demand of the values inside of them: everything is empty until
// shown otherwise, and what rests on it is looked at again.
class Inhabitants {
 public:
  explicit Inhabitants(SchemaAlgebra& algebra) : algebra_(algebra), planner_(algebra) {}

  // Errors of all of these: those of SchemaAlgebra.
  Result<bool> exist(const Conjunction& all);
  // The alternatives of `all` that some value satisfies, moved out: to be asked for once. Those for
  // objects have obligations only where other keys can take them.
  Result<std::vector<ArrayPlan>> take_arrays(const Conjunction& all);
  Result<std::vector<ObjectPlan>> take_objects(const Conjunction& all);

 private:
  struct Candidate {
    ObjectPlan plan;
    size_t known = 0;  // so many named properties have passed
  };
  // One alternative for objects: with its obligations open, or given to properties.
  struct Candidates {
    Candidate open;
    std::optional<std::vector<Candidate>> assigned;  // once needed
  };
  struct Node {
    const Conjunction* all = nullptr;
    bool inhabited = false;
    bool waits = false;  // in queue_
    bool planned = false;
    bool arrays_taken = false, objects_taken = false;
    std::vector<ArrayPlan> arrays;
    std::vector<Candidates> objects;
    std::vector<Node*> dependents;
  };

  Node& find(const Conjunction& all);
  Result<bool> ask(const Conjunction& all);
  void enqueue(Node& node);
  Status work_off();
  Status empty_queue();
  template <typename Check>
  Result<bool> settled(Check check);
  Status make_plans(Node& node);
  Result<bool> has_value(Node& node);
  Result<bool> has_atom(const Conjunction& all);
  Result<bool> has_array(ArrayPlan& plan);
  Result<bool> has_counted(const ArrayPlan& plan);
  Result<bool> has_different(const ArrayPlan& plan);
  Result<bool> has_object(Candidates& ways);
  static bool may_stay_open(const Candidates& ways);
  Result<bool> has_members(Candidate& candidate);
  Result<bool> has_server(const ObjectPlan& plan, size_t obligation);
  Result<bool> has_enough_members(const ObjectPlan& plan);
  Status assign(Candidates& ways, const Conjunction& all);

  SchemaAlgebra& algebra_;
  ObjectPlanner planner_;
  std::map<Conjunction, Node> nodes_;
  std::deque<Node*> queue_;
  std::vector<std::pair<Node*, Candidates*>> stalled_;  // for want of assigned alternatives
  Node* current_ = nullptr;                             // the one being looked at
};

}  // namespace gemma4::constrain

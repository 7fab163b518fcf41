// What one alternative for arrays says item by item.
#pragma once

#include <vector>

#include "constrain/schema_algebra.h"

namespace gemma4::constrain {

struct ArrayPlan {
  // How far an array with `contains` has come: the counts that matter.
  struct Edge {
    Conjunction item;
    size_t next = 0;
  };
  struct State {
    bool may_end = false;
    std::vector<Edge> edges;
  };

  ArraySpec spec;
  std::vector<State> states;     // where there is `contains`; the first is the empty array
  std::vector<SchemaId> values;  // where items must differ: those that there may be

  bool unique() const { return spec.unique && spec.max > 1; }
  // Behind so many items they are all alike.
  uint64_t longest_prefix() const;
};

// Of one alternative of `all`. Error kUnsupported: counts, or items that must differ, that cannot
// be enforced.
Result<ArrayPlan> plan_array(SchemaAlgebra& algebra, ArraySpec spec, const Conjunction& all);

}  // namespace gemma4::constrain

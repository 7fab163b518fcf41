#include "constrain/text_lengths.h"

#include <algorithm>

#include "constrain/dfa_costs.h"

namespace gemma4::constrain {

std::vector<uint32_t> least_code_points(const Dfa& dfa) {
  return least_to_end(dfa, [](int32_t, const Dfa::Edge& edge) { return code_points_of(edge); });
}

// Goes through the states in topological order; a loop keeps some from ever coming up.
uint64_t most_code_points(const Dfa& dfa) {
  std::vector<uint32_t> edges_in(dfa.states.size());
  for (const Dfa::State& state : dfa.states)
    for (const Dfa::Edge& edge : state.edges) ++edges_in[edge.next];
  if (dfa.empty()) return 0;
  if (edges_in[0] != 0) return UINT64_MAX;
  std::vector<uint64_t> most(dfa.states.size());
  std::vector<int32_t> order{0};
  for (size_t i = 0; i < order.size(); ++i)
    for (const Dfa::Edge& edge : dfa.states[order[i]].edges) {
      most[edge.next] = std::max(most[edge.next], most[order[i]] + code_points_of(edge));
      if (--edges_in[edge.next] == 0) order.push_back(edge.next);
    }
  return order.size() < dfa.states.size() ? UINT64_MAX
                                          : *std::max_element(most.begin(), most.end());
}

// By induction on the number: a state that accepts needs a next one that does, others any.
bool takes_any_length(const Dfa& dfa, const std::vector<uint32_t>& least) {
  return std::all_of(dfa.states.begin(), dfa.states.end(), [&](const Dfa::State& state) {
    if (!state.accepts) return true;  // it leads on
    return std::any_of(state.edges.begin(), state.edges.end(), [&](const Dfa::Edge& edge) {
      return code_points_of(edge) + least[edge.next] == 1;
    });
  });
}

}  // namespace gemma4::constrain

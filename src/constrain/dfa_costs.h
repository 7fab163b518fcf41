// What it takes to come to an end in an automaton whose edges have costs.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "constrain/dfa.h"

namespace gemma4::constrain {

// By state: the least costs of a way to an accepting state. `cost(state, edge)` is 0 or 1.
template <typename Cost>
std::vector<uint32_t> least_to_end(const Dfa& dfa, Cost cost) {
  struct Before {
    int32_t state;
    uint32_t cost;
  };
  std::vector<std::vector<Before>> before(dfa.states.size());
  std::vector<uint32_t> least(dfa.states.size(), UINT32_MAX);
  std::deque<int32_t> work;  // cheapest first
  for (size_t s = 0; s < dfa.states.size(); ++s) {
    const auto state = static_cast<int32_t>(s);
    for (const Dfa::Edge& edge : dfa.states[s].edges)
      before[edge.next].push_back({state, cost(state, edge)});
    if (!dfa.states[s].accepts) continue;
    least[s] = 0;
    work.push_back(state);
  }
  while (!work.empty()) {
    const int32_t state = work.front();
    work.pop_front();
    for (const Before& b : before[state]) {
      if (least[state] + b.cost >= least[b.state]) continue;
      least[b.state] = least[state] + b.cost;
      if (b.cost == 0) {
        work.push_front(b.state);
      } else {
        work.push_back(b.state);
      }
    }
  }
  return least;
}

}  // namespace gemma4::constrain

// How many code points the texts of an automaton have. The automata here are over whole code
// points, so that a state begins a code point or continues one, but never both.
#pragma once

#include <cstdint>
#include <vector>

#include "constrain/dfa.h"

namespace gemma4::constrain {

// How many code points begin with an edge: bytes that continue one do not count.
inline uint32_t code_points_of(const Dfa::Edge& edge) {
  return edge.first >= 0x80 && edge.last <= 0xBF ? 0 : 1;
}

// By state: how many code points there are at least before an end.
std::vector<uint32_t> least_code_points(const Dfa& dfa);
// How many the longest text has; UINT64_MAX if there is no longest.
uint64_t most_code_points(const Dfa& dfa);
// Whether from every state all numbers of code points are possible from the least one on. Then
// minimal lengths need no states of their own.
bool takes_any_length(const Dfa& dfa, const std::vector<uint32_t>& least);

}  // namespace gemma4::constrain

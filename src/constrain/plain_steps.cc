#include "constrain/plain_steps.h"

#include "constrain/nfa.h"

namespace gemma4::constrain {
namespace {

// One code point of `plain`.
Dfa code_point_of(Plain plain) {
  constexpr CodeRange kEverything{0, kLastCodePoint};
  const CodePointSet sets[kNumPlains] = {
      {{'a', 'z'}}, {{' ', '!'}, {'#', '['}, {']', kLastCodePoint}}, {kEverything}};
  Nfa nfa;
  const int start = nfa.add_state();
  const int final = nfa.add_state();
  nfa.code_point(start, normalised(sets[static_cast<size_t>(plain)]), final);
  return nfa.determinise(start, final, false).value();
}

const Dfa& code_point(Plain plain) {
  static const Dfa* const kDfas = new Dfa[kNumPlains]{
      code_point_of(Plain::kLower), code_point_of(Plain::kJson), code_point_of(Plain::kText)};
  return kDfas[static_cast<size_t>(plain)];
}

// Goes with all bytes of `one` at once. False if some of them lead nowhere.
bool follow(const Dfa& one, int32_t at, const Dfa& dfa, int32_t state, std::vector<int32_t>& ends) {
  if (one.states[at].accepts) {
    ends.push_back(state);
    return true;
  }
  for (const Dfa::Edge& wanted : one.states[at].edges) {
    int first = wanted.first;
    for (const Dfa::Edge& edge : dfa.states[state].edges) {
      if (edge.last < first) continue;
      if (first > wanted.last || edge.first > first) break;
      if (!follow(one, wanted.next, dfa, edge.next, ends)) return false;
      first = edge.last + 1;
    }
    if (first <= wanted.last) return false;
  }
  return true;
}

}  // namespace

PlainSteps::PlainSteps(const Dfa& dfa, Plain plain) {
  for (size_t state = 0; state < dfa.states.size(); ++state) {
    std::vector<int32_t> ends;
    if (!follow(code_point(plain), 0, dfa, static_cast<int32_t>(state), ends)) ends.clear();
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    next_.push_back(std::move(ends));
  }
}

}  // namespace gemma4::constrain

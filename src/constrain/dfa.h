// Deterministic automata over bytes: the regular parts of grammars, as minimal tables.
//
//   G4_ASSIGN_OR_RETURN(Dfa both, combine(a, b, SetOperation::kAnd, kMaxDfaStates));
//   bool yes = both.accepts("text");
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace gemma4::constrain {

// Beyond this many states an automaton is refused rather than built.
inline constexpr size_t kMaxDfaStates = 20000;
// What all automata made for one schema may cost together, in units of about 50 ns.
inline constexpr size_t kMaxDfaWork = 20'000'000;

// State 0 is the start. No states at all: the empty language. Missing edges lead nowhere.
struct Dfa {
  struct Edge {
    uint8_t first = 0;  // first to last, both included
    uint8_t last = 0;
    int32_t next = 0;
    bool operator==(const Edge&) const = default;
  };
  struct State {
    bool accepts = false;
    std::vector<Edge> edges;  // sorted, disjoint
  };
  std::vector<State> states;

  bool empty() const { return states.empty(); }
  // The state after `byte`, or -1.
  int32_t step(int32_t state, uint8_t byte) const;
  bool accepts(std::string_view text) const;
};

// Adds an edge behind the others, or makes the last one longer.
void append_edge(std::vector<Dfa::Edge>& edges, uint8_t first, uint8_t last, int32_t next);

// The smallest automaton of the same language; its states are numbered breadth first. Each of them
// is reachable and leads to an accepting one.
Dfa minimise(const Dfa& dfa);
// How many transitions minimise() goes through: edges, once for each class of bytes that no state
// of `dfa` tells apart.
size_t num_transitions(const Dfa& dfa);

enum class SetOperation { kAnd, kOr, kMinus };

// Intersection, union or difference, minimal. Error kResourceExhausted: more than `max_states`
// states on the way, or more work than `work`, from which what was done is taken.
Result<Dfa> combine(const Dfa& a, const Dfa& b, SetOperation operation, size_t max_states,
                    size_t& work);
inline Result<Dfa> combine(const Dfa& a, const Dfa& b, SetOperation operation, size_t max_states) {
  size_t work = kMaxDfaWork;
  return combine(a, b, operation, max_states, work);
}

// Takes `amount` from `work`; false if there is not so much.
inline bool spend(size_t amount, size_t& work) {
  work -= std::min(work, amount);
  return work > 0;
}
inline Error too_large_automaton() {
  return {ErrorCode::kResourceExhausted, "needs too large an automaton"};
}

// Exactly these strings; minimal. Repetitions are harmless.
Dfa dfa_of_strings(std::vector<std::string> strings);

// Explores an automaton that is given as code: `step(key, byte)` is the key of the next state or
// nothing, `accepts(key)` whether a text may end there. Minimal. Error as above.
template <typename Key, typename Step, typename Accepts>
Result<Dfa> explore(const Key& start, Step&& step, Accepts&& accepts, size_t max_states,
                    size_t& work) {
  constexpr size_t kWorkOfState = 64;  // all bytes are tried
  Dfa dfa;
  std::map<Key, int32_t> ids{{start, 0}};
  std::vector<Key> keys{start};
  for (size_t i = 0; i < keys.size(); ++i) {
    const Key key = keys[i];
    Dfa::State state{accepts(key), {}};
    for (int byte = 0; byte < 256; ++byte) {
      const std::optional<Key> next = step(key, static_cast<uint8_t>(byte));
      if (!next) continue;
      const auto [it, is_new] = ids.emplace(*next, static_cast<int32_t>(keys.size()));
      if (is_new) keys.push_back(*next);
      const auto value = static_cast<uint8_t>(byte);
      append_edge(state.edges, value, value, it->second);
    }
    dfa.states.push_back(std::move(state));
    if (keys.size() > max_states || !spend(kWorkOfState, work)) return too_large_automaton();
  }
  return minimise(dfa);
}

}  // namespace gemma4::constrain

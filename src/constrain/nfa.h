// Nondeterministic automata: what regular expressions become before they are made deterministic.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "constrain/code_points.h"
#include "constrain/dfa.h"

namespace gemma4::constrain {

class Nfa {
 public:
  static constexpr size_t kMaxStates = 200000;
  static constexpr size_t kMaxWork = 20'000'000;  // about a second
  enum class Where : uint8_t { kAnywhere, kAtBegin, kAtEnd };

  int add_state() {
    states_.emplace_back();
    return static_cast<int>(states_.size()) - 1;
  }
  size_t size() const { return states_.size(); }
  bool too_large() const { return states_.size() > kMaxStates; }

  // A move without input, perhaps only at the begin or the end of the text.
  void jump(int from, int to, Where where = Where::kAnywhere) {
    states_[from].jumps.push_back({to, where});
  }
  void edge(int from, uint8_t first, uint8_t last, int to) {
    states_[from].edges.push_back({first, last, to});
  }
  // Any one code point of the set, which must be normalised.
  void code_point(int from, const CodePointSet& set, int to);

  // The minimal automaton of the texts that lead from `start` to `final`, which must have no edges.
  // With `prefixes`, of those that have a beginning that does, and then are any UTF-8.
  // Error kResourceExhausted beyond kMaxDfaStates or more work than `work`, from which what was
  // done is taken.
  Result<Dfa> determinise(int start, int final, bool prefixes, size_t& work) const;
  Result<Dfa> determinise(int start, int final, bool prefixes) const {
    size_t work = kMaxWork;
    return determinise(start, final, prefixes, work);
  }

 private:
  friend class SubsetConstruction;
  struct Jump {
    int to;
    Where where;
  };
  struct Edge {
    uint8_t first, last;
    int to;
  };
  struct State {
    std::vector<Jump> jumps;
    std::vector<Edge> edges;
  };
  std::vector<State> states_;
};

// All texts of whole code points.
const Dfa& any_text();

}  // namespace gemma4::constrain

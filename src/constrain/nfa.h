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
  // States, jumps and edges together: some 50 MB.
  static constexpr size_t kMaxParts = 1'000'000;
  static constexpr size_t kMaxWork = 20'000'000;  // about a second
  enum class Where : uint8_t { kAnywhere, kAtBegin, kAtEnd };

  int add_state() {
    ++num_parts_;
    states_.emplace_back();
    return static_cast<int>(states_.size()) - 1;
  }
  bool too_large() const { return num_parts_ > kMaxParts; }

  // A move without input, perhaps only at the begin or the end of the text.
  void jump(int from, int to, Where where = Where::kAnywhere) {
    ++num_parts_;
    states_[from].jumps.push_back({to, where});
  }
  void edge(int from, uint8_t first, uint8_t last, int to) {
    ++num_parts_;
    states_[from].edges.push_back({first, last, to});
  }
  // Any one code point of the set, which must be normalised.
  void code_point(int from, const CodePointSet& set, int to) {
    append_code_point(*this, from, set, to);
  }

  // The minimal automaton of the texts that lead from `start` to `final`, which must have no edges.
  // With `prefixes`, of those that have a beginning that does, and then are any UTF-8.
  // Error kResourceExhausted if it is too_large(), beyond max_states, or for more work than
  // `work`, from which what was done is taken: making this automaton counts too.
  Result<Dfa> determinise(int start, int final, bool prefixes, size_t& work,
                          size_t max_states = kMaxDfaStates) const;
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
  size_t num_parts_ = 0;
};

// All texts of whole code points.
const Dfa& any_text();

}  // namespace gemma4::constrain

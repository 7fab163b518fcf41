// What an automaton does with plain text (grammar.h), so that masks need not try all tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "constrain/dfa.h"
#include "constrain/grammar.h"

namespace gemma4::constrain {

class PlainSteps {
 public:
  PlainSteps(const Dfa& dfa, Plain plain);

  // The states that one plain code point may lead to; none where not all of them are allowed.
  const std::vector<int32_t>& next(int32_t state) const { return next_[state]; }

  // By state: whether kManyCodePoints plain code points may follow, whatever they are, and `same`
  // holds for each state on the way and the one before it.
  template <typename Same>
  std::vector<bool> keep_going(Same same) const {
    std::vector<bool> kept(next_.size(), true);
    std::vector<int32_t> states;
    for (size_t i = 0; i < kept.size(); ++i) states.push_back(static_cast<int32_t>(i));
    for (int round = 0; round < kManyCodePoints && !states.empty(); ++round) {
      std::vector<int32_t> rest;
      for (const int32_t s : states)
        if (!next_[s].empty() && std::all_of(next_[s].begin(), next_[s].end(),
                                             [&](int32_t t) { return kept[t] && same(s, t); }))
          rest.push_back(s);
      if (rest.size() == states.size()) break;  // and so for ever
      kept.assign(kept.size(), false);
      for (const int32_t s : rest) kept[s] = true;
      states = std::move(rest);
    }
    return kept;
  }

 private:
  std::vector<std::vector<int32_t>> next_;
};

}  // namespace gemma4::constrain

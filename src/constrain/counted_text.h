// Texts of an automaton whose length is limited: the automaton stays as small as it is, and a
// register counts code points.
#pragma once

#include "constrain/dfa.h"
#include "constrain/grammar.h"

namespace gemma4::constrain {

struct CountedText {
  const Dfa& dfa;
  // The states from here on are inside of an escape, whose first byte stands for the code point.
  int32_t first_escape = INT32_MAX;
  // As StringSet has them; a maximum that a register cannot hold is none.
  uint64_t min = 0;
  uint64_t max = UINT64_MAX;
};

// Adds those texts from `from` to `to`. Counts in word 0.
void append_counted(GrammarBuilder& grammar, StateId from, const CountedText& text, StateId to);

}  // namespace gemma4::constrain

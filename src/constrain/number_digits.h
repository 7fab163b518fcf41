// Keeps numbers from having more digits than a double can hold, which models loop on.
#pragma once

#include "constrain/dfa.h"
#include "constrain/grammar.h"

namespace gemma4::constrain {

// Digits that a number may have beyond those that its schema demands: a double's 17 and the zeros
// before them where no exponent is written.
inline constexpr uint32_t kFreeDigits = 24;

// Adds the texts of `numbers` from `from` to `to`, without those that go round in loops of the
// automaton more than kFreeDigits times. Counts in word 0.
void append_numbers(GrammarBuilder& grammar, StateId from, const Dfa& numbers, StateId to);

}  // namespace gemma4::constrain

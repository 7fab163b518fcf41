// Regular expressions as trees, shared by the syntaxes that write them.
#pragma once

#include <cstdint>
#include <vector>

#include "constrain/nfa.h"

namespace gemma4::constrain {

inline constexpr int kUnbounded = -1;

struct Expression {
  enum class Kind : uint8_t {
    kSet,           // one code point of `set`
    kSequence,      // all children, one after another; none: the empty text
    kAlternatives,  // one of the children
    kRepeat,        // the child, min to max times
    kBegin,         // nothing, at the begin of the text
    kEnd,           // nothing, at its end
    kAhead,         // nothing, where the child begins too; only regex.cc knows what it means
    kNotAhead,      // nothing, where it does not
  };
  Kind kind = Kind::kSequence;
  CodePointSet set;  // normalised
  std::vector<Expression> children;
  int min = 0;
  int max = 0;  // or kUnbounded
};

// Adds to `nfa` what leads from `from` to `to` by a text of `expression`. Stops early once the
// automaton is too large.
void append_expression(const Expression& expression, int from, int to, Nfa& nfa);

}  // namespace gemma4::constrain

// Regular expressions as JSON Schema's `pattern` has them: ECMA-262 with the flag u, as far as they
// are regular.
//
//   G4_ASSIGN_OR_RETURN(Dfa dfa, compile_regex("^a+$", RegexMode::kSearch));
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "constrain/code_points.h"
#include "constrain/dfa.h"

namespace gemma4::constrain {

enum class RegexMode {
  kSearch,  // texts in which the expression matches somewhere
  kWhole,   // texts that it matches as a whole
};

// The minimal automaton over the UTF-8 of the texts, which are whole code points.
// Supported: literals, `.`, classes, \d \w \s and their opposites, escapes of code points, groups
// (named ones too), |, * + ? {m} {m,} {m,n} and their lazy forms, ^ and $, and lookahead directly
// behind a ^ with which the whole or one of its alternatives begins.
// Errors: kInvalidArgument for wrong syntax; kUnsupported for other lookaround, back references,
// \b, \B, \p and \P, each named; kResourceExhausted for a count above 100,000 and for an automaton
// that grows too large. All say at which byte, except the last.
Result<Dfa> compile_regex(std::string_view pattern, RegexMode mode);
// The same, with a limit on the work (Nfa::determinise) that several expressions share.
Result<Dfa> compile_regex(std::string_view pattern, RegexMode mode, size_t& work);

// `^[set]{min,max}$`, which needs no automaton for its counts; nothing for all other expressions.
// Errors: those of syntax.
struct RepeatedSet {
  CodePointSet set;
  int min = 0;
  int max = 0;  // or kUnbounded
};
Result<std::optional<RepeatedSet>> repeated_set(std::string_view pattern);

}  // namespace gemma4::constrain

// Grammars written as text, in the notation of GBNF.
//
//   root   ::= "[" ws (number ("," ws number)*)? "]"   # a comment
//   number ::= "-"? [0-9]{1,9} ("." [0-9]+)?
//   ws     ::= " "*
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "constrain/grammar.h"

namespace gemma4::constrain {

// The grammar of the rule `root`. A rule is `name ::= alternatives`; alternatives are separated by
// `|` and are sequences of "literals", [classes], `.` (any code point), names of rules, (groups),
// and <[N]> for the token with the id N; each may be followed by ? * + {m} {m,} {m,n}. Literals and
// classes know \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH. A name ends the rule before it
// where `::=` follows.
// Errors: kInvalidArgument with the line for wrong syntax, and for a rule that is not defined,
// defined twice or, where the root needs it, left-recursive, with its name; kResourceExhausted for
// too large a grammar, a count above 100,000, or more alternatives at once than can be followed.
Result<std::shared_ptr<const Grammar>> grammar_of_ebnf(std::string_view source);
// The same, with a limit on the work (Nfa::determinise) of making automata. It decides how the
// grammar is represented, not what it accepts.
Result<std::shared_ptr<const Grammar>> grammar_of_ebnf(std::string_view source,
                                                       size_t automata_work);

// The grammar of the texts that a regular expression matches as a whole (regex.h).
Result<std::shared_ptr<const Grammar>> grammar_of_regex(std::string_view pattern);

}  // namespace gemma4::constrain

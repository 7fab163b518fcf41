// The text of a grammar as expressions; ebnf.h describes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/expression.h"

namespace gemma4::constrain {

// An expression whose parts may also be names of rules and control tokens.
struct EbnfNode {
  enum class Kind : uint8_t { kExpression, kRule, kSymbol };
  Kind kind = Kind::kExpression;
  // Of kExpression: kSet has no children; the others take them from here.
  Expression::Kind shape = Expression::Kind::kSequence;
  CodePointSet set;
  int min = 0, max = 0;
  int index = 0;  // of the rule, or the symbol's id
  std::vector<EbnfNode> children;
};

struct EbnfRule {
  std::string name;
  bool defined = false;
  EbnfNode body;
};

// Rules in the order of their first mention. Errors as in ebnf.h.
Result<std::vector<EbnfRule>> parse_ebnf(std::string_view source);

}  // namespace gemma4::constrain

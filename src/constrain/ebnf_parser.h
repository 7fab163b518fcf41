// The text of a grammar as expressions; ebnf.h describes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/expression.h"

namespace gemma4::constrain {

// Trees are walked by recursion, so they are not higher than this.
inline constexpr int kMaxEbnfHeight = 1000;

// An expression whose parts may also be names of rules and control tokens.
struct EbnfNode {
  enum class Kind : uint8_t { kExpression, kRule, kSymbol };
  Kind kind = Kind::kExpression;
  // Of kExpression: kSet has no children; the others take them from here.
  Expression::Kind shape = Expression::Kind::kSequence;
  CodePointSet set;
  int min = 0, max = 0;
  int index = 0;   // of the rule, or the symbol's id
  int height = 1;  // of this tree, in nodes; at most kMaxEbnfHeight
  // The same with the rules that it names written out, and how many nodes that is; 0 if it is too
  // large. EbnfInliner fills them in.
  int inlined_height = 0, inlined_nodes = 0;
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

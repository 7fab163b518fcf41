#include "constrain/expression.h"

#include "base/check.h"

namespace gemma4::constrain {
namespace {

void append_repeat(const Expression& repeat, int from, int to, Nfa& nfa) {
  const Expression& body = repeat.children[0];
  int state = from;
  for (int i = 0; i < repeat.min && !nfa.too_large(); ++i) {
    const int next = nfa.add_state();
    append_expression(body, state, next, nfa);
    state = next;
  }
  if (repeat.max == kUnbounded) {
    const int loop = nfa.add_state();
    nfa.jump(state, loop);
    const int end = nfa.add_state();
    append_expression(body, loop, end, nfa);
    nfa.jump(end, loop);
    nfa.jump(loop, to);
    return;
  }
  for (int i = repeat.min; i < repeat.max && !nfa.too_large(); ++i) {
    nfa.jump(state, to);
    const int next = nfa.add_state();
    append_expression(body, state, next, nfa);
    state = next;
  }
  nfa.jump(state, to);
}

}  // namespace

void append_expression(const Expression& expression, int from, int to, Nfa& nfa) {
  if (nfa.too_large()) return;
  switch (expression.kind) {
    case Expression::Kind::kSet:
      nfa.code_point(from, expression.set, to);
      return;
    case Expression::Kind::kBegin:
      nfa.jump(from, to, Nfa::Where::kAtBegin);
      return;
    case Expression::Kind::kEnd:
      nfa.jump(from, to, Nfa::Where::kAtEnd);
      return;
    case Expression::Kind::kAhead:
    case Expression::Kind::kNotAhead:
      G4_CHECK(false);  // lookaheads are taken out before
      return;
    case Expression::Kind::kRepeat:
      append_repeat(expression, from, to, nfa);
      return;
    case Expression::Kind::kAlternatives:
      for (const Expression& child : expression.children) append_expression(child, from, to, nfa);
      return;
    case Expression::Kind::kSequence: {
      int state = from;
      for (const Expression& child : expression.children) {
        const int next = nfa.add_state();
        append_expression(child, state, next, nfa);
        state = next;
      }
      nfa.jump(state, to);
      return;
    }
  }
}

}  // namespace gemma4::constrain

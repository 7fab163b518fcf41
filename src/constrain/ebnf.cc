#include "constrain/ebnf.h"

#include <algorithm>
#include <optional>

#include "constrain/ebnf_parser.h"
#include "constrain/regex.h"

namespace gemma4::constrain {
namespace {

// Rules that are regular become automata; the others call each other.
class EbnfCompiler {
 public:
  explicit EbnfCompiler(std::vector<EbnfRule> rules)
      : rules_(std::move(rules)), ids_(rules_.size(), -1), inlined_(rules_.size()) {}

  Result<std::shared_ptr<const Grammar>> compile() {
    int root = -1;
    for (size_t r = 0; r < rules_.size(); ++r)
      if (rules_[r].name == "root") root = static_cast<int>(r);
    if (root < 0) return Error{ErrorCode::kInvalidArgument, "grammar: there is no rule 'root'"};
    for (size_t r = 0; r < rules_.size(); ++r) ids_[r] = grammar_.add_rule(rules_[r].name);
    for (size_t r = 0; r < rules_.size(); ++r) {
      const StateId end = grammar_.add_state();
      grammar_.accept(end);
      append(rules_[r].body, grammar_.start(ids_[r]), end);
    }
    return grammar_.build(ids_[root]);
  }

 private:
  static constexpr size_t kMostInlined = 20000;  // nodes of one expression
  static constexpr int kMaxDepth = 100;          // of rules in rules

  // `node` with the rules it names written out, or nothing if it is recursive, names control tokens
  // or grows too large.
  std::optional<Expression> inlined(const EbnfNode& node, size_t& budget, int depth) {
    if (budget == 0 || depth > kMaxDepth) return std::nullopt;
    --budget;
    if (node.kind == EbnfNode::Kind::kSymbol) return std::nullopt;
    if (node.kind == EbnfNode::Kind::kRule) {
      if (inlined_[node.index]) return std::nullopt;  // inside of itself
      inlined_[node.index] = true;
      std::optional<Expression> body = inlined(rules_[node.index].body, budget, depth + 1);
      inlined_[node.index] = false;
      return body;
    }
    Expression result{.kind = node.shape, .set = node.set, .min = node.min, .max = node.max};
    for (const EbnfNode& child : node.children) {
      std::optional<Expression> part = inlined(child, budget, depth);
      if (!part) return std::nullopt;
      result.children.push_back(std::move(*part));
    }
    return result;
  }

  // `node` as an automaton, if it is regular and not too large.
  std::optional<Dfa> regular(const EbnfNode& node) {
    size_t budget = std::min(kMostInlined, inlining_);
    const size_t before = budget;
    const std::optional<Expression> expression = inlined(node, budget, 0);
    inlining_ -= before - budget;
    if (!expression) return std::nullopt;
    Nfa nfa;
    const int start = nfa.add_state();
    const int final = nfa.add_state();
    append_expression(*expression, start, final, nfa);
    Result<Dfa> dfa = nfa.determinise(start, final, false, work_);
    return dfa.ok() ? std::optional(std::move(dfa).value()) : std::nullopt;
  }

  void append(const EbnfNode& node, StateId from, StateId to) {
    if (grammar_.over_budget()) return;
    if (node.kind == EbnfNode::Kind::kSymbol) return grammar_.edge_on_symbol(from, node.index, to);
    if (node.kind == EbnfNode::Kind::kRule) return grammar_.call(from, ids_[node.index], to);
    if (const std::optional<Dfa> dfa = regular(node)) {
      grammar_.dfa(from, *dfa, to);
      return;
    }
    if (node.shape == Expression::Kind::kRepeat) return append_repeat(node, from, to);
    if (node.shape == Expression::Kind::kAlternatives) {
      for (const EbnfNode& child : node.children) append(child, from, to);
      return;
    }
    StateId state = from;
    for (const EbnfNode& child : node.children) {
      const StateId next = grammar_.add_state();
      append(child, state, next);
      state = next;
    }
    grammar_.jump(state, to);
  }

  // A rule of its own, whose frame counts.
  void append_repeat(const EbnfNode& node, StateId from, StateId to) {
    const RuleId rule = grammar_.add_rule("repetition");
    const StateId begin = grammar_.add_state();
    const StateId end = grammar_.add_state();
    const auto min = static_cast<uint32_t>(node.min);
    std::vector<Operation> count;
    if (node.max != kUnbounded) {
      count = {{Operation::Kind::kCountBelow, 0, static_cast<uint32_t>(node.max)}};
    } else if (min > 0) {
      count = {{Operation::Kind::kCountUpTo, 0, min}};
    }
    grammar_.jump(grammar_.start(rule), begin, std::move(count));
    append(node.children[0], begin, grammar_.start(rule));
    std::vector<Operation> enough;
    if (min > 0) enough = {{Operation::Kind::kAtLeast, 0, min}};
    grammar_.jump(grammar_.start(rule), end, std::move(enough));
    grammar_.accept(end);
    grammar_.call(from, rule, to);
  }

  const std::vector<EbnfRule> rules_;
  std::vector<RuleId> ids_;
  std::vector<bool> inlined_;  // being written out
  GrammarBuilder grammar_;
  size_t inlining_ = 2'000'000;  // nodes, for all rules together
  size_t work_ = Nfa::kMaxWork;  // the same for making automata
};

}  // namespace

Result<std::shared_ptr<const Grammar>> grammar_of_ebnf(std::string_view source) {
  G4_ASSIGN_OR_RETURN(std::vector<EbnfRule> rules, parse_ebnf(source));
  return EbnfCompiler(std::move(rules)).compile();
}

Result<std::shared_ptr<const Grammar>> grammar_of_regex(std::string_view pattern) {
  G4_ASSIGN_OR_RETURN(const Dfa dfa, compile_regex(pattern, RegexMode::kWhole));
  GrammarBuilder grammar;
  const RuleId root = grammar.add_rule("root");
  const StateId end = grammar.add_state();
  grammar.accept(end);
  grammar.dfa(grammar.start(root), dfa, end);
  return grammar.build(root);
}

}  // namespace gemma4::constrain

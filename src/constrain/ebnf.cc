#include "constrain/ebnf.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/strings.h"
#include "constrain/ebnf_inliner.h"
#include "constrain/regex.h"

namespace gemma4::constrain {
namespace {

// Rules become automata over characters, control tokens and calls of other rules. How much work
// automata may be is limited. Beyond the limit a part becomes the states and calls that it is
// written as, which accept the same texts with more stacks at once.
class EbnfCompiler {
 public:
  EbnfCompiler(std::vector<EbnfRule> rules, size_t work)
      : rules_(std::move(rules)),
        letters_(rules_),
        inliner_(rules_, letters_),
        ids_(rules_.size(), -1),
        work_(work) {}

  Result<std::shared_ptr<const Grammar>> compile() {
    const auto root = std::find_if(rules_.begin(), rules_.end(),
                                   [](const EbnfRule& rule) { return rule.name == "root"; });
    if (root == rules_.end())
      return Error{ErrorCode::kInvalidArgument, "grammar: there is no rule 'root'"};
    if (letters_.size() > EbnfLetters::kMost)
      return Error{ErrorCode::kResourceExhausted,
                   str_cat("the grammar is too large: it has ", letters_.size(),
                           " rules and tokens, the limit is ", EbnfLetters::kMost)};
    const RuleId id = id_of(static_cast<int>(root - rules_.begin()));
    while (!waiting_.empty() && !grammar_.over_budget()) {
      const int rule = waiting_.back();
      waiting_.pop_back();
      const StateId end = grammar_.add_state();
      grammar_.accept(end);
      append(rules_[rule].body, grammar_.start(ids_[rule]), end);
    }
    return grammar_.build(id);
  }

 private:
  static constexpr size_t kMaxWorkOfPart = Nfa::kMaxWork / 10;
  static constexpr size_t kMaxStatesOfPart = 100000;

  // Only rules that are called have one.
  RuleId id_of(int rule) {
    if (ids_[rule] < 0) {
      ids_[rule] = grammar_.add_rule(rules_[rule].name);
      waiting_.push_back(rule);
    }
    return ids_[rule];
  }

  struct Automaton {
    Dfa dfa;
    std::vector<std::vector<EbnfLetters::Edge>> letters;  // [states of dfa]
  };

  // `node` as an automaton over characters and letters, if that is not too much work.
  std::optional<Automaton> automaton(const EbnfNode& node) {
    if (work_ == 0) return std::nullopt;
    const std::optional<Expression> expression = inliner_.write_out(node);
    if (!expression) return std::nullopt;
    Nfa nfa;
    const int start = nfa.add_state();
    const int final = nfa.add_state();
    append_expression(*expression, start, final, nfa);
    size_t left = std::min(work_, kMaxWorkOfPart);
    work_ -= left;
    Result<Dfa> dfa = nfa.determinise(start, final, false, left, kMaxStatesOfPart);
    work_ += left;
    if (!dfa.ok() || dfa.value().states.size() > grammar_.states_left() / 2) return std::nullopt;
    return with_letters(std::move(dfa).value());
  }

  std::optional<Automaton> with_letters(Dfa dfa) {
    Automaton result{std::move(dfa), {}};
    size_t count = 0;
    for (size_t s = 0; s < result.dfa.states.size(); ++s) {
      result.letters.push_back(letters_.edges(result.dfa, static_cast<int32_t>(s)));
      count += result.letters.back().size();
      if (count > grammar_.edges_left() / 2) break;
    }
    work_ -= std::min(work_, count);
    if (result.letters.size() < result.dfa.states.size()) return std::nullopt;
    return result;
  }

  // A copy of what `automaton` reaches, in which letters are what they stand for.
  void append_automaton(const Automaton& automaton, StateId from, StateId to) {
    const Dfa& dfa = automaton.dfa;
    std::vector<StateId> copies(dfa.states.size(), -1);
    std::vector<int32_t> order;
    const auto copy_of = [&](int32_t state) {
      // Nothing behind the end: calls that are the last thing a rule does can be told from others.
      if (dfa.states[state].accepts && dfa.states[state].edges.empty()) return to;
      if (copies[state] < 0) {
        copies[state] = grammar_.add_state();
        order.push_back(state);
      }
      return copies[state];
    };
    if (!dfa.empty()) grammar_.jump(from, copy_of(0));
    for (size_t i = 0; i < order.size() && !grammar_.over_budget(); ++i) {
      const StateId copy = copies[order[i]];
      const Dfa::State& state = dfa.states[order[i]];
      if (state.accepts) grammar_.jump(copy, to);
      for (const Dfa::Edge& edge : state.edges)
        if (edge.first < EbnfLetters::kFirstByte)
          grammar_.edge(copy, edge.first, std::min<uint8_t>(edge.last, EbnfLetters::kFirstByte - 1),
                        copy_of(edge.next));
      for (const EbnfLetters::Edge& edge : automaton.letters[order[i]])
        append_letter(edge.kind, edge.index, copy, copy_of(edge.next));
    }
  }

  void append_letter(EbnfNode::Kind kind, int index, StateId from, StateId to) {
    if (kind == EbnfNode::Kind::kSymbol) {
      grammar_.edge_on_symbol(from, index, to);
    } else {
      grammar_.call(from, id_of(index), to);
    }
  }

  void append(const EbnfNode& node, StateId from, StateId to) {
    if (grammar_.over_budget()) return;
    if (inliner_.is_letter(node)) return append_letter(node.kind, node.index, from, to);
    if (const std::optional<Automaton> whole = automaton(node))
      return append_automaton(*whole, from, to);
    if (node.kind == EbnfNode::Kind::kRule) return append_letter(node.kind, node.index, from, to);
    switch (node.shape) {
      case Expression::Kind::kSet:
        return append_code_point(grammar_, from, node.set, to);
      case Expression::Kind::kRepeat:
        return append_repeat(node, from, to);
      case Expression::Kind::kAlternatives:
        for (const EbnfNode& child : node.children) append(child, from, to);
        return;
      case Expression::Kind::kSequence:
        return append_sequence(node, from, to);
      case Expression::Kind::kBegin:
      case Expression::Kind::kEnd:
      case Expression::Kind::kAhead:
      case Expression::Kind::kNotAhead:
        G4_CHECK(false);  // the notation has none
    }
  }

  void append_sequence(const EbnfNode& node, StateId from, StateId to) {
    if (node.children.empty()) return grammar_.jump(from, to);
    for (size_t i = 0; i < node.children.size(); ++i) {
      const StateId next = i + 1 < node.children.size() ? grammar_.add_state() : to;
      append(node.children[i], from, next);
      from = next;
    }
  }

  // A rule of its own, whose frame counts.
  void append_repeat(const EbnfNode& node, StateId from, StateId to) {
    if (node.min == 0 && (node.max == 0 || node.max == 1)) grammar_.jump(from, to);
    if (node.max == 1) append(node.children[0], from, to);
    if (node.max == 0 || node.max == 1) return;
    const RuleId rule = grammar_.add_rule("repetition");
    const auto min = static_cast<uint32_t>(node.min);
    std::vector<Operation> count;
    if (node.max != kUnbounded) {
      count = {{Operation::Kind::kCountBelow, 0, static_cast<uint32_t>(node.max)}};
    } else if (min > 1) {
      count = {{Operation::Kind::kCountUpTo, 0, min}};
    }
    // The end of what must come at least once is behind it, not at the start: where it cannot be
    // finished, that shows without counting.
    const StateId start = grammar_.start(rule);
    const StateId again = min > 0 ? grammar_.add_state() : start;
    const StateId begin = grammar_.add_state();
    const StateId end = grammar_.add_state();
    grammar_.jump(start, begin, count);
    if (again != start) grammar_.jump(again, begin, count);
    append(node.children[0], begin, again);
    std::vector<Operation> enough;
    if (min > 1) enough = {{Operation::Kind::kAtLeast, 0, min}};
    grammar_.jump(again, end, std::move(enough));
    grammar_.accept(end);
    grammar_.call(from, rule, to);
  }

  std::vector<EbnfRule> rules_;
  const EbnfLetters letters_;
  const EbnfInliner inliner_;
  std::vector<RuleId> ids_;   // by rule, -1 for those not called so far
  std::vector<int> waiting_;  // called, but not written down
  GrammarBuilder grammar_;
  size_t work_;  // for all automata together
};

}  // namespace

Result<std::shared_ptr<const Grammar>> grammar_of_ebnf(std::string_view source) {
  return grammar_of_ebnf(source, Nfa::kMaxWork);
}

Result<std::shared_ptr<const Grammar>> grammar_of_ebnf(std::string_view source,
                                                       size_t automata_work) {
  G4_ASSIGN_OR_RETURN(std::vector<EbnfRule> rules, parse_ebnf(source));
  return EbnfCompiler(std::move(rules), automata_work).compile();
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

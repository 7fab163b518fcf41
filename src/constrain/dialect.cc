#include "constrain/dialect.h"

#include <algorithm>

#include "constrain/counted_text.h"
#include "constrain/nfa.h"
#include "constrain/number_digits.h"
#include "constrain/numbers.h"
#include "constrain/regex.h"
#include "json/json.h"

namespace gemma4::constrain {
namespace {

// The regular expressions below, each compiled once.
struct Lexicon {
  Dfa number = of("-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?");
  Dfa json_char =
      of("[^\"\\\\\\0-\\x1f]|\\\\[\"\\\\/bfnrt]|\\\\u(?:[0-9a-cA-CeEfF][0-9a-fA-F]{3}"
         "|[dD][0-7][0-9a-fA-F]{2}"
         "|[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2})");
  Dfa json_chars =
      of("(?:[^\"\\\\\\0-\\x1f]|\\\\[\"\\\\/bfnrt]|\\\\u(?:[0-9a-cA-CeEfF][0-9a-fA-F]{3}"
         "|[dD][0-7][0-9a-fA-F]{2}"
         "|[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}))*");
  Dfa any_char = of("[^]");
  Dfa space = of("(?: |\\r?\\n[ \\t]{0,64})?");
  // What readers of calls take for a key as it stands: they drop white space around it and quotes.
  Dfa bare_keys = of("[^:,} \\t\\r\\n\"'](?:[^:,}]*[^:,} \\t\\r\\n])?");

  static Dfa of(const char* expression) {
    return compile_regex(expression, RegexMode::kWhole).value();
  }
  static const Lexicon& get() {
    static const auto* const kLexicon = new Lexicon;
    return *kLexicon;
  }
};

// Behind a backslash: the letter for a byte that has one.
struct Escape {
  uint8_t byte, letter;
};
constexpr Escape kEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                               {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};

// Adds what JSON writes for `byte` behind the backslash, and then goes to `next`.
class Escaper {
 public:
  Escaper(Dfa& dfa, int32_t after_backslash) : dfa_(dfa), start_(after_backslash) {}

  void add(uint8_t byte, int32_t next) {
    for (const Escape& escape : kEscapes)
      if (escape.byte == byte) branch(start_, escape.letter, next);
    if (byte >= 0x20) return;
    const int32_t high = path(path(path(start_, 'u'), '0'), '0');
    const int32_t low = path(high, static_cast<uint8_t>('0' + (byte >> 4)));
    const int digit = byte & 0xF;
    branch(low, static_cast<uint8_t>(digit < 10 ? '0' + digit : 'a' + digit - 10), next);
    if (digit >= 10) branch(low, static_cast<uint8_t>('A' + digit - 10), next);
  }

 private:
  void branch(int32_t from, uint8_t byte, int32_t to) {
    auto& edges = dfa_.states[from].edges;
    const auto place = std::find_if(edges.begin(), edges.end(),
                                    [&](const Dfa::Edge& edge) { return edge.first > byte; });
    edges.insert(place, {byte, byte, to});
  }
  int32_t path(int32_t from, uint8_t byte) {
    const int32_t known = dfa_.step(from, byte);
    if (known >= 0) return known;
    const auto next = static_cast<int32_t>(dfa_.states.size());
    dfa_.states.emplace_back();
    branch(from, byte, next);
    return next;
  }

  Dfa& dfa_;
  const int32_t start_;
};

// The same texts as JSON writes them between quotes, with the escapes that it demands. The states
// inside of escapes come behind all others.
Dfa escaped(const Dfa& plain) {
  Dfa result;
  result.states.resize(plain.states.size());
  for (size_t s = 0; s < plain.states.size(); ++s) {
    result.states[s].accepts = plain.states[s].accepts;
    std::vector<Dfa::Edge> edges;
    int32_t backslash = -1;
    for (const Dfa::Edge& edge : plain.states[s].edges)
      for (int byte = edge.first; byte <= edge.last; ++byte) {
        const auto value = static_cast<uint8_t>(byte);
        if (byte >= 0x20 && byte != '"' && byte != '\\') {
          if (!edges.empty() && edges.back().last + 1 == byte && edges.back().next == edge.next) {
            edges.back().last = value;
          } else {
            edges.push_back({value, value, edge.next});
          }
          continue;
        }
        if (backslash < 0) {
          backslash = static_cast<int32_t>(result.states.size());
          result.states.emplace_back();
        }
        Escaper(result, backslash).add(value, edge.next);
      }
    if (backslash >= 0) {
      const auto place = std::find_if(edges.begin(), edges.end(),
                                      [](const Dfa::Edge& edge) { return edge.first > '\\'; });
      edges.insert(place, {'\\', '\\', backslash});
    }
    result.states[s].edges = std::move(edges);
  }
  return result;
}

class JsonDialect : public Dialect {
 public:
  using Dialect::Dialect;

  Result<RuleId> string(const StringSet& set) override {
    if (set.dfa) return text(set);
    const auto [it, is_new] = by_length_.emplace(std::pair(set.min_length, set.max_length), -1);
    if (!is_new) return it->second;
    const RuleId rule = it->second = grammar_.add_rule("string");
    const StateId begin = grammar_.bytes(grammar_.start(rule), "\"");
    StateId end = -1;
    if (set.is_all()) {
      end = grammar_.add_state();
      grammar_.dfa(begin, Lexicon::get().json_chars, end);
    } else {
      end = counted(begin, Lexicon::get().json_char, set);
    }
    grammar_.accept(grammar_.bytes(end, "\""));
    return rule;
  }

  StateId key(StateId from, const std::string& name) override {
    return space(grammar_.bytes(from, json::quote(name) + ":"));
  }

  Result<StateId> key(StateId from, const Dfa& keys) override {
    const StateId end = grammar_.add_state();
    grammar_.dfa(grammar_.bytes(from, "\""), minimise(escaped(keys)), end);
    return space(grammar_.bytes(end, "\":"));
  }

  StateId space(StateId from) override {
    if (space_ < 0) {
      space_ = grammar_.add_rule("space");
      const StateId end = grammar_.add_state();
      grammar_.accept(end);
      grammar_.dfa(grammar_.start(space_), Lexicon::get().space, end);
    }
    return grammar_.call(from, space_);
  }

  bool sorts_keys() const override { return false; }

 private:
  // A string of an automaton.
  RuleId text(const StringSet& set) {
    const RuleId rule = grammar_.add_rule("string");
    const StateId begin = grammar_.bytes(grammar_.start(rule), "\"");
    const StateId end = grammar_.add_state();
    const Dfa written = escaped(*set.dfa);
    if (set.any_length()) {
      grammar_.dfa(begin, minimise(written), end);
    } else {
      append_counted(grammar_, begin,
                     {.dfa = written,
                      .first_escape = static_cast<int32_t>(set.dfa->states.size()),
                      .min = set.min_length,
                      .max = set.max_length},
                     end);
    }
    grammar_.accept(grammar_.bytes(end, "\""));
    return rule;
  }

  std::map<std::pair<uint64_t, uint64_t>, RuleId> by_length_;
  RuleId space_ = -1;
};

class CallDialect : public Dialect {
 public:
  CallDialect(GrammarBuilder& grammar, int32_t quote) : Dialect(grammar), quote_(quote) {}

  Result<RuleId> string(const StringSet& set) override {
    const RuleId rule = grammar_.add_rule("string");
    const StateId begin = grammar_.symbol(grammar_.start(rule), quote_);
    StateId end = -1;
    if (set.any_length()) {
      end = grammar_.add_state();
      grammar_.dfa(begin, set.dfa ? *set.dfa : any_text(), end);
    } else if (set.dfa) {
      end = grammar_.add_state();
      append_counted(grammar_, begin,
                     {.dfa = *set.dfa, .min = set.min_length, .max = set.max_length}, end);
    } else {
      end = counted(begin, Lexicon::get().any_char, set);
    }
    grammar_.accept(grammar_.symbol(end, quote_));
    return rule;
  }

  StateId key(StateId from, const std::string& name) override {
    if (Lexicon::get().bare_keys.accepts(name)) return grammar_.bytes(from, name + ":");
    const StateId quoted = grammar_.bytes(grammar_.symbol(from, quote_), name);
    return grammar_.bytes(grammar_.symbol(quoted, quote_), ":");
  }

  Result<StateId> key(StateId from, const Dfa& keys) override {
    G4_ASSIGN_OR_RETURN(const Dfa bare, combine(keys, Lexicon::get().bare_keys, SetOperation::kAnd,
                                                8 * kMaxDfaStates));
    const StateId end = grammar_.add_state();
    grammar_.dfa(from, bare, end);
    const StateId quoted = grammar_.add_state();
    grammar_.dfa(grammar_.symbol(from, quote_), keys, quoted);
    grammar_.edge_on_symbol(quoted, quote_, end);
    return grammar_.bytes(end, ":");
  }

  StateId space(StateId from) override { return from; }
  bool sorts_keys() const override { return true; }

 private:
  const int32_t quote_;
};

}  // namespace

RuleId Dialect::number(const NumberSet& set) {
  if (set.is_all() && any_number_ >= 0) return any_number_;
  const RuleId rule = grammar_.add_rule("number");
  const StateId end = grammar_.add_state();
  grammar_.accept(end);
  append_numbers(grammar_, grammar_.start(rule),
                 set.is_all() ? Lexicon::get().number : for_writing(*set.dfa), end);
  if (set.is_all()) any_number_ = rule;
  return rule;
}

StateId Dialect::counted(StateId from, const Dfa& code_point, const StringSet& lengths) {
  constexpr uint64_t kMost = UINT32_MAX - 1;
  const auto min = static_cast<uint32_t>(std::min(lengths.min_length, kMost));
  const auto max = static_cast<uint32_t>(std::min(lengths.max_length, kMost));
  const bool open = lengths.max_length > kMost;
  const StateId loop = grammar_.add_state();
  const StateId begin = grammar_.add_state();
  const StateId end = grammar_.add_state();
  grammar_.jump(from, loop);
  grammar_.jump(
      loop, begin,
      {{open ? Operation::Kind::kCountUpTo : Operation::Kind::kCountBelow, 0, open ? min : max}});
  const StateId first = grammar_.dfa(begin, code_point, loop);
  grammar_.jump(loop, end, {{Operation::Kind::kAtLeast, 0, min}});
  std::vector<StateId> states{loop, begin, end};
  for (size_t i = 0; i < code_point.states.size(); ++i)
    states.push_back(first + static_cast<StateId>(i));
  grammar_.mark_text_counter(states, {open ? min : max, min});
  return end;
}

std::unique_ptr<Dialect> json_dialect(GrammarBuilder& grammar) {
  return std::make_unique<JsonDialect>(grammar);
}

std::unique_ptr<Dialect> call_dialect(GrammarBuilder& grammar, int32_t quote) {
  return std::make_unique<CallDialect>(grammar, quote);
}

}  // namespace gemma4::constrain

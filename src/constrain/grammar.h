// The one form of all grammars: rules that are automata over bytes, control tokens and calls of
// other rules, with a few counters. The front ends build it, the matcher runs it.
//
//   GrammarBuilder g;
//   const RuleId root = g.add_rule("root");
//   g.accept(g.bytes(g.start(root), "yes"));
//   G4_ASSIGN_OR_RETURN(std::shared_ptr<const Grammar> grammar, g.build(root));
//
// A frame is one call of a rule. It has registers (32-bit words, zero at first) that the operations
// on edges test and change: counters of items, sets of properties seen.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/dfa.h"

namespace gemma4::constrain {

using RuleId = int32_t;
using StateId = int32_t;

// A test of the frame's registers, which may change them. An edge whose test fails is not there.
struct Operation {
  enum class Kind : uint8_t {
    kCountBelow,  // the word is below `limit`; adds 1
    kCountUpTo,   // adds 1 to the word unless it is `limit`
    kBelow,       // the word is below `limit`
    kAtLeast,     // the word is not below `limit`
    kRoom,        // the word plus the number of clear bits of `mask` is below `limit`
    kHasAll,      // all bits of `mask` are set
    kAnyClear,    // some bit of `mask` is clear
    kUseBit,      // `bit` is clear; sets it
    kAdvance,     // least <= the word <= limit; the word becomes limit + 1
  };
  Kind kind;
  uint32_t word = 0;
  uint32_t limit = 0;
  uint32_t mask = 0;  // the number of a set of bits
  uint32_t bit = 0;   // of all words
  uint32_t least = 0;
  bool operator==(const Operation&) const = default;
};

// Immutable. Made by GrammarBuilder::build.
struct Grammar {
  struct ByteEdge {
    uint8_t first, last;
    StateId next;
  };
  struct SymbolEdge {
    int32_t symbol;
    StateId next;
  };
  // A move without input; `call` is the rule to go through first, or -1.
  struct Jump {
    StateId next;
    RuleId call;
    uint32_t operations_begin, operations_end;
  };
  struct State {
    uint32_t bytes_begin = 0, bytes_end = 0;
    uint32_t symbols_begin = 0, symbols_end = 0;
    uint32_t jumps_begin = 0, jumps_end = 0;
    bool accepts = false;       // the rule may end here
    bool only_accepts = false;  // and nothing else is possible
    int32_t text_counter = -1;  // in text_counters: word 0 counts the code points of a text
  };
  // The limits of all operations on the word, sorted: between two of them its value does not
  // matter.
  using TextCounter = std::vector<uint32_t>;

  std::vector<State> states;
  std::vector<ByteEdge> byte_edges;
  std::vector<SymbolEdge> symbol_edges;
  std::vector<Jump> jumps;
  std::vector<Operation> operations;
  std::vector<std::vector<uint32_t>> masks;
  std::vector<StateId> rule_starts;
  std::vector<TextCounter> text_counters;
  RuleId root = 0;

  // Memory that it holds.
  size_t bytes() const;
};

// Whether counting operations count, or only test.
enum class Counting : uint8_t { kOn, kOff };

// Whether `operation` passes on `registers`, where missing words are zeros; if so, changes them.
bool apply_operation(const Grammar& grammar, const Operation& operation,
                     std::vector<uint32_t>& registers, Counting counting = Counting::kOn);

class GrammarBuilder {
 public:
  // Limits that keep hostile input from taking memory; beyond them build() refuses.
  static constexpr size_t kMaxStates = 400000;
  static constexpr size_t kMaxEdges = 2000000;

  RuleId add_rule(std::string_view name);
  StateId start(RuleId rule) const { return starts_[rule]; }
  StateId add_state();

  void edge(StateId from, uint8_t first, uint8_t last, StateId to);
  void edge_on_symbol(StateId from, int32_t symbol, StateId to);
  void jump(StateId from, StateId to, std::vector<Operation> operations = {});
  void call(StateId from, RuleId rule, StateId to, std::vector<Operation> operations = {});
  void accept(StateId state) { states_[state].accepts = true; }

  // These add what they name behind `from` and return the state after it.
  StateId bytes(StateId from, std::string_view text);
  StateId symbol(StateId from, int32_t id);
  StateId call(StateId from, RuleId rule);
  // A copy of `dfa`, entered from `from`; its ends jump to `to`. Returns the copy of its start, or
  // `from` if it accepts nothing.
  StateId dfa(StateId from, const Dfa& dfa, StateId to);

  // Says that word 0 counts the code points of a text in `states`, the only ones of their rule that
  // test or change it, and nothing else; a code point is counted at most once, before its first
  // byte. `limits` are those of all their operations.
  void mark_text_counter(const std::vector<StateId>& states, std::vector<uint32_t> limits);
  // A set of bits for operations; returns its number.
  uint32_t add_mask(std::vector<uint32_t> words);

  size_t states_left() const { return kMaxStates - std::min(kMaxStates, states_.size()); }
  size_t edges_left() const { return kMaxEdges - std::min(kMaxEdges, num_edges_); }
  bool over_budget() const { return states_.size() > kMaxStates || num_edges_ > kMaxEdges; }

  // The grammar of `root`, without what leads nowhere. Errors: kInvalidArgument if no text at all
  // satisfies it or a rule calls itself before any input, naming the rule; kResourceExhausted
  // beyond the limits, and where more can come first than an Explorer follows.
  Result<std::shared_ptr<const Grammar>> build(RuleId root) const;

 private:
  friend class GrammarLinker;
  struct Jump {
    StateId next;
    RuleId call;
    std::vector<Operation> operations;
  };
  struct State {
    std::vector<Grammar::ByteEdge> bytes;
    std::vector<Grammar::SymbolEdge> symbols;
    std::vector<Jump> jumps;
    bool accepts = false;
    int32_t text_counter = -1;
  };

  std::vector<State> states_;
  std::vector<StateId> starts_;  // [rules]
  std::vector<std::string> names_;
  std::vector<std::vector<uint32_t>> masks_;
  std::vector<Grammar::TextCounter> text_counters_;
  size_t num_edges_ = 0;
};

}  // namespace gemma4::constrain

// How values are written: as JSON, or as Gemma's tool calls write their arguments.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "constrain/grammar.h"
#include "constrain/value_sets.h"

namespace gemma4::constrain {

// Adds to a grammar the parts that the two ways of writing do not share.
class Dialect {
 public:
  explicit Dialect(GrammarBuilder& grammar) : grammar_(grammar) {}
  virtual ~Dialect() = default;

  // A string of `set`, its quotes included; the rule.
  virtual Result<RuleId> string(const StringSet& set) = 0;
  // The key `name`, and any key of `keys`, with the colon; from `from`, to the state returned.
  virtual StateId key(StateId from, const std::string& name) = 0;
  virtual Result<StateId> key(StateId from, const Dfa& keys) = 0;
  // White space where it may be.
  virtual StateId space(StateId from) = 0;
  // Whether properties come sorted by key, lower-cased; else in any order.
  virtual bool sorts_keys() const = 0;

  // Any JSON number, or one of the set, with no more digits than make sense; the rule.
  RuleId number(const NumberSet& set);

 protected:
  // `count` repetitions of `code_point`, a rule's middle; returns the state behind.
  StateId counted(StateId from, const Dfa& code_point, const StringSet& lengths);

  GrammarBuilder& grammar_;

 private:
  RuleId any_number_ = -1;
};

// JSON. Strings about which the schema says nothing but their length may use all escapes; others
// and keys are written with the escapes that JSON demands, and no others. Between tokens: nothing,
// a space, or a line break and up to 64 spaces and tabs.
std::unique_ptr<Dialect> json_dialect(GrammarBuilder& grammar);

// Arguments of calls (docs/architecture.md names the format): strings between two `quote` tokens,
// no white space. Keys that are named are bare where they can be read back so, else between quotes
// too; other keys may be written either way.
std::unique_ptr<Dialect> call_dialect(GrammarBuilder& grammar, int32_t quote);

}  // namespace gemma4::constrain

// What the answers of a conversation may be: tools that may be called, a schema, a grammar, how
// long the thought may take.
//
//   FormCompiler compiler(tokenizer);
//   G4_ASSIGN_OR_RETURN(AnswerForm form, compiler.compile({.tools = tools}, {}));
//   request.constraint = form.constraint({});
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/token_constraint.h"
#include "constrain/call_grammar.h"
#include "constrain/grammar_cache.h"
#include "json/json.h"
#include "text/tokenizer.h"

namespace gemma4::answer {

struct FormTables;  // of a vocabulary, inside answer_form.cc

// Where an answer begins.
struct AnswerStart {
  bool thinking = false;       // it may have thoughts
  bool in_thought = false;     // the prompt ends within one
  bool after_results = false;  // it follows results of calls
};

// Immutable; copies share their tables.
class AnswerForm {
 public:
  // Declarations for the prompt.
  const json::Value::Array& tools() const { return tools_; }
  // Whether calls in the answer are calls, and not text.
  bool reads_calls() const { return reads_calls_; }
  // For one answer; null when anything may come. A call is only forced in the first answer, not in
  // what the model says to results.
  std::shared_ptr<TokenConstraint> constraint(const AnswerStart& start) const;
  // The same for text without the chat format: the content's grammar alone.
  std::shared_ptr<TokenConstraint> raw_constraint() const;
  // Tokens that are never sampled, which costs less than a constraint: with tools that must not be
  // called, the one that begins a call.
  const std::vector<text::TokenId>& suppressed() const { return suppressed_; }

 private:
  friend class FormCompiler;
  struct Compiled;
  json::Value::Array tools_;
  bool reads_calls_ = false;
  std::vector<text::TokenId> suppressed_;
  std::shared_ptr<const Compiled> compiled_;  // null: no constraint
};

struct ToolChoice {
  enum class Kind { kAuto, kNone, kRequired, kNamed };
  Kind kind = Kind::kAuto;
  std::string name = {};  // of kNamed
};

struct FormOptions {
  json::Value::Array tools = {};  // as chat::parse_tools gives them
  ToolChoice choice = {};
  constrain::CallCount call_count = constrain::CallCount::kOneOrMore;
  // Of the content; one of them at most
  std::optional<json::Value> schema = {};
  std::optional<std::string> grammar = {};  // EBNF
  std::optional<std::string> regex = {};
  std::optional<int64_t> thinking_budget = {};  // tokens; unlimited if not set
};
// What errors call the parts of FormOptions: the files or fields that they came from.
struct FormNames {
  std::string tools = "tools";
  std::string tool_choice = "tool_choice";
  std::string schema = "schema";
  std::string grammar = "grammar";
  std::string regex = "regex";
};

// Compiles forms for one vocabulary and keeps what is costly: its tables, built for the first form
// that needs them, and the grammars used last. Any thread may use it.
class FormCompiler {
 public:
  explicit FormCompiler(std::shared_ptr<const text::Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}

  // Errors say what is wrong by its name, and for a schema the keyword and its place that cannot be
  // enforced.
  Result<AnswerForm> compile(FormOptions options, const FormNames& names);

 private:
  Result<std::shared_ptr<const FormTables>> tables();

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  constrain::GrammarCache grammars_;
  std::mutex mutex_;
  std::shared_ptr<const FormTables> tables_;  // guarded by it
};

}  // namespace gemma4::answer

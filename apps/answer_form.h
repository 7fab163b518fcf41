// What the answers of a conversation may be: tools that may be called, a schema, a grammar, how
// long the thought may take.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/token_constraint.h"
#include "json/json.h"
#include "text/tokenizer.h"

namespace CLI {
class App;
}

namespace gemma4::apps {

// --tools, --tool-choice, --one-call, --schema, --grammar, --regex, --think-tokens, --effort
struct AnswerArguments {
  std::string tools;                 // file; empty: none
  std::string tool_choice = "auto";  // "auto", "none", "required", "NAME" or "name:NAME"
  bool one_call = false;             // at most one call in an answer
  std::string schema;                // file
  std::string grammar;               // file
  std::string regex;
  std::optional<int64_t> think_tokens;
  std::string effort;  // empty: as --think and --think-tokens say
};
void add_answer_arguments(CLI::App& command, AnswerArguments& arguments);

// Where an answer begins.
struct AnswerStart {
  bool thinking = false;       // it may have thoughts
  bool in_thought = false;     // the prompt ends within one
  bool after_results = false;  // it follows results of calls
};

// Immutable; copies share their tables.
class AnswerForm {
 public:
  // Reads what the arguments name and compiles it. Errors name the file, and for a schema the
  // keyword and its place that cannot be enforced.
  static Result<AnswerForm> load(const AnswerArguments& arguments,
                                 const text::Tokenizer& tokenizer);

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
  struct Compiled;
  json::Value::Array tools_;
  bool reads_calls_ = false;
  std::vector<text::TokenId> suppressed_;
  std::shared_ptr<const Compiled> compiled_;  // null: no constraint
};

}  // namespace gemma4::apps

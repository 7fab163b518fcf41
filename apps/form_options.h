// Options that say what the answers of a conversation may be.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "answer/answer_form.h"
#include "base/result.h"
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

// Reads the files that the arguments name and compiles what they say. Errors name the file.
Result<answer::AnswerForm> load_form(const AnswerArguments& arguments,
                                     std::shared_ptr<const text::Tokenizer> tokenizer);

}  // namespace gemma4::apps

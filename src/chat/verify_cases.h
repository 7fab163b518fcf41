// Checks the chat format against files of cases made with the reference's template and parsers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::chat {

struct CaseReport {
  struct Failure {
    std::string name;
    std::string difference;  // one line: what was expected and what was found
  };
  int num_cases = 0;
  std::vector<Failure> failures;  // at most one of each case

  int num_passed() const { return num_cases - static_cast<int>(failures.size()); }
};

// {cases: [{name, messages, tools, add_generation_prompt, enable_thinking, preserve_thinking,
// expected, expected_small, expected_error}]}: prompts of the large models, of the small ones where
// they differ, or null with the error where the template refuses. Errors: kInvalidData that names
// the case and member when the file is not as described.
Result<CaseReport> verify_chat_cases(std::string_view cases_json);

// {cases: [{name, model_output, chunks, tools, tool_parsing, initial_state, expected: {content,
// reasoning, tool_calls: [{name, arguments}]}}]}: outputs with their markers as text. Each is read
// whole, in its chunks, byte by byte, and cut in two at every place. Arguments are compared without
// regard to the order of members and the notation of numbers. Errors as above.
Result<CaseReport> verify_tool_cases(std::string_view cases_json);

}  // namespace gemma4::chat

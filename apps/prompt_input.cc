#include "apps/prompt_input.h"

#include <iostream>
#include <iterator>

#include "base/strings.h"
#include "text/utf8.h"

namespace gemma4::apps {

Result<std::string> read_prompt(const std::string& argument) {
  std::string prompt = argument;
  const bool from_stdin = argument == "-";
  if (from_stdin) {
    prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
    if (prompt.ends_with('\n')) prompt.pop_back();  // the line's end, not the text's
  }
  const char* where = from_stdin ? "standard input" : "the prompt";
  if (prompt.empty()) return Error{ErrorCode::kInvalidArgument, str_cat(where, " is empty")};
  if (!text::is_well_formed(prompt)) {
    size_t byte = 0;
    while (text::next_sequence(std::string_view(prompt).substr(byte)).kind ==
           text::Utf8Sequence::Kind::kValid)
      byte += text::next_sequence(std::string_view(prompt).substr(byte)).length;
    return Error{ErrorCode::kInvalidArgument,
                 str_cat(where, " is not UTF-8 text: byte ", byte,
                         " is wrong; convert it, for example with iconv")};
  }
  return prompt;
}

}  // namespace gemma4::apps

#include "apps/prompt_input.h"

#include <iostream>
#include <iterator>

#include "base/strings.h"
#include "text/utf8.h"

namespace gemma4::apps {

Status check_utf8(std::string_view text, const std::string& where) {
  if (text::is_well_formed(text)) return {};
  size_t byte = 0;
  while (text::next_sequence(text.substr(byte)).kind == text::Utf8Sequence::Kind::kValid)
    byte += text::next_sequence(text.substr(byte)).length;
  return Error{ErrorCode::kInvalidArgument,
               str_cat(where, " is not UTF-8 text: byte ", byte,
                       " is wrong; convert it, for example with iconv")};
}

Result<std::string> read_prompt(const std::string& argument) {
  std::string prompt = argument;
  const bool from_stdin = argument == "-";
  if (from_stdin) {
    prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
    if (prompt.ends_with('\n')) prompt.pop_back();  // the line's end, not the text's
  }
  const char* where = from_stdin ? "standard input" : "the prompt";
  if (prompt.empty()) return Error{ErrorCode::kInvalidArgument, str_cat(where, " is empty")};
  G4_RETURN_IF_ERROR(check_utf8(prompt, where));
  return prompt;
}

}  // namespace gemma4::apps

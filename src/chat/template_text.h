// What the template does to the text of messages.
#pragma once

#include <string>
#include <string_view>

namespace gemma4::chat {

// `text` without the Unicode whitespace at both ends; U+200B and U+FEFF are not whitespace.
std::string_view trim(std::string_view text);

// `text` without thoughts ("<|channel>" to "<channel|>" or to the end) and stray "<channel|>",
// trimmed.
std::string strip_thoughts(std::string_view text);

}  // namespace gemma4::chat

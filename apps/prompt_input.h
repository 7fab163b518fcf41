// The text of -p: the argument itself, or standard input for "-".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace gemma4::apps {

// kInvalidArgument for an empty prompt or one that is not UTF-8 (says at which byte).
Result<std::string> read_prompt(const std::string& argument);

// kInvalidArgument for text that is not UTF-8: names `where` it is from, and the byte.
Status check_utf8(std::string_view text, const std::string& where);

}  // namespace gemma4::apps

// The text of -p: the argument itself, or standard input for "-".
#pragma once

#include <string>

#include "base/result.h"

namespace gemma4::apps {

// kInvalidArgument for an empty prompt or one that is not UTF-8 (says at which byte).
Result<std::string> read_prompt(const std::string& argument);

}  // namespace gemma4::apps

// Runs tool calls with a program of the user's: `PROGRAM NAME`, the arguments as JSON on its
// standard input, the result on its standard output.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "chat/messages.h"

namespace gemma4::apps {

// What the program printed, its last line break left out; repaired where it is not UTF-8. A program
// that ends with another code than 0 or by a signal gives "error: …" and what it printed: that is
// for the model to see. Stopped when `stop` says so (kCancelled). Errors: kNotFound and kIo when it
// cannot be started, kResourceExhausted above a mebibyte of output.
Result<std::string> run_tool(const std::string& program, const chat::ToolCall& call,
                             const std::function<bool()>& stop);

}  // namespace gemma4::apps

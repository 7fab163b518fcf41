// Runs tool calls with a program of the user's: `PROGRAM NAME`, the arguments as JSON on its
// standard input, the result on its standard output.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/messages.h"

namespace gemma4::apps {

// Whether run_tool could start `program`, which is looked for as a shell does. Errors: kNotFound,
// and kIo where it may not be run.
Status check_tool_program(const std::string& program);

// What the program printed, its last line break left out; repaired where it is not UTF-8. A program
// that ends with another code than 0 or by a signal gives "error: …" and what it printed, and one
// that prints above a mebibyte is ended and gives "error: …" and the front of it: that is for the
// model to see. It has no terminal to ask on. Stopped when `stop` says so (kCancelled). Errors:
// kNotFound and kIo when it cannot be started.
Result<std::string> run_tool(const std::string& program, const chat::ToolCall& call,
                             const std::function<bool()>& stop);

// Stands for a result that is too long to be given: "error: ", `problem`, and the front of it, at
// most `max_bytes`. `result` is well-formed UTF-8.
std::string too_long_result(const std::string& problem, std::string_view result, size_t max_bytes);

}  // namespace gemma4::apps

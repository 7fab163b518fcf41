// The commands of the program. Each adds its sub-command to the parser; the returned function runs
// it and gives the exit code: 0 it worked, 1 it failed (one line on stderr says why). Bad usage is
// code 2.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
}

namespace gemma4::apps {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kBadUsage = 2;

using Command = std::function<int()>;

Command add_bench(CLI::App& app);
Command add_chat(CLI::App& app);
Command add_convert(CLI::App& app);
Command add_eval(CLI::App& app);
Command add_info(CLI::App& app);
Command add_quantize(CLI::App& app);
Command add_run(CLI::App& app);
Command add_serve(CLI::App& app);
Command add_synth(CLI::App& app);
Command add_tokenize(CLI::App& app);
Command add_verify(CLI::App& app);

// Prints "gemma4: message" on stderr and returns kFailure.
int fail(const Error& error);
// kSuccess, or what fail() makes of the error.
int exit_code(const Status& status);

// Parses the command line and runs the command; the whole program behind main().
int run_program(int argc, const char* const* argv);

}  // namespace gemma4::apps

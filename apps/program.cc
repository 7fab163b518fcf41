#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>

#include "apps/commands.h"

namespace gemma4::apps {
namespace {

constexpr const char* kDescription =
    "gemma4 runs the Gemma 4 models.\n"
    "MODEL is a checkpoint folder; without one, the small demo model that ships with the program "
    "is used.";

int parse_and_run(int argc, const char* const* argv) {
  CLI::App app(kDescription, "gemma4");
  app.set_version_flag("--version", "gemma4 " GEMMA4_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  const std::map<std::string, Command> commands = {
      {"bench", add_bench(app)},   {"chat", add_chat(app)},   {"info", add_info(app)},
      {"run", add_run(app)},       {"synth", add_synth(app)}, {"tokenize", add_tokenize(app)},
      {"verify", add_verify(app)},
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSuccess : kBadUsage;
  }
  return commands.at(app.get_subcommands().front()->get_name())();
}

}  // namespace

int fail(const Error& error) {
  std::fprintf(stderr, "gemma4: %s\n", error.message.c_str());
  return kFailure;
}

int run_program(int argc, const char* const* argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is reported by the write, not by sudden death
  try {
    return parse_and_run(argc, argv);
  } catch (const std::bad_alloc&) {
    return fail({ErrorCode::kResourceExhausted,
                 "out of memory; a smaller --ctx or fewer --sequences needs less"});
  } catch (const std::exception& error) {  // third-party code; ours does not throw
    return fail({ErrorCode::kIo, error.what()});
  }
}

}  // namespace gemma4::apps

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <new>
#include <string>

#include "apps/commands.h"
#include "base/strings.h"

namespace gemma4::apps {
namespace {

constexpr const char* kDescription =
    "gemma4 runs the Gemma 4 models: try 'gemma4 chat'.\n"
    "MODEL is a checkpoint folder or a GGUF file; without one, the small demo model that comes "
    "along\n"
    "is used.\n"
    "'gemma4 COMMAND --help' explains a command.\n";

// One line: what is wrong, and where to read more.
int bad_usage(const CLI::App& app, const CLI::ParseError& error, int argc,
              const char* const* argv) {
  const auto parsed = app.get_subcommands();
  std::string problem = error.what();
  if (argc <= 1) {
    problem = "no command given; 'gemma4 chat' talks to the demo model";
  } else if (parsed.empty() && argv[1][0] != '-') {
    problem = str_cat("there is no command ", quote(argv[1]));
  }
  const std::string command = parsed.empty() ? "gemma4" : "gemma4 " + parsed.front()->get_name();
  std::fprintf(stderr, "gemma4: %s; see '%s --help'\n", problem.c_str(), command.c_str());
  return kBadUsage;
}

int parse_and_run(int argc, const char* const* argv) {
  CLI::App app(kDescription, "gemma4");
  app.set_version_flag("--version", "gemma4 " GEMMA4_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  const std::map<std::string, Command> commands = {
      {"convert", add_convert(app)},   {"quantize", add_quantize(app)},
      {"chat", add_chat(app)},         {"run", add_run(app)},
      {"info", add_info(app)},         {"bench", add_bench(app)},
      {"verify", add_verify(app)},     {"synth", add_synth(app)},
      {"tokenize", add_tokenize(app)}, {"eval", add_eval(app)},
      {"serve", add_serve(app)},
  };
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  for (CLI::App* command : app.get_subcommands({})) command->group("Commands");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {  // --help, --version
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return bad_usage(app, error, argc, argv);
  }
  return commands.at(app.get_subcommands().front()->get_name())();
}

}  // namespace

int fail(const Error& error) {
  std::fprintf(stderr, "gemma4: %s\n", error.message.c_str());
  return kFailure;
}

int exit_code(const Status& status) { return status.ok() ? kSuccess : fail(status.error()); }

int run_program(int argc, const char* const* argv) {
  // A closed pipe or a file over its limit is reported by the write, not by sudden death.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    const int code = parse_and_run(argc, argv);
    std::cout.flush();
    if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) && code == kSuccess)
      return fail({ErrorCode::kIo, "cannot write to standard output"});
    return code;
  } catch (const std::bad_alloc&) {
    return fail({ErrorCode::kResourceExhausted, "out of memory"});
  } catch (const std::exception& error) {  // third-party code; ours does not throw
    return fail({ErrorCode::kIo, error.what()});
  }
}

}  // namespace gemma4::apps

// gemma4 run: one answer on stdout.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "apps/json_output.h"
#include "apps/options.h"
#include "apps/prompt_input.h"
#include "base/strings.h"

namespace gemma4::apps {
namespace {

struct Arguments {
  std::string prompt;
  bool raw = false;
  bool json = false;
  ConversationArguments conversation;
};

void print_json(const Answer& answer, const Conversation& conversation) {
  nlohmann::ordered_json json = {{"content", answer.content}};
  if (!answer.reasoning.empty()) json["reasoning"] = answer.reasoning;
  json["finish_reason"] = engine::name_of(answer.finish);
  json["seed"] = conversation.sampling().seed;
  json["usage"] = {{"prompt_tokens", answer.stats.prompt_tokens},
                   {"completion_tokens", answer.stats.completion_tokens}};
  json["timings"] = {{"ttft_ms", 1000 * answer.stats.prompt_seconds},
                     {"tokens_per_second", answer.stats.tokens_per_second()}};
  write_json(json);
}

void print_stats(const Answer& answer, const Conversation& conversation) {
  const AnswerStats& s = answer.stats;
  std::fprintf(stderr,
               "prompt %lld tokens in %.2f s; %lld tokens at %.1f tokens/s; finish: %s; seed %llu; "
               "%s\n",
               static_cast<long long>(s.prompt_tokens), s.prompt_seconds,
               static_cast<long long>(s.completion_tokens), s.tokens_per_second(),
               std::string(engine::name_of(answer.finish)).c_str(),
               static_cast<unsigned long long>(conversation.sampling().seed),
               conversation.engine().device().name().c_str());
}

// Streams the answer to stdout; a thought goes to stderr, dimmed on a terminal, so that stdout
// holds the answer alone.
class Printer {
 public:
  void operator()(chat::Event::Kind kind, std::string_view text) {
    if (kind == chat::Event::Kind::kReasoning) {
      if (!in_reasoning_ && styled()) std::fputs("\033[2m", stderr);
      in_reasoning_ = true;
      ends_line_ = text.ends_with('\n');
      std::fwrite(text.data(), 1, text.size(), stderr);
      std::fflush(stderr);
      return;
    }
    close_reasoning();
    if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size()) failed_ = true;
    if (std::fflush(stdout) != 0) failed_ = true;
  }
  // After the last piece: the answer may end within the thought.
  void close_reasoning() {
    if (!in_reasoning_) return;
    in_reasoning_ = false;
    if (styled()) std::fputs("\033[0m\n", stderr);
    if (!ends_line_) std::fputs("\n", stderr);
  }
  bool failed() const { return failed_; }

 private:
  static bool styled() { return isatty(STDERR_FILENO) == 1; }
  bool in_reasoning_ = false;
  bool ends_line_ = false;
  bool failed_ = false;
};

Status run(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::string prompt, read_prompt(arguments.prompt));
  if (!arguments.raw && prompt.find_first_not_of(" \t\r\n") == prompt.npos)
    return Error{ErrorCode::kInvalidArgument, "the prompt is empty: it holds only white space"};
  G4_ASSIGN_OR_RETURN(const auto conversation, Conversation::create(arguments.conversation));

  const InterruptGuard interrupt;
  Printer printer;
  const AnswerSink sink = arguments.json ? AnswerSink() : std::ref(printer);
  const StopQuestion stop = [&] { return interrupt.interrupted() || printer.failed(); };
  G4_ASSIGN_OR_RETURN(const Answer answer, arguments.raw
                                               ? conversation->complete(prompt, sink, stop)
                                               : conversation->ask(prompt, sink, stop));
  printer.close_reasoning();
  if (arguments.json)
    print_json(answer, *conversation);
  else
    std::printf("\n");
  if (std::fflush(stdout) != 0 || printer.failed())
    return Error{ErrorCode::kIo, "cannot write to standard output"};
  if (arguments.conversation.engine.verbose) print_stats(answer, *conversation);
  if (answer.finish == engine::FinishReason::kLength && !arguments.json)
    std::fprintf(
        stderr, "gemma4: the answer was cut at %lld tokens; raise --max-tokens or --ctx for more\n",
        static_cast<long long>(answer.stats.completion_tokens));
  if (answer.finish == engine::FinishReason::kCancelled)
    return Error{ErrorCode::kCancelled, "interrupted"};
  return {};
}

}  // namespace

Command add_run(CLI::App& app) {
  auto* command = app.add_subcommand("run", "Answer one prompt");
  auto arguments = std::make_shared<Arguments>();
  add_model_argument(*command, arguments->conversation.model);
  command->add_option("-p,--prompt", arguments->prompt, "The prompt; - reads standard input")
      ->required();
  add_system_argument(*command, arguments->conversation.system);
  command->add_flag("--think", arguments->conversation.think,
                    "Think before the answer; the thought goes to stderr");
  command->add_flag("--raw", arguments->raw, "Continue the text as it is, without the chat format");
  command->add_flag("--json", arguments->json, "Print JSON: answer, reasoning, usage, timings");
  add_sampling_arguments(*command, arguments->conversation.sampling);
  add_engine_arguments(*command, arguments->conversation.engine);
  return [arguments] { return exit_code(run(*arguments)); };
}

}  // namespace gemma4::apps

// gemma4 chat: a conversation in the terminal.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "apps/json_output.h"
#include "apps/line_reader.h"
#include "apps/options.h"
#include "base/strings.h"
#include "io/atomic_file.h"
#include "text/utf8.h"

namespace gemma4::apps {
namespace {

constexpr const char* kHelp =
    "/think [on|off]   think before answering, or not (alone: the other of the two)\n"
    "/system TEXT      set the system text (without TEXT: remove it)\n"
    "/new              start a new conversation\n"
    "/save FILE        save the conversation as JSON\n"
    "/stats            speed and length of the last answer\n"
    "/help             this list\n"
    "/exit             leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer, or drops the line you are typing.\n";

// Prints an answer as it comes; thoughts are dimmed on a terminal and in brackets elsewhere.
class AnswerPrinter {
 public:
  void operator()(chat::Event::Kind kind, std::string_view text) {
    if (kind == chat::Event::Kind::kReasoning) {
      if (!in_reasoning_) std::fputs(styled_ ? "\033[2m" : "[thinking: ", stdout);
      in_reasoning_ = true;
      ends_line_ = text.ends_with('\n');
    } else {
      close_reasoning();
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  void finish() {
    close_reasoning();
    std::fputs("\n\n", stdout);
    std::fflush(stdout);
  }

 private:
  void close_reasoning() {
    if (!in_reasoning_) return;
    in_reasoning_ = false;
    std::fputs(styled_ ? "\033[0m" : "]", stdout);
    std::fputs(ends_line_ && styled_ ? "\n" : "\n\n", stdout);
  }

  const bool styled_ = isatty(STDOUT_FILENO) == 1;
  bool in_reasoning_ = false;
  bool ends_line_ = false;
};

Status save(const Conversation& conversation, const std::string& path) {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (const chat::Message& message : conversation.messages()) {
    nlohmann::ordered_json entry = {{"role", message.role},
                                    {"content", std::get<std::string>(message.content)}};
    if (!message.reasoning.empty()) entry["reasoning"] = message.reasoning;
    messages.push_back(entry);
  }
  G4_ASSIGN_OR_RETURN(io::AtomicFile file, io::AtomicFile::create(path));
  G4_RETURN_IF_ERROR(file.write(json_text({{"messages", messages}})));
  return file.commit();
}

class Chat {
 public:
  explicit Chat(Conversation& conversation) : conversation_(conversation) {}

  // Until the user leaves, a signal ends the program, or nobody reads the answers any more.
  void run() {
    LineReader reader;
    // At a terminal, Ctrl-C never ends the program, not even between a question and its answer.
    std::optional<InterruptGuard> always;
    if (reader.on_terminal()) always.emplace();
    while (std::ferror(stdout) == 0) {
      std::optional<std::string> bytes = reader.read();
      if (!bytes) break;
      std::string line;
      text::append_repaired(*bytes, line);
      if (line != *bytes)
        std::printf("(the line has bytes that are not UTF-8; they are dropped)\n");
      if (line.find_first_not_of(" \t") == line.npos) continue;
      const bool stay = line.starts_with('/') ? command(line) : answer(line);
      if (!stay) return;
    }
    std::printf("\n");
  }

 private:
  // False: leave.
  bool answer(const std::string& question) {
    const InterruptGuard interrupt;
    AnswerPrinter printer;
    const auto answer =
        conversation_.ask(question, std::ref(printer), [&] { return interrupt.interrupted(); });
    printer.finish();
    if (!answer.ok()) {
      fail(answer.error());
      std::fprintf(stderr, "/new starts a new conversation\n\n");
      return true;
    }
    last_ = answer.value().stats;
    if (answer.value().finish == engine::FinishReason::kLength)
      std::printf("(cut: the context or --max-tokens is reached; /new starts afresh)\n\n");
    if (answer.value().finish == engine::FinishReason::kCancelled) std::printf("(stopped)\n\n");
    return !interrupt.terminated();
  }

  // False: leave.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest =
        space == std::string::npos
            ? ""
            : line.substr(line.find_last_of(' ', line.find_first_not_of(' ', space)) + 1);
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/help") {
      std::printf("%s\n", kHelp);
    } else if (name == "/think") {
      think(rest);
    } else if (name == "/system") {
      conversation_.set_system(rest);
      std::printf("%s\n\n", rest.empty() ? "no system text" : "system text set");
    } else if (name == "/new") {
      conversation_.clear();
      std::printf("new conversation\n\n");
    } else if (name == "/save") {
      const Status status =
          rest.empty() ? Status(Error{ErrorCode::kInvalidArgument, "/save needs a file name"})
                       : save(conversation_, rest);
      status.ok() ? (void)std::printf("saved to %s\n\n", rest.c_str()) : (void)fail(status.error());
    } else if (name == "/stats" && !last_) {
      std::printf("no answer yet\n\n");
    } else if (name == "/stats") {
      std::printf(
          "%lld prompt tokens (%lld from the cache), first token after %.2f s, %lld tokens at %.1f "
          "tokens/s\n\n",
          static_cast<long long>(last_->prompt_tokens),
          static_cast<long long>(last_->reused_tokens), last_->prompt_seconds,
          static_cast<long long>(last_->completion_tokens), last_->tokens_per_second());
    } else if (name == "/image" || name == "/audio" || name == "/video") {
      std::printf("%s: this version reads text only\n\n", name.c_str());
    } else {
      std::printf("unknown command %s; /help lists them\n\n", name.c_str());
    }
    return true;
  }

  void think(const std::string& choice) {
    if (!choice.empty() && choice != "on" && choice != "off") {
      std::printf("/think takes on or off\n\n");
      return;
    }
    conversation_.set_thinking(choice.empty() ? !conversation_.thinking() : choice == "on");
    std::printf("thinking is %s\n\n", conversation_.thinking() ? "on" : "off");
  }

  Conversation& conversation_;
  std::optional<AnswerStats> last_;
};

Status run(const ConversationArguments& arguments) {
  G4_ASSIGN_OR_RETURN(const auto conversation, Conversation::create(arguments));
  const engine::Engine& engine = conversation->engine();
  std::printf(arguments.model.empty() ? "The demo model (%s)\n" : "%s\n",
              conversation->model().folder.c_str());
  std::printf("%s parameters, context of %s tokens, %s\n",
              with_thousands(engine.model().text_size().parameters).c_str(),
              with_thousands(static_cast<uint64_t>(engine.options().context_tokens)).c_str(),
              engine.device().name().c_str());
  std::printf("/help lists the commands, Ctrl-D leaves\n\n");
  if (arguments.engine.verbose)
    std::fprintf(stderr, "memory: weights %s (mapped), cache %s, workspace %s\n",
                 human_bytes(engine.memory_plan().weights_bytes).c_str(),
                 human_bytes(engine.memory_plan().kv_bytes).c_str(),
                 human_bytes(engine.memory_plan().workspace_bytes).c_str());
  Chat(*conversation).run();
  return {};
}

}  // namespace

Command add_chat(CLI::App& app) {
  auto* command = app.add_subcommand("chat", "Chat in the terminal");
  auto arguments = std::make_shared<ConversationArguments>();
  add_model_argument(*command, arguments->model);
  add_system_argument(*command, arguments->system);
  command->add_flag("--think", arguments->think, "Think before answering");
  add_sampling_arguments(*command, arguments->sampling);
  add_engine_arguments(*command, arguments->engine);
  return [arguments] { return exit_code(run(*arguments)); };
}

}  // namespace gemma4::apps

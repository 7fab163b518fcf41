// gemma4 chat: a conversation in the terminal.

#include <histedit.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "base/strings.h"
#include "io/atomic_file.h"
#include "text/utf8.h"

namespace gemma4::apps {
namespace {

struct Arguments {
  std::string model;
  std::string system;
  bool think = false;
  EngineArguments engine;
  SamplingArguments sampling;
};

constexpr const char* kHelp =
    "/think [on|off]   think before answering, or not\n"
    "/system TEXT      set the system text (without TEXT: remove it)\n"
    "/new              start a new conversation\n"
    "/save FILE        save the conversation as JSON\n"
    "/stats            speed and length of the last answer\n"
    "/help             this list\n"
    "/exit             leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer.\n";

// Lines from the user: with editing and history on a terminal, plain otherwise.
class LineReader {
 public:
  LineReader() {
    if (isatty(STDIN_FILENO) == 0) return;
    editor_ = el_init("gemma4", stdin, stdout, stderr);
    history_ = history_init();
    if (editor_ == nullptr || history_ == nullptr) return;
    HistEvent event;
    history(history_, &event, H_SETSIZE, 1000);
    el_set(
        editor_, EL_PROMPT, +[](EditLine*) { return "> "; });
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_SIGNAL, 1);
  }
  ~LineReader() {
    if (history_ != nullptr) history_end(history_);
    if (editor_ != nullptr) el_end(editor_);
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its end; nothing at the end of input.
  std::optional<std::string> read() {
    if (editor_ == nullptr) {
      std::string line;
      if (!std::getline(std::cin, line)) return std::nullopt;
      return line;
    }
    int count = 0;
    const char* text = el_gets(editor_, &count);
    if (text == nullptr || count <= 0) return std::nullopt;
    HistEvent event;
    history(history_, &event, H_ENTER, text);
    std::string line(text, static_cast<size_t>(count));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    return line;
  }

 private:
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
};

// Prints an answer as it comes; thoughts are dimmed on a terminal and in brackets elsewhere.
class AnswerPrinter {
 public:
  void operator()(chat::Event::Kind kind, std::string_view text) {
    const bool reasoning = kind == chat::Event::Kind::kReasoning;
    if (reasoning && !in_reasoning_) std::fputs(styled() ? "\033[2m" : "[thinking: ", stdout);
    if (!reasoning && in_reasoning_) close_reasoning();
    in_reasoning_ = reasoning;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  void finish() {
    if (in_reasoning_) close_reasoning();
    in_reasoning_ = false;
    std::fputs("\n\n", stdout);
    std::fflush(stdout);
  }

 private:
  static bool styled() { return isatty(STDOUT_FILENO) == 1; }
  static void close_reasoning() { std::fputs(styled() ? "\033[0m\n" : "]\n", stdout); }
  bool in_reasoning_ = false;
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
  G4_RETURN_IF_ERROR(file.write(nlohmann::ordered_json{{"messages", messages}}.dump(2) + "\n"));
  return file.commit();
}

class Chat {
 public:
  explicit Chat(Conversation& conversation) : conversation_(conversation) {}

  void run() {
    LineReader reader;
    while (const std::optional<std::string> line = reader.read()) {
      if (line->empty()) continue;
      if (!line->starts_with('/')) {
        answer(*line);
      } else if (!command(*line)) {
        return;
      }
    }
    std::printf("\n");
  }

 private:
  void answer(const std::string& line) {
    std::string question;
    text::append_repaired(line, question);
    InterruptGuard interrupt;
    AnswerPrinter printer;
    const auto answer =
        conversation_.ask(question, std::ref(printer), [&] { return interrupt.interrupted(); });
    printer.finish();
    if (!answer.ok()) {
      fail(answer.error());
      return;
    }
    last_ = answer.value().stats;
    if (answer.value().finish == engine::FinishReason::kLength)
      std::printf("(cut: the context or --max-tokens is reached; /new starts afresh)\n\n");
    if (answer.value().finish == engine::FinishReason::kCancelled) std::printf("(stopped)\n\n");
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
      conversation_.set_thinking(rest.empty() ? !conversation_.thinking() : rest == "on");
      std::printf("thinking is %s\n\n", conversation_.thinking() ? "on" : "off");
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
    } else if (name == "/stats") {
      std::printf(
          "%lld prompt tokens (%lld from the cache), first token after %.2f s, %lld tokens at %.1f "
          "tokens/s\n\n",
          static_cast<long long>(last_.prompt_tokens), static_cast<long long>(last_.reused_tokens),
          last_.prompt_seconds, static_cast<long long>(last_.completion_tokens),
          last_.tokens_per_second());
    } else if (name == "/image" || name == "/audio" || name == "/video") {
      std::printf("%s: this version reads text only\n\n", name.c_str());
    } else {
      std::printf("unknown command %s; /help lists them\n\n", name.c_str());
    }
    return true;
  }

  Conversation& conversation_;
  AnswerStats last_;
};

Status run(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(LoadedModel loaded, load_model(arguments.model));
  G4_ASSIGN_OR_RETURN(
      const auto conversation,
      Conversation::create(std::move(loaded), arguments.engine, arguments.sampling));
  conversation->set_system(arguments.system);
  conversation->set_thinking(arguments.think);
  const engine::Engine& engine = conversation->engine();
  std::printf(
      "%s, %s parameters, context %lld tokens, %d threads (%s)\n/help lists the commands\n\n",
      conversation->model().folder.c_str(),
      with_thousands(engine.model().text_size().parameters).c_str(),
      static_cast<long long>(engine.options().context_tokens), engine.num_threads(),
      std::string(engine.kernel_name()).c_str());
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
  auto arguments = std::make_shared<Arguments>();
  command->add_option("MODEL", arguments->model, "Checkpoint folder (default: the demo model)");
  command->add_option("--system", arguments->system, "System text");
  command->add_flag("--think", arguments->think, "Think before answering");
  add_sampling_arguments(*command, arguments->sampling);
  add_engine_arguments(*command, arguments->engine);
  return [arguments] {
    const Status status = run(*arguments);
    return status.ok() ? kSuccess : fail(status.error());
  };
}

}  // namespace gemma4::apps

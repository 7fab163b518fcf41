// gemma4 chat: a conversation in the terminal.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "apps/json_output.h"
#include "apps/line_reader.h"
#include "apps/options.h"
#include "apps/printable.h"
#include "apps/tool_loop.h"
#include "base/strings.h"
#include "chat/openai_messages.h"
#include "io/atomic_file.h"
#include "json/json.h"
#include "text/utf8.h"

namespace gemma4::apps {
namespace {

constexpr const char* kHelp =
    "/think [on|off]   think before answering, or not (alone: the other of the two)\n"
    "/system TEXT      set the system text (without TEXT: remove it)\n"
    "/image FILE       show a picture with the next message\n"
    "/audio FILE       play a sound with the next message\n"
    "/video FILE       show a film with the next message\n"
    "/new              start a new conversation\n"
    "/save FILE        save the conversation as JSON\n"
    "/stats            speed and length of the last answer\n"
    "/help             this list\n"
    "/exit             leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer, or drops the line you are typing.\n";

// Prints an answer as it comes; thoughts are dimmed on a terminal and in brackets elsewhere.
class AnswerPrinter final : public CallSink {
 public:
  void operator()(const chat::Event& event) {
    if (event.kind == chat::Event::Kind::kReasoning) {
      if (!in_reasoning_) print(styled_ ? "\033[2m" : "[thinking: ");
      in_reasoning_ = true;
    } else {
      close_reasoning();
    }
    switch (event.kind) {
      case chat::Event::Kind::kCallStarted:
        end_line();
        print(event.text + "(");
        break;
      case chat::Event::Kind::kCallFinished:
        print(")\n");
        break;
      case chat::Event::Kind::kContent:
        print(leading_.strip(event.text));
        break;
      default:
        print(event.text);
    }
    std::fflush(stdout);
  }
  // The call was shown when the model wrote it.
  void call_begins(const chat::ToolCall& call) override { running_ = call.name; }
  void call_ended(const std::string& result) override {
    const std::string line = running_ + " = " + one_line(result);
    print(styled_ ? "\033[2m" + line + "\033[0m\n" : line + "\n");
    std::fflush(stdout);
    leading_.begin();
  }
  // With an empty line below.
  void finish() {
    close_reasoning();
    end_line();
    print("\n");
    std::fflush(stdout);
  }

 private:
  void close_reasoning() {
    if (!in_reasoning_) return;
    in_reasoning_ = false;
    print(styled_ ? (ends_line_ ? "\033[0m\n" : "\033[0m\n\n") : "]\n\n");
  }
  void end_line() {
    if (!ends_line_) print("\n");
  }
  void print(std::string_view text) {
    if (text.empty()) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    ends_line_ = text.ends_with('\n');
  }

  const bool styled_ = isatty(STDOUT_FILENO) == 1;
  bool in_reasoning_ = false;
  bool ends_line_ = true;
  LeadingSpace leading_;
  std::string running_;  // the tool
};

Status save(const Conversation& conversation, const std::string& path) {
  json::Value::Array messages;
  for (const chat::Message& message : conversation.messages())
    messages.push_back(chat::to_json(message));
  G4_ASSIGN_OR_RETURN(io::AtomicFile file, io::AtomicFile::create(path));
  G4_RETURN_IF_ERROR(file.write(json_text(nlohmann::ordered_json::parse(
      json::dump(json::Value::Object{{"messages", std::move(messages)}})))));
  return file.commit();
}

class Chat {
 public:
  Chat(Conversation& conversation, const ToolLoopArguments& tool_loop,
       const ConversationArguments& arguments)
      : conversation_(conversation),
        tool_loop_(tool_loop),
        image_budget_(arguments.media.image_budget),
        film_(arguments.media.film) {}

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
      const bool stay = line.starts_with('/') ? command(line) : take(line);
      if (!stay) return;
    }
    std::printf("\n");
  }

 private:
  // A question, or the result of a call. False: leave.
  bool take(const std::string& line) {
    const size_t num_calls = conversation_.open_calls().size();
    if (num_calls > 0) results_.push_back(line);
    if (results_.size() == num_calls) return answer(line);
    ask_for_result();
    return true;
  }

  // False: leave.
  bool answer(const std::string& question) {
    const InterruptGuard interrupt;
    AnswerPrinter printer;
    const auto answer = respond(question, printer, [&] { return interrupt.interrupted(); });
    printer.finish();
    answer.ok() ? report(answer.value()) : report(answer.error());
    ask_for_result();
    return !interrupt.terminated();
  }

  void report(const Answer& answer) {
    last_ = answer.stats;
    if (answer.error) fail(answer.error->with_context("the answer breaks off"));
    if (answer.finish == engine::FinishReason::kLength)
      std::printf("(cut: the context or --max-tokens is reached; /new starts afresh)\n\n");
    if (answer.finish == engine::FinishReason::kCancelled) std::printf("(stopped)\n\n");
  }

  static void report(const Error& error) {
    if (error.code == ErrorCode::kCancelled) {  // while a tool ran
      std::printf("(stopped)\n\n");
      return;
    }
    fail(error);
    const bool too_long = error.code == ErrorCode::kInvalidArgument;  // the conversation
    std::fputs(too_long ? "/new starts a new conversation\n\n" : "\n", stderr);
  }

  // The answer to a question, or to the results that `line` completes.
  Result<Answer> respond(const std::string& line, AnswerPrinter& printer,
                         const StopQuestion& stop) {
    const AnswerSink sink = std::ref(printer);
    Result<Answer> answer =
        results_.empty() ? conversation_.ask(line, sink, stop)
                         : conversation_.answer_calls(std::exchange(results_, {}), sink, stop);
    if (!answer.ok()) return answer;
    return run_calls(conversation_, std::move(answer).value(), tool_loop_, printer, sink, stop);
  }

  // Without a program that runs them, the results of calls are typed, one line each.
  void ask_for_result() const {
    const auto& calls = conversation_.open_calls();
    if (results_.size() < calls.size())
      std::printf("(type the result of %s)\n\n", calls[results_.size()].name.c_str());
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
      results_.clear();
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
    } else if (name == "/image") {
      attach(name, rest, [this](const std::string& file) { return look(file); });
    } else if (name == "/audio") {
      attach(name, rest, [this](const std::string& file) { return listen(file); });
    } else if (name == "/video") {
      attach(name, rest,
             [this](const std::string& file) { return conversation_.attach_video(file, film_); });
    } else {
      std::printf("unknown command %s; /help lists them\n\n", name.c_str());
    }
    return true;
  }

  // What `read` makes of the file joins the next question.
  template <typename Read>
  void attach(const std::string& command, const std::string& file, const Read& read) {
    if (file.empty()) return (void)std::printf("%s needs a file\n\n", command.c_str());
    const Result<std::vector<PreparedMedia>> media = read(file);
    if (media.ok()) return list(media.value());
    fail(media.error());
    std::fputs("\n", stderr);
  }
  Result<std::vector<PreparedMedia>> look(const std::string& file) {
    G4_ASSIGN_OR_RETURN(PreparedMedia picture, conversation_.attach_image(file, image_budget_));
    return std::vector<PreparedMedia>{std::move(picture)};
  }
  Result<std::vector<PreparedMedia>> listen(const std::string& file) {
    G4_ASSIGN_OR_RETURN(PreparedMedia sound, conversation_.attach_audio(file));
    return std::vector<PreparedMedia>{std::move(sound)};
  }

  static void list(const std::vector<PreparedMedia>& media) {
    for (const PreparedMedia& medium : media) {
      std::printf("%s; it goes with your next message\n", medium.summary.c_str());
      if (!medium.note.empty()) std::printf("(%s)\n", medium.note.c_str());
    }
    std::printf("\n");
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
  const ToolLoopArguments& tool_loop_;
  const int64_t image_budget_;
  const FilmOptions film_;
  std::vector<std::string> results_;  // typed so far, of the open calls
  std::optional<AnswerStats> last_;
};

struct Arguments {
  ToolLoopArguments tool_loop;
  ConversationArguments conversation;
};

Status run(const Arguments& all) {
  const ConversationArguments& arguments = all.conversation;
  G4_RETURN_IF_ERROR(check_tool_loop(all.tool_loop));
  G4_ASSIGN_OR_RETURN(const auto conversation, Conversation::create(arguments));
  const engine::Engine& engine = conversation->engine();
  std::printf(arguments.model.empty() ? "The demo model (%s)\n" : "%s\n",
              conversation->model().path.c_str());
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
  Chat(*conversation, all.tool_loop, arguments).run();
  return {};
}

}  // namespace

Command add_chat(CLI::App& app) {
  auto* command = app.add_subcommand("chat", "Chat in the terminal");
  auto arguments = std::make_shared<Arguments>();
  ConversationArguments& conversation = arguments->conversation;
  add_model_argument(*command, conversation.model);
  add_projector_argument(*command, conversation.projector);
  add_system_argument(*command, conversation.system);
  add_media_arguments(*command, conversation.media);
  command->add_flag("--think", conversation.think, "Think before answering");
  add_answer_arguments(*command, conversation.answer);
  add_tool_loop_arguments(*command, arguments->tool_loop);
  add_sampling_arguments(*command, conversation.sampling);
  add_engine_arguments(*command, conversation.engine);
  return [arguments] { return exit_code(run(*arguments)); };
}

}  // namespace gemma4::apps

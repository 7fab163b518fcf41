// gemma4 run: one answer on stdout.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxes.h"
#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "apps/json_output.h"
#include "apps/option_checks.h"
#include "apps/options.h"
#include "apps/printable.h"
#include "apps/prompt_input.h"
#include "apps/tool_loop.h"
#include "base/strings.h"
#include "chat/openai_messages.h"
#include "json/json.h"
#include "media/image.h"

namespace gemma4::apps {
namespace {

struct Arguments {
  std::string prompt;
  bool raw = false;
  bool json = false;
  std::vector<GivenMedium> given;  // in the order of the command line
  bool boxes = false;
  std::string boxes_image;
  ToolLoopArguments tool_loop;
  ConversationArguments conversation;
};

// The model's messages and the results of its calls.
json::Value::Array said_since_question(const Conversation& conversation) {
  json::Value::Array said;
  for (const chat::Message& message : conversation.messages()) {
    said.push_back(chat::to_json(message));
    if (message.role == "user") said.clear();
  }
  return said;
}

void print_json(const Answer& answer, const Conversation& conversation) {
  // As the API has the message; "content" is null when the answer is calls alone.
  nlohmann::ordered_json json =
      nlohmann::ordered_json::parse(json::dump(chat::to_json(answer.message)));
  json.erase("role");
  json["finish_reason"] = finish_reason(answer);
  json["seed"] = conversation.sampling().seed;
  json["usage"] = {{"prompt_tokens", answer.stats.prompt_tokens},
                   {"completion_tokens", answer.stats.completion_tokens}};
  json["timings"] = {{"ttft_ms", 1000 * answer.stats.prompt_seconds},
                     {"tokens_per_second", answer.stats.tokens_per_second()}};
  if (const json::Value::Array said = said_since_question(conversation); said.size() > 1)
    json["messages"] = nlohmann::ordered_json::parse(json::dump(said));
  write_json(json);
}

void print_stats(const Answer& answer, const Conversation& conversation) {
  const AnswerStats& s = answer.stats;
  std::fprintf(stderr,
               "prompt %lld tokens in %.2f s; %lld tokens at %.1f tokens/s; finish: %s; seed %llu; "
               "%s\n",
               static_cast<long long>(s.prompt_tokens), s.prompt_seconds,
               static_cast<long long>(s.completion_tokens), s.tokens_per_second(),
               std::string(finish_reason(answer)).c_str(),
               static_cast<unsigned long long>(conversation.sampling().seed),
               conversation.engine().device().name().c_str());
}

// Streams the answer to stdout; a thought goes to stderr, dimmed on a terminal, so that stdout
// holds the answer alone. Calls are printed when they are complete.
class Printer final : public CallSink {
 public:
  void operator()(const chat::Event& event) {
    if (event.kind == chat::Event::Kind::kReasoning) {
      print_reasoning(event.text);
    } else if (event.kind == chat::Event::Kind::kContent) {
      close_reasoning();
      print(leading_.strip(event.text));
    }
  }
  // One call on a line of its own, as JSON.
  void print_call(const chat::ToolCall& call) {
    end_line();
    const json::Value::Object line = {{"name", call.name}, {"arguments", call.arguments}};
    print(json::dump(line) + "\n");
  }
  // What is run goes beside the answer: the call on a line, and when it is done, its result.
  void call_begins(const chat::ToolCall& call) override {
    close_reasoning();
    end_line();
    std::fprintf(stderr, "%s(%s)\n", call.name.c_str(),
                 one_line(json::dump(call.arguments)).c_str());
  }
  void call_ended(const std::string& result) override {
    std::fprintf(stderr, "= %s\n", one_line(result).c_str());
    leading_.begin();
  }
  // After the last piece: the answer may end within the thought.
  void close_reasoning() {
    if (!in_reasoning_) return;
    in_reasoning_ = false;
    if (styled()) std::fputs("\033[0m\n", stderr);
    if (!thought_ends_line_) std::fputs("\n", stderr);
  }
  // So that what follows begins a line.
  void end_line() {
    if (!ends_line_) print("\n");
  }
  bool failed() const { return failed_; }

 private:
  static bool styled() { return isatty(STDERR_FILENO) == 1; }
  void print_reasoning(std::string_view text) {
    if (!in_reasoning_ && styled()) std::fputs("\033[2m", stderr);
    in_reasoning_ = true;
    thought_ends_line_ = text.ends_with('\n');
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  }
  void print(std::string_view text) {
    if (text.empty()) return;
    ends_line_ = text.ends_with('\n');
    if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size()) failed_ = true;
    if (std::fflush(stdout) != 0) failed_ = true;
  }

  bool in_reasoning_ = false;
  bool thought_ends_line_ = false;
  bool ends_line_ = true;
  bool failed_ = false;
  LeadingSpace leading_;
};

// Attaches one medium to the question and says what the user should know about it.
Status attach(const Arguments& arguments, const GivenMedium& given, Conversation& conversation) {
  const MediaArguments& media = arguments.conversation.media;
  std::vector<PreparedMedia> attached;
  switch (given.kind) {
    case GivenMedium::Kind::kImage: {
      G4_ASSIGN_OR_RETURN(PreparedMedia picture,
                          conversation.attach_image(given.source, media.image_budget));
      attached.push_back(std::move(picture));
      break;
    }
    case GivenMedium::Kind::kAudio: {
      G4_ASSIGN_OR_RETURN(PreparedMedia sound, conversation.attach_audio(given.source));
      attached.push_back(std::move(sound));
      break;
    }
    case GivenMedium::Kind::kVideo: {
      G4_ASSIGN_OR_RETURN(attached, conversation.attach_video(given.source, media.film));
      break;
    }
  }
  for (const PreparedMedia& medium : attached) {
    if (arguments.conversation.engine.verbose) std::fprintf(stderr, "%s\n", medium.summary.c_str());
    if (!medium.note.empty()) std::fprintf(stderr, "gemma4: note: %s\n", medium.note.c_str());
  }
  return {};
}

Result<Answer> converse(const Arguments& arguments, const std::string& prompt,
                        Conversation& conversation, Printer& printer, const StopQuestion& stop) {
  const AnswerSink sink = arguments.json ? AnswerSink() : std::ref(printer);
  for (const GivenMedium& given : arguments.given)
    G4_RETURN_IF_ERROR(attach(arguments, given, conversation));
  if (arguments.raw) return conversation.complete(prompt, sink, stop);
  G4_ASSIGN_OR_RETURN(Answer answer, conversation.ask(prompt, sink, stop));
  return run_calls(conversation, std::move(answer), arguments.tool_loop, printer, sink, stop);
}

std::string content_of(const chat::Message& message) {
  const auto* const text = std::get_if<std::string>(&message.content);
  return text != nullptr ? *text : "";
}

bool is_picture(const GivenMedium& given) { return given.kind == GivenMedium::Kind::kImage; }

// What the answer says about places in the picture, in its pixels; and that picture with frames.
Status report_boxes(const Arguments& arguments, const Answer& answer) {
  const auto picture = std::ranges::find_if(arguments.given, is_picture);
  G4_ASSIGN_OR_RETURN(
      media::Image image,
      answer::read_picture(picture->source, arguments.conversation.media.limits.image));
  G4_ASSIGN_OR_RETURN(const std::vector<Box> boxes,
                      parse_boxes(content_of(answer.message), {image.width, image.height}));
  if (arguments.boxes) std::printf("%s\n", json::dump(to_json(boxes)).c_str());
  if (arguments.boxes_image.empty()) return {};
  draw_boxes(boxes, image);
  return media::write_png(arguments.boxes_image, image);
}

bool wants_boxes(const Arguments& arguments) {
  return arguments.boxes || !arguments.boxes_image.empty();
}

Status check_media(const Arguments& arguments) {
  if (arguments.raw && !arguments.given.empty())
    return Error{ErrorCode::kInvalidArgument, str_cat(option_of(arguments.given.front().kind),
                                                      " needs the chat format; leave --raw out")};
  if (wants_boxes(arguments) && std::ranges::count_if(arguments.given, is_picture) != 1)
    return Error{ErrorCode::kInvalidArgument, "--boxes needs one picture, given with --image"};
  return {};
}

Status run(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::string prompt, read_prompt(arguments.prompt));
  if (!arguments.raw && prompt.find_first_not_of(" \t\r\n") == prompt.npos)
    return Error{ErrorCode::kInvalidArgument, "the prompt is empty: it holds only white space"};
  G4_RETURN_IF_ERROR(check_tool_loop(arguments.tool_loop));
  G4_RETURN_IF_ERROR(check_media(arguments));
  G4_ASSIGN_OR_RETURN(const auto conversation, Conversation::create(arguments.conversation));

  const InterruptGuard interrupt;
  Printer printer;
  const StopQuestion stop = [&] { return interrupt.interrupted() || printer.failed(); };
  const Result<Answer> outcome = converse(arguments, prompt, *conversation, printer, stop);
  // Interrupted in a tool, when the terminal has shown ^C and stayed on its line.
  if (!outcome.ok() && interrupt.interrupted() && isatty(STDERR_FILENO) == 1)
    std::fputs("\n", stderr);
  G4_ASSIGN_OR_RETURN(const Answer answer, outcome);
  printer.close_reasoning();
  if (arguments.json) {
    print_json(answer, *conversation);
  } else if (answer.message.tool_calls.empty()) {
    std::printf("\n");
  } else {
    for (const chat::ToolCall& call : answer.message.tool_calls) printer.print_call(call);
  }
  if (wants_boxes(arguments)) G4_RETURN_IF_ERROR(report_boxes(arguments, answer));
  if (std::fflush(stdout) != 0 || printer.failed())
    return Error{ErrorCode::kIo, "cannot write to standard output"};
  if (arguments.conversation.engine.verbose) print_stats(answer, *conversation);
  if (answer.finish == engine::FinishReason::kLength && !arguments.json)
    std::fprintf(
        stderr,
        "gemma4: the answer was cut after %lld tokens; raise --max-tokens or --ctx for more\n",
        static_cast<long long>(answer.stats.completion_tokens));
  if (answer.finish == engine::FinishReason::kCancelled)
    return Error{ErrorCode::kCancelled, "interrupted"};
  if (answer.error) return answer.error->with_context("the answer breaks off");
  return {};
}

}  // namespace

Command add_run(CLI::App& app) {
  auto* command = app.add_subcommand("run", "Answer one prompt");
  auto arguments = std::make_shared<Arguments>();
  add_model_argument(*command, arguments->conversation.model);
  add_projector_argument(*command, arguments->conversation.projector);
  add_given_media(*command);
  add_media_arguments(*command, arguments->conversation.media);
  command->add_flag("--boxes", arguments->boxes,
                    "Print the boxes that the answer names, in pixels of the picture, as JSON");
  command->add_option("--boxes-image", arguments->boxes_image,
                      "Write the picture with these boxes as a PNG file");
  command->add_option("-p,--prompt", arguments->prompt, "The prompt; - reads standard input")
      ->required();
  add_system_argument(*command, arguments->conversation.system);
  command->add_flag("--think", arguments->conversation.think,
                    "Think before the answer; the thought goes to stderr");
  auto* raw = command->add_flag("--raw", arguments->raw,
                                "Continue the text as it is, without the chat format");
  command->add_flag("--json", arguments->json,
                    "Print JSON: the answer as the OpenAI API has it, usage, timings");
  add_answer_arguments(*command, arguments->conversation.answer);
  add_tool_loop_arguments(*command, arguments->tool_loop);
  add_sampling_arguments(*command, arguments->conversation.sampling);
  add_engine_arguments(*command, arguments->conversation.engine);
  for (const char* of_chat : {"--system", "--think", "--think-tokens", "--effort", "--tools"})
    raw->excludes(of_chat);
  command->get_option("--think-tokens")->needs("--think");
  return [arguments, command] {
    arguments->given = given_media(*command);
    return exit_code(run(*arguments));
  };
}

}  // namespace gemma4::apps

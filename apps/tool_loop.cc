#include "apps/tool_loop.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>
#include <vector>

#include "apps/option_checks.h"
#include "apps/tool_program.h"
#include "base/strings.h"

namespace gemma4::apps {
namespace {

std::string names_of(const std::vector<chat::ToolCall>& calls) {
  std::string names;
  for (const chat::ToolCall& call : calls) names += (names.empty() ? "" : ", ") + call.name;
  return names;
}

// One use of run_calls.
class ToolLoop {
 public:
  ToolLoop(Conversation& conversation, const ToolLoopArguments& arguments, CallSink& calls,
           const AnswerSink& sink, const StopQuestion& stop)
      : conversation_(conversation),
        arguments_(arguments),
        calls_(calls),
        sink_(sink),
        stop_(stop) {}

  Result<Answer> run(Answer answer) {
    Result<Answer> last = answer_calls(std::move(answer));
    const std::string reason = last.ok() ? "the message was cut" : last.error().message;
    conversation_.close_calls(results_, "error: " + reason);
    return last;
  }

 private:
  Result<Answer> answer_calls(Answer answer) {
    AnswerStats total = answer.stats;
    for (int64_t round = 0;
         answer.finish == engine::FinishReason::kStop && !answer.message.tool_calls.empty();
         ++round) {
      if (round == arguments_.max_rounds)
        return Error{ErrorCode::kUnsupported, str_cat("the model still calls tools after ", round,
                                                      " rounds; raise --tool-rounds for more")};
      G4_RETURN_IF_ERROR(run_round(answer));
      // Results for which there is no room are not kept: no later question would have room either.
      auto next = conversation_.answer_calls(std::exchange(results_, {}), sink_, stop_);
      if (!next.ok())
        return next.error().with_context("with the result of " +
                                         names_of(answer.message.tool_calls));
      answer = std::move(next).value();
      total += answer.stats;
    }
    answer.stats = total;
    return answer;
  }

  Status run_round(const Answer& answer) {
    const int64_t room = room_for_results(answer.stats);
    const std::vector<chat::ToolCall>& calls = answer.message.tool_calls;
    for (const chat::ToolCall& call : calls) {
      calls_.call_begins(call);
      G4_ASSIGN_OR_RETURN(std::string result, run_tool(arguments_.program, call, stop_));
      results_.push_back(fit(std::move(result), room / static_cast<int64_t>(calls.size())));
      calls_.call_ended(results_.back());
    }
    return {};
  }

  // In tokens, behind an answer: a quarter of what it leaves is for what the model says to them.
  int64_t room_for_results(const AnswerStats& answer) const {
    const int64_t left = conversation_.engine().options().context_tokens - answer.prompt_tokens -
                         answer.completion_tokens;
    return std::max<int64_t>(0, left - left / 4);
  }

  // No token is shorter than a byte.
  std::string fit(std::string result, int64_t room) const {
    if (static_cast<int64_t>(result.size()) <= room) return result;
    const size_t tokens = conversation_.model().tokenizer->encode(result).size();
    if (static_cast<int64_t>(tokens) <= room) return result;
    return too_long_result(
        str_cat("the result is too long: ", tokens, " tokens, and there is room for ", room),
        result, static_cast<size_t>(room / 2));
  }

  Conversation& conversation_;
  const ToolLoopArguments& arguments_;
  CallSink& calls_;
  const AnswerSink& sink_;
  const StopQuestion& stop_;
  std::vector<std::string> results_;  // of the open calls, so far
};

}  // namespace

void add_tool_loop_arguments(CLI::App& command, ToolLoopArguments& arguments) {
  auto* program = command.add_option(
      "--tool-exec", arguments.program,
      "Run calls with this program: NAME as argument, JSON on stdin, the result on stdout");
  program->needs("--tools")->check(not_empty());
  command
      .add_option("--tool-rounds", arguments.max_rounds, "Most rounds of calls before giving up")
      ->capture_default_str()
      ->check(whole_number(1))
      ->needs(program);
}

Status check_tool_loop(const ToolLoopArguments& arguments) {
  return arguments.program.empty() ? Status() : check_tool_program(arguments.program);
}

Result<Answer> run_calls(Conversation& conversation, Answer answer,
                         const ToolLoopArguments& arguments, CallSink& calls,
                         const AnswerSink& sink, const StopQuestion& stop) {
  if (arguments.program.empty()) return answer;
  return ToolLoop(conversation, arguments, calls, sink, stop).run(std::move(answer));
}

}  // namespace gemma4::apps

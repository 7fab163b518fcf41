#include "apps/tool_loop.h"

#include <CLI/CLI.hpp>
#include <utility>
#include <vector>

#include "apps/option_checks.h"
#include "apps/tool_program.h"
#include "base/strings.h"

namespace gemma4::apps {

void add_tool_loop_arguments(CLI::App& command, ToolLoopArguments& arguments) {
  auto* program = command.add_option(
      "--tool-exec", arguments.program,
      "Run calls with this program: NAME as argument, JSON on stdin, the result on stdout");
  program->needs("--tools");
  command
      .add_option("--tool-rounds", arguments.max_rounds, "Most rounds of calls before giving up")
      ->capture_default_str()
      ->check(whole_number(1))
      ->needs(program);
}

Result<Answer> run_calls(Conversation& conversation, Answer answer,
                         const ToolLoopArguments& arguments, const CallSink& called,
                         const AnswerSink& sink, const StopQuestion& stop) {
  if (arguments.program.empty()) return answer;
  for (int64_t round = 0;
       answer.finish == engine::FinishReason::kStop && !answer.message.tool_calls.empty();
       ++round) {
    if (round == arguments.max_rounds)
      return Error{ErrorCode::kResourceExhausted,
                   str_cat("the model still calls tools after ", round,
                           " rounds; raise --tool-rounds for more")};
    std::vector<std::string> results;
    for (const chat::ToolCall& call : answer.message.tool_calls) {
      G4_ASSIGN_OR_RETURN(std::string result, run_tool(arguments.program, call, stop));
      if (called) called(call, result);
      results.push_back(std::move(result));
    }
    G4_ASSIGN_OR_RETURN(answer, conversation.answer_calls(results, sink, stop));
  }
  return answer;
}

}  // namespace gemma4::apps

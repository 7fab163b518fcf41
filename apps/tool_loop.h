// The conversation of a model with its tools: calls are run, results given back, until it answers.
#pragma once

#include <functional>
#include <string>

#include "apps/conversation.h"
#include "base/result.h"

namespace CLI {
class App;
}

namespace gemma4::apps {

// --tool-exec, --tool-rounds
struct ToolLoopArguments {
  std::string program;  // empty: calls are not run
  int64_t max_rounds = 16;
};
void add_tool_loop_arguments(CLI::App& command, ToolLoopArguments& arguments);

// Told of every call that was run.
using CallSink = std::function<void(const chat::ToolCall& call, const std::string& result)>;

// Runs the calls of `answer` with the program, if there is one, and streams what the model says to
// the results, again and again: the first answer that calls nothing, was cut or was stopped.
// Errors: those of run_tool, and kResourceExhausted after max_rounds.
Result<Answer> run_calls(Conversation& conversation, Answer answer,
                         const ToolLoopArguments& arguments, const CallSink& called,
                         const AnswerSink& sink, const StopQuestion& stop);

}  // namespace gemma4::apps

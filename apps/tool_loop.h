// The conversation of a model with its tools: calls are run, results given back, until it answers.
#pragma once

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

// Whether the program, if one is given, can be started: asked before a model is loaded.
Status check_tool_loop(const ToolLoopArguments& arguments);

// Told of every call that is run: before, and of its result.
class CallSink {
 public:
  virtual ~CallSink() = default;
  virtual void call_begins(const chat::ToolCall& call) = 0;
  virtual void call_ended(const std::string& result) = 0;
};

// Runs the calls of `answer` with the program, if there is one, and streams what the model says to
// the results, again and again: the first answer that calls nothing, was cut or was stopped, with
// the numbers of all. A result too long for the context is cut to its front, and the model told so.
// With a program no call is left open: those that were not run get an error for their result.
// Errors: those of run_tool and answer_calls, and kUnsupported after max_rounds.
Result<Answer> run_calls(Conversation& conversation, Answer answer,
                         const ToolLoopArguments& arguments, CallSink& calls,
                         const AnswerSink& sink, const StopQuestion& stop);

}  // namespace gemma4::apps

#include "chat/answer.h"

#include <utility>

namespace gemma4::chat {

void AnswerBuilder::add(const std::vector<Event>& events) {
  for (const Event& event : events) {
    switch (event.kind) {
      case Event::Kind::kReasoning:
        reasoning_ += event.text;
        break;
      case Event::Kind::kContent:
        content_ += event.text;
        break;
      case Event::Kind::kCallStarted:
        call_ = {.name = event.text};
        arguments_.clear();
        break;
      case Event::Kind::kArguments:
        arguments_ += event.text;
        break;
      case Event::Kind::kCallFinished:
        call_.arguments = json::parse(arguments_).value();  // the parser wrote it
        calls_.push_back(std::exchange(call_, {}));
        break;
      case Event::Kind::kEnd:
        ended_ = true;
        end_reason_ = event.end_reason;
        break;
    }
  }
}

Message AnswerBuilder::message() const {
  Message message{.role = "assistant", .reasoning = reasoning_, .tool_calls = calls_};
  if (calls_.empty() || !content_.empty()) message.content = content_;
  return message;
}

}  // namespace gemma4::chat

// The events of one answer put together: the message that the next prompt takes up.
//
//   AnswerBuilder answer;
//   answer.add(parser.push(id, piece));
//   answer.add(parser.finish());
//   messages.push_back(answer.message());
#pragma once

#include <string>
#include <vector>

#include "chat/messages.h"
#include "chat/output_parser.h"

namespace gemma4::chat {

class AnswerBuilder {
 public:
  // Events of one parser, in its order.
  void add(const std::vector<Event>& events);

  // An assistant message. Content is null when there are calls and nothing else to see, otherwise a
  // string; calls have no id. Before the end: what has come so far, without the open call.
  Message message() const;

  bool ended() const { return ended_; }
  EndReason end_reason() const { return end_reason_; }

 private:
  std::string content_, reasoning_;
  ToolCall call_;          // the open one
  std::string arguments_;  // its JSON text so far
  std::vector<ToolCall> calls_;
  bool ended_ = false;
  EndReason end_reason_ = EndReason::kCutOff;
};

}  // namespace gemma4::chat

#include "serve/answer_event.h"

namespace gemma4::serve {

void WholeAnswer::add(const AnswerEvent& event) {
  using Kind = AnswerEvent::Kind;
  logprobs.insert(logprobs.end(), event.logprobs.begin(), event.logprobs.end());
  switch (event.kind) {
    case Kind::kReasoning:
      reasoning += event.text;
      break;
    case Kind::kContent:
      content += event.text;
      break;
    case Kind::kCallStarted:
      calls.push_back({event.call_id, event.text, ""});
      break;
    case Kind::kArguments:
      if (!calls.empty()) calls.back().arguments += event.text;
      break;
    case Kind::kCallFinished:
      break;
    case Kind::kFinished:
      finish = event.finish;
      stop_text = event.stop_text;
      break;
  }
}

}  // namespace gemma4::serve

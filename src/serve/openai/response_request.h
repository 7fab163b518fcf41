// The body of a request to /v1/responses.
#pragma once

#include <memory>
#include <string>

#include "serve/chat_request.h"
#include "serve/openai/responses.h"

namespace gemma4::serve::openai {

// What of a request its response is made of, besides the answer.
struct ResponseDraft {
  json::Value echo = json::Value::Object();  // members of the response that say what was asked
  json::Value input;                         // as it came
  std::shared_ptr<ResponseTurn> previous;
  bool store = true;
};

// Fields of the API that this server cannot honour are refused by name.
Result<ChatRequest> parse_response_request(const json::Value& body, const ResponseMemory& memory,
                                           ResponseDraft& draft);

}  // namespace gemma4::serve::openai

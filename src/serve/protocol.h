// What the protocols have in common: errors with a status, and the ends of an endpoint that
// answers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "json/json.h"
#include "serve/answer_event.h"
#include "serve/chat_request.h"

namespace gemma4::serve {

enum class Protocol { kOpenAi, kAnthropic, kOllama };
// By the path, and for those that two share by a header.
Protocol protocol_of(const http::Request& request);

struct ApiError {
  int status = 400;
  std::string message;
  std::string code = {};  // in OpenAI's words: "model_not_found"; may be empty
  int retry_after = 0;    // seconds; 0: trying again does not help
};
// The status that a failure of a request has: the client's fault, or ours.
ApiError api_error(const Error& error);
// The body that the protocol has for it.
json::Value error_body(Protocol protocol, const ApiError& error);
http::Response error_response(Protocol protocol, const ApiError& error);

// An endpoint that answers: its body to a request, an answer to its body. Pure functions.
struct Endpoint {
  Protocol protocol = Protocol::kOpenAi;
  std::function<Result<ChatRequest>(const json::Value& body)> parse;
  std::function<std::unique_ptr<StreamWriter>(const AnswerHead&, const ChatRequest&)> stream;
  std::function<json::Value(const AnswerHead&, const ChatRequest&, std::vector<WholeAnswer>,
                            const Usage&)>
      whole;
  // What is said to a request that only loads: whether the model is loaded now, or given back.
  // Null: the protocol has no such requests.
  std::function<json::Value(const AnswerHead&, bool is_loaded)> loaded = {};
  const char* stream_type = "text/event-stream; charset=utf-8";
  // Where another server has the same endpoint, below its own address: "/chat/completions". Null:
  // requests are not passed on.
  const char* relay_path = nullptr;
  // Instead of `parse`, for bodies that are no JSON.
  std::function<Result<ChatRequest>(const http::Request& head, const std::string& body)> read = {};
};

// 1970-01-01T00:00:00Z, of seconds since then
std::string time_text(int64_t seconds);

// "data: …" and an empty line; with an event's name in front where there is one.
std::string sse(const json::Value& data, const std::string& event = "");

}  // namespace gemma4::serve

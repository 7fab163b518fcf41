#include "serve/protocol.h"

#include <ctime>

#include "base/strings.h"
#include "serve/fields.h"

namespace gemma4::serve {

using json::Value;

namespace {

std::string openai_type(int status) {
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

std::string anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace

Protocol protocol_of(const http::Request& request) {
  if (request.path.starts_with("/api/")) return Protocol::kOllama;
  if (request.path.starts_with("/v1/messages")) return Protocol::kAnthropic;
  for (const char* shared : {"/v1/models", "/v1/files"})
    if (request.path.starts_with(shared) && !request.header("anthropic-version").empty())
      return Protocol::kAnthropic;
  return Protocol::kOpenAi;
}

ApiError api_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
      return {404, error.message};
    case ErrorCode::kIo:
      return {500, error.message};
    case ErrorCode::kUnavailable:
    case ErrorCode::kCancelled:
      return {.status = 503, .message = error.message, .retry_after = 5};
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kInvalidData:
    case ErrorCode::kUnsupported:
    case ErrorCode::kResourceExhausted:  // of what one request may take
      break;
  }
  return {400, error.message};
}

Value error_body(Protocol protocol, const ApiError& error) {
  if (protocol == Protocol::kOllama) return Value::Object{{"error", error.message}};
  if (protocol == Protocol::kAnthropic)
    return Value::Object{{"type", "error"},
                         {"error", Value::Object{{"type", anthropic_type(error.status)},
                                                 {"message", error.message}}}};
  const std::string param = error.status == 400 ? field_of(error.message) : "";
  return Value::Object{
      {"error", Value::Object{{"message", error.message},
                              {"type", openai_type(error.status)},
                              {"param", param.empty() ? Value() : Value(param)},
                              {"code", error.code.empty() ? Value() : Value(error.code)}}}};
}

http::Response error_response(Protocol protocol, const ApiError& error) {
  http::Response response{.status = error.status,
                          .body = json::dump(error_body(protocol, error)) + "\n"};
  // Anthropic's clients know 529 for it.
  if (protocol == Protocol::kAnthropic && error.status == 503) response.status = 529;
  if (error.retry_after > 0)
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  return response;
}

std::string time_text(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string sse(const Value& data, const std::string& event) {
  return str_cat(event.empty() ? "" : "event: ", event, event.empty() ? "" : "\n",
                 "data: ", json::dump(data), "\n\n");
}

}  // namespace gemma4::serve

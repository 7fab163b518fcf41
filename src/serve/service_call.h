// One request on its way through the service: its answer, and its line in the log and in metrics.
// Inside of service*.cc.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "serve/log.h"
#include "serve/random_id.h"
#include "serve/service.h"

namespace gemma4::serve {

// The key that a request shows: of "Authorization: Bearer …", or of x-api-key.
inline std::string_view key_of(const http::Request& request) {
  std::string_view value = request.header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (value.size() > kBearer.size() && http::same_name(value.substr(0, kBearer.size()), kBearer))
    return value.substr(kBearer.size());
  return request.header("x-api-key");
}

class Service::Call {
 public:
  Call(Service& service, Exchange to, const Route& route, std::string_view path_end)
      : exchange(std::move(to)),
        parameter(path_end),
        protocol(protocol_of(exchange->request())),
        service_(service),
        route_(route.name),
        routine_(!route.needs_key) {}

  const Exchange exchange;
  const std::string parameter;  // of the path
  const Protocol protocol;
  const std::string id = random_id();
  const AnswerRun::Clock::time_point arrival = AnswerRun::Clock::now();

  void reply(http::Response response) {
    done(response.status);
    exchange->reply(finish_head(std::move(response)));
  }
  // A string as plain text.
  void reply(const json::Value& body) {
    if (body.is_string())
      reply(http::Response{.body = std::string(body.as_string()) + "\n",
                           .content_type = "text/plain; charset=utf-8"});
    else
      reply(http::Response{.body = json::dump(body) + "\n"});
  }
  void fail(const ApiError& error) { reply(error_response(protocol, error)); }
  void fail(const Error& error) { fail(api_error(error)); }
  void begin_stream(http::Response head) { exchange->begin_stream(finish_head(std::move(head))); }
  void end_stream(int status) {
    done(status);
    exchange->end_stream();
  }
  // The client has gone: what is logged is 499, as others do.
  void gone() { done(499); }

  // For the log
  void about(const std::string& model, const Usage& usage) {
    members_.emplace_back("model", model);
    members_.emplace_back("prompt_tokens", usage.prompt_tokens);
    members_.emplace_back("completion_tokens", usage.completion_tokens);
    members_.emplace_back("ttft_ms",
                          static_cast<int64_t>(1000 * (usage.load_seconds + usage.prompt_seconds)));
  }

 private:
  http::Response finish_head(http::Response response) {
    response.headers.emplace_back("x-request-id", "req_" + id);
    if (protocol == Protocol::kAnthropic) response.headers.emplace_back("request-id", "req_" + id);
    return service_.decorate(std::move(response), exchange->request());
  }
  void done(int status) {
    const double seconds = std::chrono::duration<double>(AnswerRun::Clock::now() - arrival).count();
    service_.metrics_.responded(route_, status, seconds);
    json::Value::Object line{{"event", "request"},
                             {"id", "req_" + id},
                             {"client", exchange->request().client},
                             {"method", exchange->request().method},
                             {"path", exchange->request().path},
                             {"status", status},
                             {"ms", static_cast<int64_t>(seconds * 1000)}};
    line.insert(line.end(), members_.begin(), members_.end());
    log_line(status >= 500              ? LogLevel::kWarning
             : routine_ && status < 400 ? LogLevel::kDebug
                                        : LogLevel::kInfo,
             line);
  }

  Service& service_;
  const std::string route_;
  const bool routine_;  // health, metrics, files of the page: asked for again and again
  json::Value::Object members_;
};

}  // namespace gemma4::serve

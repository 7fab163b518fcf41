// Requests that a rule of --routes gives to another server.
#include <utility>

#include "base/strings.h"
#include "serve/service_call.h"

namespace gemma4::serve {

namespace {

// One answer on its way back. All of it runs on the thread of the client's connection.
struct Passing {
  int status = 0;  // 0: nothing has come yet
  bool is_stream = false;
  bool is_over = false;  // the client has its answer, or has gone
};

}  // namespace

void Service::relay(const std::shared_ptr<Call>& call, const Endpoint& endpoint,
                    const RouteRule& rule, json::Value body) {
  body.set("model", rule.model);
  http::Relay::Request request{.url = rule.endpoint + endpoint.relay_path,
                               .headers = {{"Content-Type", "application/json"}},
                               .body = json::dump(body)};
  if (!rule.key.empty()) request.headers.emplace_back("Authorization", "Bearer " + rule.key);
  const auto passing = std::make_shared<Passing>();
  const auto is_gone = std::make_shared<std::atomic<bool>>(false);
  const auto post = [exchange = call->exchange](std::function<void()> work) {
    exchange->post(std::move(work));
  };
  const bool begun = relay_.start(
      std::move(request),
      {.head =
           [=](int status, std::string type) {
             post([=, type = std::move(type)] {
               passing->status = status;
               if (status == 401 ||
                   status == 403) {  // about our key, of which the client knows nothing
                 passing->is_over = true;
                 return call->fail(ApiError{502, "the other server refuses this server's key"});
               }
               passing->is_stream = type.starts_with("text/event-stream");
               call->begin_stream(
                   {.status = status,
                    .content_type = type,
                    .headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}});
             });
           },
       .piece =
           [=](std::string piece) {
             post([=, piece = std::move(piece)]() mutable {
               if (passing->is_over) return;
               call->exchange->write(std::move(piece));
             });
           },
       .end =
           [=](const Status& status) {
             post([=, message = status.ok() ? "" : status.error().message] {
               if (passing->is_over) return;
               const ApiError error{502, str_cat("the other server: ", message)};
               if (!message.empty())
                 log_line(
                     LogLevel::kWarning,
                     {{"event", "relay_failed"}, {"id", "req_" + call->id}, {"message", message}});
               if (passing->status == 0) return call->fail(error);
               // Of other answers, that they are too short says that they broke off.
               if (!message.empty() && passing->is_stream)
                 call->exchange->write(sse(error_body(call->protocol, error)));
               call->end_stream(message.empty() ? passing->status : error.status);
             });
           },
       .is_gone = [is_gone] { return is_gone->load(); }});
  if (!begun)
    return call->fail(ApiError{503, "too many requests are passed on; try again later", "", 1});
  call->about(rule.model, {});
  call->exchange->on_gone([=] {
    call->gone();
    passing->is_over = true;
    *is_gone = true;
  });
}

}  // namespace gemma4::serve

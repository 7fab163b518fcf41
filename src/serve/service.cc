#include "serve/service.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "serve/anthropic/messages.h"
#include "serve/ollama/chat.h"
#include "serve/openai/chat.h"
#include "serve/openai/completions.h"
#include "serve/openai/transcriptions.h"
#include "serve/page.h"
#include "serve/service_call.h"

namespace gemma4::serve {

Service::Service(ServiceOptions options, std::vector<std::unique_ptr<ModelSlot>> models,
                 std::unique_ptr<ApiKeys> keys)
    : options_(std::move(options)),
      models_(std::move(models)),
      keys_(std::move(keys)),
      responses_(options_.responses),
      uploads_(options_.uploads),
      remote_(options_.remote.hosts.empty()
                  ? nullptr
                  : std::make_unique<const http::RemoteFiles>(options_.remote)) {
  add_routes();
}

// Who waits for a model is told so while there are metrics to count it.
Service::~Service() { close(); }

void Service::add(const char* method, const char* pattern,
                  std::function<void(std::shared_ptr<Call>)> to) {
  router_.add(method, pattern, {.name = pattern, .answer = std::move(to)});
}

void Service::add_open(const char* method, const char* pattern,
                       std::function<http::Response(const http::Request&)> to) {
  router_.add(method, pattern,
              {.name = pattern,
               .needs_key = false,
               .answer = [to = std::move(to)](const std::shared_ptr<Call>& call) {
                 call->reply(to(call->exchange->request()));
               }});
}

void Service::add_endpoint(const char* pattern, Endpoint endpoint) {
  add("POST", pattern, [this, endpoint = std::move(endpoint)](const std::shared_ptr<Call>& call) {
    answer(endpoint, call);
  });
}

void Service::add_routes() {
  const auto ok = [](const json::Value& body) {
    return http::Response{.body = json::dump(body) + "\n"};
  };
  add_open("GET", "/health", [ok](const http::Request&) {
    return ok(json::Value::Object{{"status", "ok"}});
  });
  add_open("GET", "/ready", [this, ok](const http::Request&) {
    http::Response response =
        ok(json::Value::Object{{"status", draining_ ? "shutting down" : "ready"}});
    if (draining_) response.status = 503;
    return response;
  });
  add_open("GET", "/metrics", [this](const http::Request&) { return metrics_text(); });

  add("GET", "/v1/models", [this](const std::shared_ptr<Call>& call) {
    call->reply(list_models(call->exchange->request()));
  });
  add("GET", "/v1/models/{model}", [this](const std::shared_ptr<Call>& call) { show_model(call); });
  add_endpoint("/v1/chat/completions", openai::chat_endpoint());
  add_endpoint("/v1/completions", openai::completions_endpoint());
  add_endpoint("/v1/audio/transcriptions",
               openai::transcriptions_endpoint(models_.front()->facts().media_limits.sound));
  add_responses();
  add_uploads();
  add_embeddings();
  add("POST", "/tokenize", [this](const std::shared_ptr<Call>& call) { tokenize(call); });
  add("POST", "/detokenize", [this](const std::shared_ptr<Call>& call) { detokenize(call); });

  add_endpoint("/v1/messages", anthropic::messages_endpoint());
  add("POST", "/v1/messages/count_tokens",
      [this](const std::shared_ptr<Call>& call) { count_tokens(call); });

  add_endpoint("/api/chat", ollama::chat_endpoint());
  add_endpoint("/api/generate", ollama::generate_endpoint());
  add("GET", "/api/tags", [this](const std::shared_ptr<Call>& call) { list_tags(call); });
  add("GET", "/api/ps", [this](const std::shared_ptr<Call>& call) { list_loaded(call); });
  add("POST", "/api/show", [this](const std::shared_ptr<Call>& call) { show_tag(call); });
  add("GET", "/api/version", [this](const std::shared_ptr<Call>& call) {
    call->reply(json::Value::Object{{"version", options_.version}});
  });
  add_open("GET", "/",
           [this](const http::Request& request) { return answer_root(request, options_.page); });
  if (options_.page)
    add_open("GET", "/page/{file}", [](const http::Request& request) {
      return answer_page_file(request, std::string_view(request.path).substr(6));
    });
}

http::Handlers Service::handlers() {
  return {
      .handle = [this](const Exchange& exchange) { handle(exchange); },
      .admit = [this](const http::Request& head) { return admit(head); },
      .fault = [this](http::Fault what, const http::Request& head) { return fault(what, head); }};
}

http::Response Service::decorate(http::Response response, const http::Request& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return response;
  const auto& allowed = options_.cors_origins;
  const bool all = std::find(allowed.begin(), allowed.end(), "*") != allowed.end();
  if (!all && std::find(allowed.begin(), allowed.end(), origin) == allowed.end()) return response;
  response.headers.emplace_back("Access-Control-Allow-Origin", all ? "*" : std::string(origin));
  response.headers.emplace_back("Access-Control-Expose-Headers",
                                "x-request-id, request-id, retry-after");
  if (!all) response.headers.emplace_back("Vary", "Origin");
  return response;
}

http::Response Service::preflight(const http::Request& head, const std::string& allowed) const {
  http::Response response{.status = 204, .content_type = ""};
  response.headers.emplace_back("Access-Control-Allow-Methods", allowed + ", OPTIONS");
  const std::string_view asked = head.header("access-control-request-headers");
  if (!asked.empty())
    response.headers.emplace_back("Access-Control-Allow-Headers", std::string(asked));
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

std::optional<http::Response> Service::admit(const http::Request& head) {
  const Protocol protocol = protocol_of(head);
  const auto found = router_.find(head.method, head.path);
  const auto refuse = [&](const ApiError& error) {
    metrics_.responded(found.target == nullptr ? "other" : found.target->name, error.status, 0);
    log_line(LogLevel::kInfo, {{"event", "refused"},
                               {"client", head.client},
                               {"method", head.method},
                               {"path", head.path},
                               {"status", error.status}});
    return decorate(error_response(protocol, error), head);
  };
  if (found.target == nullptr) {
    if (found.allowed.empty())
      return refuse({404, str_cat("there is no ", quote(head.path), " here")});
    if (head.method == "OPTIONS") return decorate(preflight(head, found.allowed), head);
    http::Response response = refuse({405, str_cat(quote(head.path), " takes ", found.allowed,
                                                   " and not ", quote(head.method))});
    response.headers.emplace_back("Allow", found.allowed);
    return response;
  }
  if (keys_ == nullptr || !found.target->needs_key) return std::nullopt;
  const ApiKeys::Verdict verdict = keys_->check(key_of(head));
  if (const auto error = keys_->take_error())
    log_line(LogLevel::kError, {{"event", "api_keys"}, {"message", error->message}});
  switch (verdict.kind) {
    case ApiKeys::Verdict::Kind::kAllowed:
      break;
    case ApiKeys::Verdict::Kind::kUnknown: {
      http::Response response =
          refuse({401,
                  "this server wants an API key: \"Authorization: Bearer KEY\" or \"x-api-key: "
                  "KEY\"; there was none, or one that it does not know",
                  "invalid_api_key"});
      response.headers.emplace_back("WWW-Authenticate", "Bearer");
      return response;
    }
    case ApiKeys::Verdict::Kind::kLimited:
      return refuse({429, verdict.message, "rate_limit_exceeded", verdict.retry_after});
  }
  return std::nullopt;
}

http::Response Service::fault(http::Fault what, const http::Request& head) {
  ApiError error{http::status_of(what), http::text_of(what, options_.http)};
  if (what == http::Fault::kUnavailable) error.retry_after = 1;
  metrics_.responded("other", error.status, 0);
  log_line(LogLevel::kInfo, {{"event", "fault"},
                             {"client", head.client},
                             {"status", error.status},
                             {"message", error.message}});
  return decorate(error_response(protocol_of(head), error), head);
}

void Service::handle(const Exchange& exchange) {
  const http::Request& request = exchange->request();
  const auto found = router_.find(request.method, request.path);
  if (found.target == nullptr) {  // admit() has refused it
    exchange->reply(fault(http::Fault::kFailed, request));
    return;
  }
  const auto call = std::make_shared<Call>(*this, exchange, *found.target, found.parameter);
  found.target->answer(call);
}

Result<ModelSlot*> Service::find_model(const std::string& name) const {
  if (name.empty()) return models_.front().get();
  if (options_.routes.has(name)) {  // a question about a model, not one to it
    const std::string first = options_.routes.first_model(name);
    if (!first.empty()) return find_model(first);
    return Error{ErrorCode::kNotFound, str_cat("the model ", quote(name), " is another server's")};
  }
  std::string known;
  for (const auto& model : models_) {
    if (model->name() == name || model->name() + ":latest" == name) return model.get();
    known += (known.empty() ? "" : ", ") + model->name();
  }
  for (const std::string& routed : options_.routes.names()) known += ", " + routed;
  if (options_.any_model) return models_.front().get();
  return Error{ErrorCode::kNotFound,
               str_cat("the model ", quote(name), " does not exist; this server has ", known)};
}

void Service::with_model(const std::shared_ptr<Call>& call, const std::string& name,
                         std::optional<KeepAlive> keep, WithModel then) {
  const auto found = find_model(name);
  if (!found.ok()) return call->fail(ApiError{404, found.error().message, "model_not_found"});
  ModelSlot& slot = *found.value();
  if (ModelLease model = slot.lease(keep)) return then(std::move(model));
  if (const auto full = check_queue(slot.stats())) return call->fail(*full);
  const auto is_gone = std::make_shared<std::atomic<bool>>(false);
  call->exchange->on_gone([is_gone] { *is_gone = true; });
  slot.load(keep, [call, then = std::move(then), is_gone](Result<ModelLease> loaded) mutable {
    call->exchange->run_on_worker(
        [call, then = std::move(then), is_gone, loaded = std::move(loaded)]() mutable {
          if (*is_gone) return call->gone();
          if (!loaded.ok()) return call->fail(loaded.error());
          then(std::move(loaded).value());
        });
  });
}

http::Response Service::metrics_text() {
  for (const auto& model : models_) metrics_.observe(model->name(), model->stats());
  return {.body = metrics_.text(), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

}  // namespace gemma4::serve

// How the service answers: a body to a run, a run to a stream or a body.
#include <utility>

#include "base/strings.h"
#include "serve/fields.h"
#include "serve/media_sources.h"
#include "serve/service_call.h"

namespace gemma4::serve {

namespace {

constexpr int kMaxJsonDepth = 128;
constexpr int kRetrySeconds = 1;  // when the queue is full

AnswerHead head_of(const std::string& id, const std::string& model, int64_t prompt_tokens) {
  return {.id = id,
          .model = model,
          .created = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count(),
          .prompt_tokens = prompt_tokens};
}
AnswerHead head_of(const std::string& id, const AnswerRun& run) {
  return head_of(id, run.model().name(), run.prompt_tokens());
}

}  // namespace

Result<json::Value> Service::read_body(Call& call) {
  const std::string text = call.exchange->take_body();
  auto body = json::parse(text, {.max_depth = kMaxJsonDepth});
  if (!body.ok()) return Error{ErrorCode::kInvalidArgument, "the body " + body.error().message};
  return body;
}

std::optional<ApiError> Service::check_queue(const TokenSource::Stats& stats) const {
  const int64_t waiting = stats.waiting - stats.waiting_embeddings;  // these give way
  if (waiting < options_.max_waiting) return std::nullopt;
  return ApiError{503,
                  str_cat("the server is overloaded: ", waiting,
                          " requests wait for their turn; try again later"),
                  "overloaded", kRetrySeconds};
}

Result<Service::Incoming> Service::read_request(const Endpoint& endpoint, Call& call) {
  Incoming incoming;
  if (endpoint.read) {
    G4_ASSIGN_OR_RETURN(incoming.request,
                        endpoint.read(call.exchange->request(), call.exchange->take_body()));
    return incoming;
  }
  G4_ASSIGN_OR_RETURN(incoming.body, read_body(call));
  G4_ASSIGN_OR_RETURN(incoming.request, endpoint.parse(incoming.body));
  return incoming;
}

Result<std::shared_ptr<AnswerRun>> Service::prepare(Call& call, ModelLease model,
                                                    ChatRequest request) {
  if (request.min_context && *request.min_context > model->context_tokens())
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("options.num_ctx: this server has a context of ", model->context_tokens(),
                         " tokens (--ctx), got ", *request.min_context)};
  G4_RETURN_IF_ERROR(open_sources(request.messages, owner_of(call), uploads_, remote_.get()));
  return AnswerRun::prepare(std::move(model), std::move(request), metrics_, call.arrival);
}

void Service::count_prompt(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
                           json::Value::Object reply, const char* field) {
  auto incoming = read_request(endpoint, *call);
  if (!incoming.ok()) return call->fail(incoming.error());
  ChatRequest& request = incoming.value().request;
  const std::string name = request.model;
  with_model(call, name, {},
             [this, call, reply = std::move(reply), field,
              request = std::move(request)](ModelLease model) mutable {
               const auto run = prepare(*call, std::move(model), std::move(request));
               if (!run.ok()) return call->fail(run.error());
               reply.emplace_back(field, run.value()->prompt_tokens());
               call->reply(std::move(reply));
             });
}

void Service::answer(const Endpoint& endpoint, const std::shared_ptr<Call>& call) {
  if (draining_) return call->fail(ApiError{503, "the server is shutting down", "", kRetrySeconds});
  if (models_.size() == 1 && options_.routes.names().empty())
    if (const auto full = check_queue(models_.front()->stats()))
      return call->fail(*full);  // before any work is done for it
  auto incoming = read_request(endpoint, *call);
  if (!incoming.ok()) return call->fail(incoming.error());
  ChatRequest& request = incoming.value().request;
  if (options_.routes.has(request.model)) {
    const RouteRule* const rule = options_.routes.choose(
        request.model, shape_of(request), endpoint.relay_path != nullptr,
        [&](const std::string& model) { return find_model(model).value()->stats().waiting; });
    if (rule == nullptr)
      return call->fail(ApiError{
          503,
          str_cat("no rule for ", quote(request.model), " takes this request now; try again later"),
          "no_route", kRetrySeconds});
    if (rule->is_remote()) return relay(call, endpoint, *rule, std::move(incoming.value().body));
    request.model = rule->model;
  }
  incoming.value().body = {};  // may be megabytes
  if (request.only_loads) return load_only(endpoint, call, request);
  const std::string name = request.model;
  const auto keep = request.keep_alive;
  with_model(call, name, keep,
             [this, endpoint, call, request = std::move(request)](ModelLease model) mutable {
               answer(endpoint, call, std::move(model), std::move(request));
             });
}

void Service::load_only(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
                        const ChatRequest& request) {
  const auto slot = find_model(request.model);
  if (!slot.ok()) return call->fail(ApiError{404, slot.error().message, "model_not_found"});
  const auto reply = [call, write = endpoint.loaded,
                      head = head_of(call->id, slot.value()->name(), 0)](bool is_loaded) {
    call->reply(write(head, is_loaded));
  };
  if (slot.value()->unloads() && request.keep_alive == KeepAlive(0)) {
    slot.value()->expire();
    return reply(false);
  }
  with_model(call, request.model, request.keep_alive, [reply](const ModelLease&) { reply(true); });
}

void Service::answer(const Endpoint& endpoint, const std::shared_ptr<Call>& call, ModelLease model,
                     ChatRequest request) {
  auto run = prepare(*call, std::move(model), std::move(request));
  if (!run.ok()) return call->fail(run.error());
  if (const auto too_long = run.value()->too_long())
    return call->fail(ApiError{400, too_long->message, "context_length_exceeded"});
  if (const auto full = check_queue(run.value()->model().source().stats()))
    return call->fail(*full);
  if (run.value()->request().stream) {
    stream(endpoint, call, run.value());
  } else {
    collect(endpoint, call, run.value());
  }
}

void Service::count_usage(Call& call, const std::string& model, const Usage& usage) {
  call.about(model, usage);
  if (keys_ != nullptr)
    keys_->spend_tokens(key_of(call.exchange->request()),
                        usage.prompt_tokens + usage.completion_tokens);
}

void Service::start(const std::shared_ptr<Call>& call, const std::shared_ptr<AnswerRun>& run,
                    AnswerRun::Listener listener) {
  const auto post = [exchange = call->exchange](std::function<void()> work) {
    exchange->post(std::move(work));
  };
  const Status status = run->start(post, std::move(listener));
  if (!status.ok()) return call->fail(status.error());
  call->exchange->on_gone([call, run] {
    call->gone();
    run->cancel();
  });
}

void Service::stream(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
                     const std::shared_ptr<AnswerRun>& run) {
  const std::shared_ptr<StreamWriter> writer =
      endpoint.stream(head_of(call->id, *run), run->request());
  const std::string& model = run->model().name();
  start(call, run,
        {.begin =
             [call, writer, type = endpoint.stream_type] {
               call->begin_stream(
                   {.body = writer->begin(),
                    .content_type = type,
                    .headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}});
             },
         .event =
             [call, writer](const AnswerEvent& event) {
               std::string text = writer->write(event);
               if (!text.empty()) call->exchange->write(std::move(text));
             },
         .end =
             [this, call, writer, model](const Usage& usage) {
               count_usage(*call, model, usage);
               call->exchange->write(writer->end(usage));
               call->end_stream(200);
             },
         .fail =
             [call, writer](const Error& error) {
               log_line(LogLevel::kWarning, {{"event", "answer_failed"},
                                             {"id", "req_" + call->id},
                                             {"message", error.message}});
               call->exchange->write(writer->fail(error));
               call->end_stream(500);
             }});
}

void Service::collect(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
                      const std::shared_ptr<AnswerRun>& run) {
  const auto answers =
      std::make_shared<std::vector<WholeAnswer>>(static_cast<size_t>(run->num_choices()));
  const std::string& model = run->model().name();
  start(call, run,
        {.begin = [] {},
         .event =
             [answers](const AnswerEvent& event) {
               (*answers)[static_cast<size_t>(event.choice)].add(event);
             },
         .end =
             [this, call, answers, model, whole = endpoint.whole, head = head_of(call->id, *run),
              request = run->request()](const Usage& usage) {
               count_usage(*call, model, usage);
               call->reply(whole(head, request, std::move(*answers), usage));
             },
         .fail =
             [call](const Error& error) {
               ApiError failed = api_error(error);
               if (failed.status < 500) failed.status = 500;  // the request was taken
               call->fail(failed);
             }});
}

}  // namespace gemma4::serve

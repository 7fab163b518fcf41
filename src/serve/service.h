// The server's routes and what answers them: between HTTP and the models.
//
//   Service service({.version = "1.0"}, std::move(models));
//   G4_ASSIGN_OR_RETURN(auto server, http::Server::start(options, service.handlers()));
//   …
//   server->drain(limit);  // before the service goes, or close()
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/exchange.h"
#include "http/relay.h"
#include "http/remote_files.h"
#include "http/router.h"
#include "http/server.h"
#include "serve/answer_run.h"
#include "serve/api_keys.h"
#include "serve/embedding_api.h"
#include "serve/metrics.h"
#include "serve/model_slot.h"
#include "serve/protocol.h"
#include "serve/response_store.h"
#include "serve/routes.h"
#include "serve/upload_store.h"

namespace gemma4::serve {

struct ServiceOptions {
  std::string version = {};
  // Sequences that may wait for their turn; requests beyond them are told to come back later.
  int64_t max_waiting = 256;
  bool any_model = false;                      // unknown names of models mean the first
  bool page = true;                            // serve the page at "/"
  std::vector<std::string> cors_origins = {};  // that pages may call from; "*": all
  http::ServerOptions http = {};               // for its limits in messages
  ResponseStore::Limits responses = {};        // what is kept of /v1/responses
  UploadStore::Limits uploads = {};            // and of /v1/files
  http::RemoteFiles::Options remote = {};      // media are read from its hosts; none: from nowhere
  Routes routes = {};                          // names that stand for several models
};

class Service {
 public:
  // At least one model; the first answers requests that name none. `keys` null: anyone may ask.
  Service(ServiceOptions options, std::vector<std::unique_ptr<ModelSlot>> models,
          std::unique_ptr<ApiKeys> keys = nullptr);
  ~Service();

  // They refer to this service.
  http::Handlers handlers();
  // From now on /ready says no.
  void begin_drain() { draining_ = true; }
  // Answers that are under way end with an error; those that wait, too.
  void end_answers() {
    for (const auto& model : models_) model->end();
    relay_.stop();
  }
  // After the server was drained: gives the models back. False: one is just being loaded.
  bool close() {
    bool is_closed = true;
    for (const auto& model : models_) is_closed &= model->close();
    return is_closed;
  }

 private:
  using Exchange = std::shared_ptr<http::Exchange>;
  class Call;  // a request and its trace in log and metrics
  struct Route {
    std::string name;  // in metrics: its pattern
    bool needs_key = true;
    std::function<void(std::shared_ptr<Call>)> answer;
  };
  void add_routes();
  void add(const char* method, const char* pattern, std::function<void(std::shared_ptr<Call>)> to);
  void add_open(const char* method, const char* pattern,
                std::function<http::Response(const http::Request&)> to);
  void add_endpoint(const char* pattern, Endpoint endpoint);

  std::optional<http::Response> admit(const http::Request& head);
  http::Response preflight(const http::Request& head, const std::string& allowed) const;
  http::Response fault(http::Fault fault, const http::Request& head);
  void handle(const Exchange& exchange);
  http::Response decorate(http::Response response, const http::Request& request) const;

  Result<ModelSlot*> find_model(const std::string& name) const;
  // Calls `then` with the model that `name` means: at once where it is loaded, else on a worker
  // when it is. Answers the call itself where it cannot be had.
  using WithModel = std::function<void(ModelLease)>;
  void with_model(const std::shared_ptr<Call>& call, const std::string& name,
                  std::optional<KeepAlive> keep, WithModel then);
  static Result<json::Value> read_body(Call& call);
  struct Incoming {
    ChatRequest request;
    json::Value body;  // that it was read from; null where it was no JSON
  };
  static Result<Incoming> read_request(const Endpoint& endpoint, Call& call);
  Result<std::shared_ptr<AnswerRun>> prepare(Call& call, ModelLease model, ChatRequest request);
  // Passes the request on to the rule's endpoint, and its answer back.
  void relay(const std::shared_ptr<Call>& call, const Endpoint& endpoint, const RouteRule& rule,
             json::Value body);
  void answer(const Endpoint& endpoint, const std::shared_ptr<Call>& call);
  void answer(const Endpoint& endpoint, const std::shared_ptr<Call>& call, ModelLease model,
              ChatRequest request);
  void load_only(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
                 const ChatRequest& request);
  // Replies {`field`: the tokens of the prompt}.
  void count_prompt(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
                    json::Value::Object reply, const char* field);
  void count_usage(Call& call, const std::string& model, const Usage& usage);
  std::optional<ApiError> check_queue(const TokenSource::Stats& stats) const;
  void stream(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
              const std::shared_ptr<AnswerRun>& run);
  void collect(const Endpoint& endpoint, const std::shared_ptr<Call>& call,
               const std::shared_ptr<AnswerRun>& run);
  void start(const std::shared_ptr<Call>& call, const std::shared_ptr<AnswerRun>& run,
             AnswerRun::Listener listener);

  http::Response metrics_text();
  http::Response list_models(const http::Request& request) const;
  void show_model(const std::shared_ptr<Call>& call);
  void tokenize(const std::shared_ptr<Call>& call);
  void detokenize(const std::shared_ptr<Call>& call);
  void count_tokens(const std::shared_ptr<Call>& call);
  void list_tags(const std::shared_ptr<Call>& call);
  void list_loaded(const std::shared_ptr<Call>& call);
  void show_tag(const std::shared_ptr<Call>& call);

  void add_embeddings();
  void embed(const std::shared_ptr<Call>& call, const EmbeddingApi& api);
  void embed(const std::shared_ptr<Call>& call, const EmbeddingApi& api, ModelLease model,
             EmbeddingRequest request);
  void add_uploads();
  void take_upload(const std::shared_ptr<Call>& call);
  void list_uploads(const std::shared_ptr<Call>& call);
  void show_upload(const std::shared_ptr<Call>& call);
  void delete_upload(const std::shared_ptr<Call>& call);
  void add_responses();
  std::string owner_of(const Call& call) const;  // whose key it shows; "" where nobody needs one
  Endpoint responses_endpoint(const Call& call);
  void respond(const std::shared_ptr<Call>& call);
  void count_response_tokens(const std::shared_ptr<Call>& call);
  void show_response(const std::shared_ptr<Call>& call);
  void delete_response(const std::shared_ptr<Call>& call);
  void cancel_response(const std::shared_ptr<Call>& call);

  ServiceOptions options_;
  std::vector<std::unique_ptr<ModelSlot>> models_;
  std::unique_ptr<ApiKeys> keys_;
  Metrics metrics_;
  ResponseStore responses_;
  UploadStore uploads_;
  const std::unique_ptr<const http::RemoteFiles> remote_;  // null: no addresses are read
  http::Router<Route> router_;
  std::atomic<bool> draining_ = false;
  http::Relay relay_;  // the last: what it runs refers to the rest
};

}  // namespace gemma4::serve

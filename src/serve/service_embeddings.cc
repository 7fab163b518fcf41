// Embeddings: inputs to sequences of the engine, and back.
#include <algorithm>
#include <cmath>
#include <utility>

#include "answer/prompt.h"
#include "base/strings.h"
#include "serve/embedding_api.h"
#include "serve/service_call.h"

namespace gemma4::serve {

namespace {

constexpr int64_t kMaxWaitingEmbeddings = 8192;

// Ids of every input, cut where the request wants that.
Result<std::vector<std::vector<int32_t>>> prompts_of(const ServedModel& model,
                                                     const EmbeddingRequest& request) {
  const int64_t width = model.loaded().model->config().text.hidden_size;
  if (request.dimensions && *request.dimensions != width)
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("dimensions: embeddings of this model have ", width,
                         ", and no other number; got ", *request.dimensions)};
  const int64_t most =
      std::min(request.max_tokens.value_or(model.context_tokens()), model.context_tokens() - 1);
  std::vector<std::vector<int32_t>> prompts;
  for (const RawPrompt& input : request.inputs) {
    const auto* ids = std::get_if<std::vector<int32_t>>(&input);
    prompts.push_back(
        ids != nullptr ? *ids : answer::encode_text(model.loaded(), std::get<std::string>(input)));
    const auto length = static_cast<int64_t>(prompts.back().size());
    if (length <= most) continue;
    if (!request.truncate)
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("input: text ", prompts.size() - 1, " has ", length,
                           " tokens, of which there may be ", most, "; shorten it")};
    prompts.back().resize(static_cast<size_t>(most));
  }
  return prompts;
}

void normalize(std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  if (sum == 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) * scale);
}

// The sequences of one request. All of it but submit() runs where the connection runs its work.
class EmbeddingRun : public std::enable_shared_from_this<EmbeddingRun> {
 public:
  using Done = std::function<void(Result<std::vector<std::vector<float>>>)>;
  EmbeddingRun(ModelLease model, size_t count, Done done)
      : model_(std::move(model)), embeddings_(count), done_(std::move(done)) {}

  // On a worker: may wait for the engine's step.
  void submit(std::vector<std::vector<int32_t>> prompts, const AnswerRun::Post& post) {
    const auto self = shared_from_this();
    for (size_t i = 0; i < prompts.size(); ++i) {
      const auto id = model_->source().submit(
          {.prompt = std::move(prompts[i]), .max_tokens = 1, .wants_embedding = true},
          [self, post, i](const engine::Event& event) {
            post([self, i, event] { self->receive(i, event); });
          });
      if (!id.ok()) return post([self, error = id.error()] { self->end(error); });
      post([self, id = id.value()] { self->submitted(id); });
    }
  }
  void cancel() {
    done_ = nullptr;
    cancel_all();
  }

 private:
  void submitted(engine::SequenceId id) {
    ids_.push_back(id);
    if (!done_) model_->source().cancel(id);
  }
  void receive(size_t index, engine::Event event) {
    if (!done_ || !event.finish) return;
    if (event.embedding.empty())
      return end(event.error.value_or(Error{ErrorCode::kUnavailable, "the server stopped"}));
    embeddings_[index] = std::move(event.embedding);
    if (++num_ended_ == embeddings_.size()) end(std::move(embeddings_));
  }
  void end(Result<std::vector<std::vector<float>>> result) {
    if (!done_) return;
    const Done done = std::exchange(done_, nullptr);
    if (!result.ok()) cancel_all();
    done(std::move(result));
  }
  void cancel_all() {
    for (const engine::SequenceId id : ids_) model_->source().cancel(id);  // not those that ended
  }

  const ModelLease model_;
  std::vector<std::vector<float>> embeddings_;
  Done done_;
  std::vector<engine::SequenceId> ids_;
  size_t num_ended_ = 0;
};

}  // namespace

void Service::add_embeddings() {
  for (const EmbeddingApi& api : {openai_embeddings(), ollama_embed(), ollama_embeddings()})
    add("POST", api.path, [this, api](const std::shared_ptr<Call>& call) { embed(call, api); });
}

void Service::embed(const std::shared_ptr<Call>& call, const EmbeddingApi& api) {
  if (draining_) return call->fail(ApiError{503, "the server is shutting down", "", 1});
  const auto body = read_body(*call);
  if (!body.ok()) return call->fail(body.error());
  auto request = api.parse(body.value());
  if (!request.ok()) return call->fail(request.error());
  const std::string name = request.value().model;
  const auto keep = request.value().keep_alive;
  with_model(call, name, keep,
             [this, call, api, request = std::move(request).value()](ModelLease model) mutable {
               embed(call, api, std::move(model), std::move(request));
             });
}

void Service::embed(const std::shared_ptr<Call>& call, const EmbeddingApi& api, ModelLease model,
                    EmbeddingRequest request) {
  if (model->source().stats().waiting_embeddings >= kMaxWaitingEmbeddings)
    return call->fail(ApiError{503, "the server is overloaded with embeddings; try again later",
                               "overloaded", 1});
  auto prompts = prompts_of(*model, request);
  if (!prompts.ok()) return call->fail(prompts.error());
  Usage usage;
  for (const auto& prompt : prompts.value())
    usage.prompt_tokens += static_cast<int64_t>(prompt.size());
  const std::string name = model->name();
  const auto run = std::make_shared<EmbeddingRun>(
      std::move(model), prompts.value().size(),
      [this, call, write = api.write, asked = std::move(request), name,
       usage](Result<std::vector<std::vector<float>>> made) {
        if (!made.ok()) return call->fail(made.error());
        EmbeddingAnswer answer{.model = name,
                               .embeddings = std::move(made).value(),
                               .prompt_tokens = usage.prompt_tokens};
        if (asked.normalize)
          for (std::vector<float>& embedding : answer.embeddings) normalize(embedding);
        answer.seconds =
            std::chrono::duration<double>(AnswerRun::Clock::now() - call->arrival).count();
        count_usage(*call, name, usage);
        call->reply(write(asked, answer));
      });
  call->exchange->on_gone([call, run] {
    call->gone();
    run->cancel();
  });
  run->submit(std::move(prompts).value(), [exchange = call->exchange](std::function<void()> work) {
    exchange->post(std::move(work));
  });
}

}  // namespace gemma4::serve

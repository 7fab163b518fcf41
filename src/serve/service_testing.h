// A service without sockets and without weights at work: requests go in as text, tokens come from a
// script.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/mapped_file.h"
#include "serve/log.h"
#include "serve/service.h"

#ifndef GEMMA4_SOURCE_DIR
#define GEMMA4_SOURCE_DIR "."  // where this header is compiled alone, to see that it can be
#endif

namespace gemma4::serve {

inline answer::LoadedModel demo_model() {
  static const answer::LoadedModel loaded = [] {
    answer::LoadedModel demo;
    demo.path = std::string(GEMMA4_SOURCE_DIR) + "/models/demo";
    demo.model =
        std::make_shared<const model::Model>(model::Model::load(demo.path, nullptr, {}).value());
    demo.tokenizer = std::make_shared<const text::Tokenizer>(
        text::Tokenizer::load(demo.path + "/tokenizer.json").value());
    demo.generation =
        model::parse_generation_config(io::read_file(demo.path + "/generation_config.json").value())
            .value();
    demo.stop_token_ids = demo.generation.eos_token_ids;
    return demo;
  }();
  return loaded;
}

// Answers each request with the next text of its script, markers written out ("<|tool_call>").
class ScriptedSource final : public TokenSource {
 public:
  struct Answer {
    std::string text;
    engine::FinishReason finish = engine::FinishReason::kStop;
    std::optional<Error> error = {};
    bool hangs = false;  // no ending before cancel()
  };
  std::vector<Answer> answers;
  std::vector<engine::Request> requests;
  std::vector<engine::SequenceId> cancelled;
  std::optional<Error> refusal;
  int64_t waiting = 0;
  int64_t waiting_embeddings = 0;
  bool hold_embeddings = false;  // they get no ending

  Result<engine::SequenceId> submit(engine::Request request, Sink sink) override {
    if (refusal) return *refusal;
    const engine::SequenceId id = next_++;
    if (request.wants_embedding) {
      engine::Event event{.sequence = id, .finish = engine::FinishReason::kStop};
      // Tells the prompts apart: its first id, and how many there are.
      event.embedding = {static_cast<float>(request.prompt.front()),
                         static_cast<float>(request.prompt.size())};
      requests.push_back(std::move(request));
      if (hold_embeddings) event = {.sequence = id};
      sink(event);
      return id;
    }
    const Answer answer =
        answers.empty() ? Answer{"ok"} : answers[requests.size() % answers.size()];
    auto ids = demo_model().tokenizer->encode(answer.text);
    requests.push_back(request);
    if (answer.finish == engine::FinishReason::kStop) ids.push_back(request.stop_token_ids.front());
    const auto limit = static_cast<size_t>(request.max_tokens);
    const bool is_cut = ids.size() > limit;
    if (is_cut) ids.resize(limit);
    for (size_t i = 0; i < ids.size(); ++i) {
      engine::Event event{.sequence = id, .token = token(ids[i], request)};
      if (i + 1 == ids.size() && !answer.hangs && !answer.error)
        event.finish = is_cut ? engine::FinishReason::kLength : answer.finish;
      sink(event);
    }
    if (answer.error)
      sink({.sequence = id, .finish = engine::FinishReason::kError, .error = answer.error});
    return id;
  }
  void cancel(engine::SequenceId id) override { cancelled.push_back(id); }
  void cancel_all() override {}  // scripts have no sequence under way
  Stats stats() const override {
    return {.waiting = waiting, .waiting_embeddings = waiting_embeddings};
  }

 private:
  static engine::SampledToken token(int32_t id, const engine::Request& request) {
    engine::SampledToken token{.id = id};
    const int32_t count = request.sampling.num_logprobs;
    if (count >= 0) token.logprob = -0.5f;
    for (int32_t i = 0; i < count; ++i)
      token.top.push_back({i == 0 ? id : 300 + i, -0.5f - static_cast<float>(i)});
    return token;
  }
  engine::SequenceId next_ = 1;
};

class FakeExchange final : public http::Exchange,
                           public std::enable_shared_from_this<FakeExchange> {
 public:
  explicit FakeExchange(http::Request request) : request_(std::move(request)) {}
  const http::Request& request() const override { return request_; }
  std::string take_body() override { return std::move(request_.body); }
  void reply(http::Response from) override {
    response = std::move(from);
    end_stream();
  }
  void begin_stream(http::Response from) override {
    ++num_beginnings;
    response = std::move(from);
  }
  void write(std::string piece) override {
    EXPECT_EQ(num_endings, 0);
    EXPECT_EQ(num_beginnings, 1);
    response.body += piece;
  }
  void end_stream() override {
    ++num_endings;
    gone = nullptr;  // as a connection does: it holds on to the exchange
  }
  void on_gone(std::function<void()> to) override {
    if (num_endings == 0) gone = std::move(to);
  }
  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  void run_on_worker(std::function<void()> work) override { post(std::move(work)); }
  // What was posted, until nothing is left.
  void run() {
    while (const auto work = next()) work();
  }

  http::Response response;
  int num_beginnings = 0, num_endings = 0;
  std::function<void()> gone;

 private:
  std::function<void()> next() {
    const std::lock_guard lock(mutex_);
    if (work_.empty()) return nullptr;
    auto work = std::move(work_.front());
    work_.pop_front();
    return work;
  }
  http::Request request_;
  std::mutex mutex_;
  std::deque<std::function<void()>> work_;  // guarded by it
};

class ServiceTest : public ::testing::Test {
 protected:
  explicit ServiceTest(ServiceOptions options = {.version = "1.2.3"},
                       std::unique_ptr<ApiKeys> keys = nullptr) {
    silence_log();
    auto source = std::make_unique<ScriptedSource>();
    script = source.get();
    ModelParts parts{
        .name = "demo", .loaded = demo_model(), .source = std::move(source), .context_tokens = 512};
    std::vector<std::unique_ptr<ModelSlot>> models;
    models.push_back(std::make_unique<ModelSlot>(ServedModel::create(std::move(parts)).value()));
    service = std::make_unique<Service>(std::move(options), std::move(models), std::move(keys));
    handlers = service->handlers();
  }

  std::shared_ptr<FakeExchange> send(http::Request request) {
    const auto exchange = std::make_shared<FakeExchange>(std::move(request));
    if (auto refusal = handlers.admit(exchange->request())) {
      exchange->reply(*std::move(refusal));
      return exchange;
    }
    handlers.handle(exchange);
    exchange->run();
    return exchange;
  }
  std::shared_ptr<FakeExchange> post(const std::string& path, const std::string& body) {
    return send({.method = "POST", .path = path, .body = body});
  }
  std::shared_ptr<FakeExchange> get(const std::string& path) {
    return send({.method = "GET", .path = path});
  }
  // The body of an answer that must have come with this status.
  json::Value answer(const std::string& path, const std::string& body, int status = 200) {
    const auto exchange = post(path, body);
    EXPECT_EQ(exchange->response.status, status) << exchange->response.body;
    EXPECT_EQ(exchange->num_endings, 1);
    auto value = json::parse(exchange->response.body);
    EXPECT_TRUE(value.ok()) << exchange->response.body;
    return value.ok() ? value.value() : json::Value();
  }

  ScriptedSource* script;
  std::unique_ptr<Service> service;
  http::Handlers handlers;
};

// Whether it comes true within ten seconds.
inline bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// The member at "a.0.b", which must be there.
inline json::Value at(const json::Value& value, const std::string& path) {
  const json::Value* here = &value;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string step = path.substr(begin, end - begin);
    const json::Value* next = nullptr;
    if (here->is_array()) {
      const size_t index = std::stoul(step);
      if (index < here->as_array().size()) next = &here->as_array()[index];
    } else {
      next = here->find(step);
    }
    if (next == nullptr) {
      ADD_FAILURE() << path << " is not in " << json::dump(value);
      return {};
    }
    here = next;
    begin = end + 1;
  }
  return *here;
}
inline std::string text_at(const json::Value& value, const std::string& path) {
  const json::Value found = at(value, path);
  return found.is_string() ? found.as_string() : json::dump(found);
}

// The data of a stream of server-sent events, "[DONE]" as a string.
struct SseEvent {
  std::string name;
  json::Value data;
};
inline std::vector<SseEvent> sse_events(const std::string& text) {
  std::vector<SseEvent> events;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find("\n\n", begin);
    if (end == text.npos) {
      ADD_FAILURE() << "the stream ends within an event";
      break;
    }
    std::string block = text.substr(begin, end - begin);
    begin = end + 2;
    SseEvent event;
    if (block.starts_with("event: ")) {
      const size_t line = block.find('\n');
      event.name = block.substr(7, line - 7);
      block = block.substr(line + 1);
    }
    EXPECT_TRUE(block.starts_with("data: ")) << block;
    const std::string data = block.substr(6);
    auto value = json::parse(data);
    event.data = value.ok() ? value.value() : json::Value(data);
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace gemma4::serve

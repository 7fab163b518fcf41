// The service while its model is not loaded: what answers all the same, what waits, and Ollama's
// keep_alive.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kHello = R"({"model":"demo","messages":[{"role":"user","content":"hi"}]})";

class IdleUnload : public ServiceTest {
 protected:
  void SetUp() override {
    std::vector<std::unique_ptr<ModelSlot>> models;
    models.push_back(std::make_unique<ModelSlot>(
        make_model(),
        ModelSlot::IdleUnload{.after = hours(1),
                              .load = [this]() -> Result<std::unique_ptr<ServedModel>> {
                                { const std::lock_guard lock(gate); }
                                if (fails) return Error{ErrorCode::kIo, "/secret is gone"};
                                return make_model();
                              }}));
    slot = models.front().get();
    service = std::make_unique<Service>(ServiceOptions{.max_waiting = 3}, std::move(models));
    handlers = service->handlers();
  }
  static std::unique_ptr<ServedModel> make_model() {
    return ServedModel::create({.name = "demo",
                                .loaded = demo_model(),
                                .source = std::make_unique<ScriptedSource>(),
                                .context_tokens = 512})
        .value();
  }
  static const http::Response& end(FakeExchange& exchange) {
    EXPECT_TRUE(soon([&] {
      exchange.run();
      return exchange.num_endings > 0;
    }));
    return exchange.response;
  }
  std::string ask(const std::string& path, const std::string& body = "", int status = 200) {
    const auto exchange = body.empty() ? get(path) : post(path, body);
    const http::Response& response = end(*exchange);
    EXPECT_EQ(response.status, status) << path << ": " << response.body;
    return response.body;
  }
  bool is_given_back() const {
    return soon([&] { return !slot->stats().is_loaded; });
  }
  void unload() const {
    slot->expire();
    ASSERT_TRUE(is_given_back());
  }

  std::atomic<bool> fails = false;
  std::mutex gate;  // who holds it holds loads up
  ModelSlot* slot = nullptr;
};

TEST_F(IdleUnload, ListsAndOperationsNeedNoModel) {
  EXPECT_THAT(ask("/api/ps"), HasSubstr(R"("name":"demo")"));
  EXPECT_THAT(ask("/metrics"), HasSubstr("gemma4_model_loaded{model=\"demo\"} 1"));
  unload();
  ask("/health");
  ask("/ready");
  EXPECT_THAT(ask("/v1/models"), HasSubstr(R"("max_model_len":512)"));
  EXPECT_THAT(ask("/v1/models/demo"), HasSubstr(R"("id":"demo")"));
  EXPECT_THAT(ask("/api/tags"), HasSubstr(R"("name":"demo")"));
  EXPECT_THAT(ask("/api/show", R"({"model":"demo"})"), HasSubstr("gemma4.block_count"));
  EXPECT_EQ(ask("/api/ps"), "{\"models\":[]}\n");
  EXPECT_TRUE(soon([&] {
    return ask("/metrics").find("gemma4_model_unloads{model=\"demo\"} 1") != std::string::npos;
  }));
  EXPECT_THAT(ask("/metrics"), HasSubstr("gemma4_model_loaded{model=\"demo\"} 0"));
  ask("/v1/chat/completions", R"({"model":"none","messages":[{"role":"user","content":"x"}]})",
      404);
  ask("/v1/chat/completions", "{}", 400);
  EXPECT_EQ(slot->stats().loads, 0);
}

TEST_F(IdleUnload, WhatNeedsTheModelWaitsForIt) {
  int64_t loads = 0;
  for (const auto& [path, body] : std::initializer_list<std::pair<const char*, const char*>>{
           {"/v1/chat/completions", kHello},
           {"/api/chat", kHello},
           {"/v1/responses", R"({"input":"hi"})"},
           {"/v1/responses/input_tokens", R"({"input":"hi"})"},
           {"/v1/messages/count_tokens", kHello},
           {"/v1/embeddings", R"({"input":"hi"})"},
           {"/tokenize", R"({"content":"hi"})"},
           {"/detokenize", R"({"tokens":[5]})"}}) {
    unload();
    ask(path, body);
    EXPECT_EQ(slot->stats().loads, ++loads) << path;
    ask(path, body);
    EXPECT_EQ(slot->stats().loads, loads) << path;
  }
}

TEST_F(IdleUnload, ALoadThatFailsIsA503AndTriedAgain) {
  unload();
  fails = true;
  const std::string body = ask("/v1/chat/completions", kHello, 503);
  EXPECT_THAT(body, HasSubstr("the model \\\"demo\\\" cannot be loaded now"));
  EXPECT_THAT(body, Not(HasSubstr("secret")));
  ask("/v1/messages", R"({"max_tokens":1,"messages":[{"role":"user","content":"x"}]})", 529);
  fails = false;
  ask("/v1/chat/completions", kHello);
  EXPECT_EQ(slot->stats().failed_loads, 2);
}

TEST_F(IdleUnload, WhoWaitsForALoadIsInTheQueue) {
  std::unique_lock held(gate);
  unload();
  std::vector<std::shared_ptr<FakeExchange>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(post("/v1/chat/completions", kHello));
  EXPECT_THAT(ask("/metrics"), HasSubstr("gemma4_num_requests_waiting{model=\"demo\"} 3"));
  EXPECT_THAT(ask("/v1/chat/completions", kHello, 503), HasSubstr("overloaded"));
  EXPECT_THAT(ask("/v1/embeddings", R"({"input":"hi"})", 503), HasSubstr("overloaded"));
  ASSERT_TRUE(waiting.back()->gone);
  std::exchange(waiting.back()->gone, nullptr)();
  held.unlock();
  EXPECT_EQ(end(*waiting[0]).status, 200);
  EXPECT_EQ(end(*waiting[1]).status, 200);
  waiting[2]->run();  // its client has gone
  EXPECT_EQ(waiting[2]->num_endings, 0);
  EXPECT_EQ(slot->stats().loads, 1);
}

TEST_F(IdleUnload, AServerThatEndsTellsThoseWhoWait) {
  std::unique_lock held(gate);
  unload();
  const auto waiting = post("/v1/chat/completions", kHello);
  service->begin_drain();
  EXPECT_EQ(waiting->num_endings, 0);
  service->end_answers();
  EXPECT_EQ(end(*waiting).status, 503);
  EXPECT_THAT(waiting->response.body, HasSubstr("shutting down"));
  held.unlock();
}

TEST_F(IdleUnload, KeepAliveIsUntilTheNextRequestSaysOtherwise) {
  const auto keep = [](const char* text) {
    return str_cat(R"({"model":"demo","stream":false,"messages":[{"role":"user","content":"x"}],)",
                   R"("keep_alive":)", text, "}");
  };
  const auto hours_left = [&] {
    return (slot->remaining().value() + milliseconds(59'999)) / hours(1);
  };
  ask("/api/chat", keep("\"5h\""));
  EXPECT_EQ(hours_left(), 5);
  ask("/v1/chat/completions", kHello);
  EXPECT_EQ(hours_left(), 5);
  ask("/api/chat", keep("7200"));
  EXPECT_EQ(hours_left(), 2);
  ask("/api/chat", keep("-1"));
  EXPECT_GT(hours_left(), 800'000);
  for (const char* wrong : {"\"5 minutes\"", "\"\"", "true", "[]"})
    EXPECT_THAT(ask("/api/chat", keep(wrong), 400), HasSubstr("keep_alive: expected")) << wrong;
  ask("/api/chat", keep("0"));
  EXPECT_TRUE(is_given_back());
  ask("/api/embed", R"({"model":"demo","input":"a","keep_alive":"0s"})");
  EXPECT_TRUE(is_given_back());
  EXPECT_EQ(slot->stats().loads, 1);
  ask("/api/generate", R"({"model":"demo","prompt":"a","keep_alive":10800})");
  EXPECT_EQ(hours_left(), 3);
}

TEST_F(IdleUnload, RequestsWithoutAPromptLoadAndUnload) {
  EXPECT_THAT(ask("/api/generate", R"({"model":"demo","keep_alive":0})"),
              testing::AllOf(HasSubstr(R"("response":"")"), HasSubstr(R"("done":true)"),
                             HasSubstr(R"("done_reason":"unload")")));
  ASSERT_TRUE(is_given_back());
  EXPECT_THAT(ask("/api/chat", R"({"model":"demo","messages":[],"keep_alive":0})"),
              HasSubstr("unload"));
  EXPECT_EQ(slot->stats().loads, 0);
  EXPECT_THAT(ask("/api/generate", R"({"model":"demo:latest","prompt":"","keep_alive":"2h"})"),
              HasSubstr(R"("done_reason":"load")"));
  EXPECT_EQ(slot->stats().loads, 1);
  const json::Value models = json::parse(ask("/api/ps")).value();
  const auto in_two_hours = std::chrono::duration_cast<std::chrono::seconds>(
      (std::chrono::system_clock::now() + hours(2)).time_since_epoch());
  EXPECT_EQ(text_at(models, "models.0.expires_at").substr(0, 14),
            time_text(in_two_hours.count()).substr(0, 14));
  EXPECT_THAT(ask("/api/chat", R"({"model":"demo","messages":[]})"),
              testing::AllOf(HasSubstr(R"("message":{"role":"assistant","content":""})"),
                             HasSubstr(R"("done_reason":"load")")));
  ask("/api/generate", R"({"model":"none","keep_alive":0})", 404);
  ask("/api/generate", R"({"keep_alive":0})", 400);
}

class NoIdleUnload : public ServiceTest {};

TEST_F(NoIdleUnload, KeepAliveChangesNothing) {
  answer("/api/chat",
         R"({"stream":false,"messages":[{"role":"user","content":"x"}],"keep_alive":0})");
  EXPECT_EQ(text_at(answer("/api/generate", R"({"model":"demo","keep_alive":0})"), "done_reason"),
            "load");
  EXPECT_THAT(get("/api/ps")->response.body, HasSubstr(R"("name":"demo")"));
  EXPECT_THAT(get("/metrics")->response.body, HasSubstr("gemma4_model_loaded{model=\"demo\"} 1"));
}

}  // namespace
}  // namespace gemma4::serve

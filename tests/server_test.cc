// The whole server in one process, from its sockets to the engine's thread, with the demo model and
// many clients at a time.

#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "apps/interrupt.h"
#include "base/strings.h"
#include "http/client_testing.h"
#include "json/json.h"
#include "serve/engine_source.h"
#include "serve/service_testing.h"

namespace gemma4 {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class WholeServer : public ::testing::Test {
 protected:
  void SetUp() override {
    serve::silence_log();
    start(std::make_unique<serve::ModelSlot>(make_model().value()));
  }
  void start(std::unique_ptr<serve::ModelSlot> model) {
    std::vector<std::unique_ptr<serve::ModelSlot>> models;
    models.push_back(std::move(model));
    const http::ServerOptions options{.port = 0, .max_connections = 64, .num_workers = 4};
    service_ = std::make_unique<serve::Service>(
        serve::ServiceOptions{.version = "1", .http = options}, std::move(models));
    server_ = http::Server::start(options, service_->handlers()).value();
  }
  void TearDown() override {
    service_->begin_drain();
    server_->drain(std::chrono::seconds(60));
    service_.reset();
  }

  static Result<std::unique_ptr<serve::ServedModel>> make_model() {
    G4_ASSIGN_OR_RETURN(auto engine, engine::EngineThread::create(serve::demo_model().model,
                                                                  {.context_tokens = 512,
                                                                   .max_sequences = 4,
                                                                   .chunk_tokens = 64,
                                                                   .prefix_windows = 8,
                                                                   .step_target_seconds = 0.05,
                                                                   .cpu = {.num_threads = 2}}));
    return serve::ServedModel::create(
        {.name = "demo",
         .loaded = serve::demo_model(),
         .source = std::make_unique<serve::EngineSource>(std::move(engine)),
         .context_tokens = 512});
  }
  static std::string post(const std::string& path, const std::string& body) {
    return str_cat("POST ", path,
                   " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ", body.size(),
                   "\r\n\r\n", body);
  }
  static std::string question(int i) {
    return str_cat(R"({"messages":[{"role":"user","content":"What is )", 20 + i, " plus ", 30 + i,
                   R"(?"}],"temperature":0,"max_tokens":12})");
  }
  // The content of a chat's answer as it comes over a connection of its own.
  std::string ask(int i) {
    http::TestClient client(server_->port());
    client.send(post("/v1/chat/completions", question(i)));
    const std::string text = client.read_all();
    EXPECT_THAT(text, StartsWith("HTTP/1.1 200"));
    const auto body = json::parse(text.substr(text.find("\r\n\r\n") + 4));
    return body.ok() ? serve::text_at(body.value(), "choices.0.message.content") : text;
  }
  std::string get(const std::string& path) {
    http::TestClient client(server_->port());
    client.send(str_cat("GET ", path, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    return client.read_all();
  }

  std::unique_ptr<serve::Service> service_;
  std::unique_ptr<http::Server> server_;
};

// A request that does not end by itself within the test.
std::string endless() {
  return R"({"messages":[{"role":"user","content":"hi"}],"temperature":0,"max_tokens":480,
             "frequency_penalty":-100,"stream":true})";
}

TEST_F(WholeServer, EveryoneGetsTheAnswerOfTheirQuestion) {
  constexpr int kQuestions = 4;
  std::vector<std::string> alone;
  for (int i = 0; i < kQuestions; ++i) alone.push_back(ask(i));
  std::atomic<bool> done = false;
  std::thread watcher([&] {
    while (!done) EXPECT_THAT(get("/metrics"), HasSubstr("gemma4_num_requests_running"));
  });
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 3; ++i) {
        const int which = (c + i) % kQuestions;
        EXPECT_EQ(ask(which), alone[static_cast<size_t>(which)]);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  done = true;
  watcher.join();
}

class IdleServer : public WholeServer {
 protected:
  void SetUp() override {
    serve::silence_log();
    start(std::make_unique<serve::ModelSlot>(
        make_model().value(),
        serve::ModelSlot::IdleUnload{.after = std::chrono::milliseconds(0), .load = make_model}));
  }
};

// Some leave, perhaps while they wait for the model.
TEST_F(IdleServer, EveryoneGetsTheirAnswerOfAModelThatComesAndGoes) {
  const std::string alone = ask(1);
  std::vector<std::thread> clients;
  for (int c = 0; c < 6; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 5; ++i) {
        if ((c + i) % 3 != 0) {
          EXPECT_EQ(ask(1), alone);
          continue;
        }
        http::TestClient client(server_->port());
        client.send(post("/v1/chat/completions", endless()));
        if (i % 2 == 0) client.read_until("data: ");
        std::this_thread::sleep_for(std::chrono::milliseconds(i));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(serve::soon([&] {
    return get("/metrics").find("gemma4_model_loaded{model=\"demo\"} 0\n") != std::string::npos;
  }));
}

TEST_F(IdleServer, EndsAtAnyMomentOfALoad) {
  for (const int delay : {0, 1, 2, 4, 8, 16}) {
    http::TestClient client(server_->port());
    client.send(post("/v1/chat/completions", endless()));
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    service_->begin_drain();
    service_->end_answers();
    EXPECT_TRUE(server_->drain(std::chrono::seconds(60)));
    service_.reset();
    SetUp();
  }
}

TEST_F(WholeServer, ClientsThatLeaveGiveTheirPlaceAway) {
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&] {
      http::TestClient client(server_->port());
      client.send(post("/v1/chat/completions", endless()));
      EXPECT_THAT(client.read_until("data: "), StartsWith("HTTP/1.1 200"));
    });
  }
  for (std::thread& client : clients) client.join();
  for (int i = 0; i < 600; ++i) {
    const std::string text = get("/metrics");
    if (text.find("gemma4_num_requests_running{model=\"demo\"} 0\n") != text.npos &&
        text.find("gemma4_num_requests_waiting{model=\"demo\"} 0\n") != text.npos)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  FAIL() << "what was left is still running";
}

TEST_F(WholeServer, DrainingLetsAnswersEnd) {
  std::vector<std::thread> clients;
  std::atomic<int> begun = 0, ended = 0;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      http::TestClient client(server_->port());
      client.send(post("/v1/chat/completions",
                       R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":40,
                           "temperature":0,"frequency_penalty":-100,"stream":true})"));
      std::string text = client.read_until("data: ");
      ++begun;
      text += client.read_all();
      if (text.find("data: [DONE]") != text.npos) ++ended;
    });
  }
  while (begun < 4) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  service_->begin_drain();
  EXPECT_TRUE(server_->drain(std::chrono::seconds(60)));
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(ended, 4);
}

// Signals of a process come to any of its threads; the one that waits for them sees it.
TEST_F(WholeServer, ASignalToAnyThreadDrains) {
  http::TestClient client(server_->port());
  client.send(post("/v1/chat/completions",
                   R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":40,
                       "temperature":0,"frequency_penalty":-100,"stream":true})"));
  std::string text = client.read_until("data: ");
  {
    const apps::InterruptGuard guard;
    EXPECT_FALSE(guard.interrupted());
    std::thread other([] { pthread_kill(pthread_self(), SIGTERM); });
    while (!guard.interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(guard.terminated());
    other.join();
  }
  service_->begin_drain();
  EXPECT_TRUE(server_->drain(std::chrono::seconds(60)));
  text += client.read_all();
  EXPECT_THAT(text, HasSubstr("data: [DONE]"));
}

}  // namespace
}  // namespace gemma4

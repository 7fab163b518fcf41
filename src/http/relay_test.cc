// Requests that another server answers; that server is of this process.
#include "http/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <optional>

#include "base/strings.h"
#include "http/server.h"

namespace gemma4::http {
namespace {

using std::chrono::milliseconds;

// What came back
struct Answer {
  std::mutex mutex;
  std::condition_variable changed;
  int status = 0;
  std::string content_type, body;
  std::optional<Status> end;
  std::atomic<bool> is_gone = false;

  Relay::Listener listener() {
    return {.head =
                [this](int with, std::string type) {
                  const std::lock_guard lock(mutex);
                  EXPECT_EQ(status, 0);
                  status = with;
                  content_type = std::move(type);
                },
            .piece =
                [this](const std::string& piece) {
                  const std::lock_guard lock(mutex);
                  EXPECT_NE(status, 0);
                  body += piece;
                  changed.notify_all();
                },
            .end =
                [this](Status with) {
                  const std::lock_guard lock(mutex);
                  EXPECT_FALSE(end);
                  end = std::move(with);
                  changed.notify_all();
                },
            .is_gone = [this] { return is_gone.load(); }};
  }
  template <typename Condition>
  void wait(const Condition& condition) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), condition));
  }
  void wait_end() {
    wait([this] { return end.has_value(); });
  }
};

class Relays : public ::testing::Test {
 protected:
  void serve(std::function<void(std::shared_ptr<Exchange>)> handle) {
    auto server = Server::start({.port = 0}, {.handle = std::move(handle)});
    ASSERT_TRUE(server.ok());
    server_ = std::move(server).value();
  }
  Relay::Request request(std::string body = "") const {
    return {.url = str_cat("http://127.0.0.1:", server_->port(), "/v1/x"),
            .headers = {{"Authorization", "Bearer k"}, {"Content-Type", "application/json"}},
            .body = std::move(body)};
  }
  std::unique_ptr<Server> server_;
};

TEST_F(Relays, AnswersComeBackAsTheyAre) {
  serve([](const std::shared_ptr<Exchange>& exchange) {
    const Request& got = exchange->request();
    exchange->reply({.status = got.body.empty() ? 204 : 418,
                     .body = got.body.empty() ? ""
                                              : str_cat(got.method, " ", got.path, " ",
                                                        got.header("authorization"), " ", got.body),
                     .content_type = "text/odd"});
  });
  Relay relay;
  Answer answer, empty;
  const std::string body(200'000, 'b');
  ASSERT_TRUE(relay.start(request(body), answer.listener()));
  ASSERT_TRUE(relay.start(request(), empty.listener()));
  answer.wait_end();
  EXPECT_TRUE(answer.end->ok());
  EXPECT_EQ(answer.status, 418);
  EXPECT_EQ(answer.content_type, "text/odd");
  EXPECT_EQ(answer.body, "POST /v1/x Bearer k " + body);
  empty.wait_end();
  EXPECT_TRUE(empty.end->ok());
  EXPECT_EQ(empty.status, 204);
}

TEST_F(Relays, StreamsComePieceByPieceAndEndWithTheClient) {
  std::mutex mutex;
  std::shared_ptr<Exchange> streaming;
  std::atomic<bool> upstream_gone = false;
  serve([&](const std::shared_ptr<Exchange>& exchange) {
    const std::lock_guard lock(mutex);
    exchange->on_gone([&] { upstream_gone = true; });
    exchange->begin_stream({.body = "one,", .content_type = "text/event-stream"});
    streaming = exchange;
  });
  Relay relay;
  Answer answer;
  ASSERT_TRUE(relay.start(request("x"), answer.listener()));
  answer.wait([&] { return answer.body == "one,"; });
  {
    const std::lock_guard lock(mutex);
    streaming->write("two");
  }
  answer.wait([&] { return answer.body == "one,two"; });
  answer.is_gone = true;
  answer.wait_end();
  EXPECT_EQ(answer.end->error().code, ErrorCode::kCancelled);
  for (int i = 0; i < 300 && !upstream_gone; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(upstream_gone);
  const std::lock_guard lock(mutex);
  streaming = nullptr;
}

TEST_F(Relays, WhatDoesNotAnswerIsSaidAndWhatRunsCanBeCutOff) {
  std::atomic<int> asked = 0;
  serve([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->begin_stream({.body = "begun"});  // and never ends
    ++asked;
  });
  Answer nobody, first, second;
  {
    Relay relay(1);
    ASSERT_TRUE(relay.start({.url = "http://127.0.0.1:1/"}, nobody.listener()));
    nobody.wait_end();
    EXPECT_EQ(nobody.end->error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(nobody.status, 0);
    // Its thread may still be on its way out.
    for (int i = 0; i < 300 && !relay.start(request("x"), first.listener()); ++i)
      std::this_thread::sleep_for(milliseconds(10));
    first.wait([&] { return first.body == "begun"; });
    EXPECT_FALSE(relay.start(request("x"), second.listener()));
  }
  EXPECT_EQ(first.end->error().code, ErrorCode::kCancelled);
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(second.end);
}

}  // namespace
}  // namespace gemma4::http

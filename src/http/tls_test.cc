// The server over TLS: what it shows, what it refuses, and that a connection is as good as a plain
// one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "http/server.h"
#include "http/tls_testing.h"

namespace gemma4::http {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    options_ = {.certificate = folder_ + "/certificate.pem", .key = folder_ + "/key.pem"};
    write(make_certificate("first"));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Both files, with a time that differs from the former one's.
  void write(const TestCertificate& pair) {
    write(options_.certificate, pair.certificate);
    write(options_.key, pair.key);
  }
  void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() + std::chrono::seconds(++writes_));
  }
  Result<std::unique_ptr<Server>> start(std::function<void(std::shared_ptr<Exchange>)> handle) {
    return Server::start({.port = 0,
                          .max_body_bytes = 100'000,
                          .header_timeout = milliseconds(500),
                          .tls = options_},
                         {.handle = std::move(handle), .fault = [](Fault fault, const Request&) {
                            return Response{.status = status_of(fault), .body = "fault"};
                          }});
  }
  std::unique_ptr<Server> serve(std::function<void(std::shared_ptr<Exchange>)> handle = echo) {
    auto server = start(std::move(handle));
    EXPECT_TRUE(server.ok()) << server.error().message;
    return std::move(server).value();
  }
  static void echo(const std::shared_ptr<Exchange>& exchange) {
    exchange->reply(
        {.body = str_cat(exchange->request().path, " ", exchange->request().body, " end")});
  }
  void expect_refused(ErrorCode code, const std::string& file) {
    const auto server = start(echo);
    ASSERT_FALSE(server.ok());
    EXPECT_EQ(server.error().code, code) << server.error().message;
    EXPECT_THAT(server.error().message, HasSubstr(file));
  }

  std::string folder_ = ::testing::TempDir() + "gemma4-tls-XXXXXX";
  TlsOptions options_;
  int writes_ = 0;
};

TEST_F(Tls, AnswersOneRequestAfterTheOther) {
  const auto server = serve();
  TlsClient client(server->port());
  ASSERT_TRUE(client.connected());
  EXPECT_EQ(client.server_name(), "first");
  EXPECT_EQ(client.protocol(), "http/1.1");
  for (const std::string& body : {std::string("hello"), std::string(60'000, 'x'), std::string()}) {
    client.send(
        str_cat("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
    EXPECT_THAT(client.read_until(" end"),
                AllOf(StartsWith("HTTP/1.1 200"), EndsWith(str_cat("/a ", body, " end"))));
  }
  client.send("GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_all(), HasSubstr("/last"));
  EXPECT_TRUE(client.ended());
}

TEST_F(Tls, StreamsComePieceByPieceAndAClientThatLeavesIsNoticed) {
  std::atomic<bool> gone = false;
  std::shared_ptr<Exchange> streaming;
  std::mutex mutex;
  const auto server = serve([&](const std::shared_ptr<Exchange>& exchange) {
    const std::lock_guard lock(mutex);  // the client may see "one" before this ends
    exchange->on_gone([&] { gone = true; });
    exchange->begin_stream({});
    exchange->write("one");
    streaming = exchange;
  });
  TlsClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("one\r\n"), HasSubstr("chunked"));
  {
    const std::lock_guard lock(mutex);
    for (int i = 0; i < 100; ++i) streaming->write(std::string(10'000, 'z'));
    streaming->write("two");
  }
  // A letter that no chunk's size has.
  EXPECT_EQ(std::ranges::count(client.read_until("two\r\n"), 'z'), 1'000'000);
  EXPECT_FALSE(gone);
  client.close();
  for (int i = 0; i < 200 && !gone; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(gone);
  const std::lock_guard lock(mutex);
  streaming = nullptr;
}

TEST_F(Tls, ARequestThatIsRefusedWhileItComesGetsItsAnswer) {
  const auto server = serve();
  TlsClient client(server->port());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  client.send(std::string(300'000, 'x'));
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413"));
}

TEST_F(Tls, WhoSpeaksNoTlsOrOldTlsOrNothingIsCutOff) {
  const auto server = serve();
  TestClient plain(server->port());
  plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(plain.read_all().find("HTTP/1.1 200"), std::string::npos);
  EXPECT_TRUE(plain.closed());
  EXPECT_FALSE(TlsClient(server->port(), TLS1_1_VERSION).connected());
  EXPECT_TRUE(TlsClient(server->port(), TLS1_2_VERSION).connected());
  TestClient silent(server->port());
  EXPECT_EQ(silent.read_until("", milliseconds(5000)), "");
  EXPECT_TRUE(silent.closed());
  for (int i = 0; i < 200 && server->num_connections() > 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(server->num_connections(), 0);
}

TEST_F(Tls, ManyConnectionsAtOnce) {
  const auto server = serve();
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i)
    clients.emplace_back([&, i] {
      for (int n = 0; n < 10; ++n) {
        TlsClient client(server->port());
        client.send(str_cat("GET /", i, "-", n, " HTTP/1.1\r\nHost: x\r\n\r\n"));
        if (client.read_until(" end").ends_with(str_cat("/", i, "-", n, "  end"))) ++answered;
      }
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 80);
}

TEST_F(Tls, FilesThatAreNotTheRightOnesAreNamed) {
  const TestCertificate other = make_certificate("other");
  write(options_.key, other.key);
  expect_refused(ErrorCode::kInvalidArgument, "key.pem is not that of the certificate in");
  write(options_.key, make_certificate("x", "a phrase").key);
  expect_refused(ErrorCode::kInvalidData, "key.pem is no private key in PEM without a pass phrase");
  write(options_.key, "");
  expect_refused(ErrorCode::kInvalidData, "key.pem");
  write(options_.certificate, "-----BEGIN CERTIFICATE-----\nnothing\n");
  expect_refused(ErrorCode::kInvalidData, "certificate.pem is no certificate in PEM");
  options_.key = folder_ + "/none.pem";
  expect_refused(ErrorCode::kNotFound, "none.pem");
}

TEST_F(Tls, RenewedFilesAreUsedAndWrongOnesAreNot) {
  std::mutex mutex;
  std::string complaint;
  options_.on_error = [&](const Error& error) {
    const std::lock_guard lock(mutex);
    complaint = error.message;
  };
  const auto server = serve();
  const auto name = [&] { return TlsClient(server->port()).server_name(); };
  const auto until = [&](const auto& condition) {
    for (int i = 0; i < 300 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(20));
    return condition();
  };
  EXPECT_EQ(name(), "first");
  write(make_certificate("second"));
  EXPECT_TRUE(until([&] { return name() == "second"; }));
  write(options_.certificate, make_certificate("third").certificate);  // its key is not there yet
  EXPECT_TRUE(until([&] {
    EXPECT_EQ(name(), "second");
    const std::lock_guard lock(mutex);
    return complaint.find("is not that of the certificate") != complaint.npos;
  }));
}

}  // namespace
}  // namespace gemma4::http

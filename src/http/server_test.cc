// The server over real sockets: what clients send, well and badly, and what they get.
#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "http/client_testing.h"

namespace gemma4::http {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

ServerOptions quick() {
  return {.port = 0,
          .max_connections = 8,
          .max_header_bytes = 4096,
          .max_body_bytes = 100'000,
          .max_unsent_bytes = 1 << 20,
          .header_timeout = milliseconds(300),
          .body_timeout = milliseconds(300),
          .idle_timeout = milliseconds(2000),
          .write_timeout = milliseconds(2000)};
}

Handlers answering(std::function<void(std::shared_ptr<Exchange>)> handle) {
  return {.handle = std::move(handle), .fault = [](Fault fault, const Request&) {
            return Response{.status = status_of(fault), .body = text_of(fault, quick())};
          }};
}

// Answers with what it got.
void echo(const std::shared_ptr<Exchange>& exchange) {
  const Request& request = exchange->request();
  exchange->reply({.body = str_cat(request.method, " ", request.path, "?", request.query, " ",
                                   request.header("X-Mark"), " ", request.body)});
}

std::unique_ptr<Server> serve(Handlers handlers, const ServerOptions& options = quick()) {
  auto server = Server::start(options, std::move(handlers));
  EXPECT_TRUE(server.ok()) << server.error().message;
  return std::move(server).value();
}

TEST(HttpServer, AnswersOneRequestAfterTheOther) {
  const auto server = serve(answering(echo));
  TestClient client(server->port());
  client.send("POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nx-mark: 7\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_THAT(client.read_until("hello"),
              AllOf(StartsWith("HTTP/1.1 200"), EndsWith("\r\n\r\nPOST /a/b?c=d 7 hello")));
  client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\nGET /third HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("/third?"),
              AllOf(HasSubstr("GET /next?"), HasSubstr("GET /third?")));
  EXPECT_FALSE(client.closed());
}

TEST(HttpServer, HeadHasTheHeadersOfGet) {
  const auto server = serve(answering(echo));
  TestClient client(server->port());
  client.send("HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_all(), AllOf(HasSubstr("Content-Length: 10"), EndsWith("\r\n\r\n")));
}

TEST(HttpServer, ChunkedAndExpectedBodiesAreRead) {
  const auto server = serve(answering(echo));
  TestClient client(server->port());
  client.send(
      "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r"
      "\n");
  EXPECT_THAT(client.read_until("abcde"), HasSubstr("POST /x?  abcde"));
  client.send("POST /y HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  client.send("ok");
  EXPECT_THAT(client.read_until("/y?  ok"), HasSubstr("200"));
}

TEST(HttpServer, StreamsPiecesAndKeepsTheConnection) {
  const auto server = serve(answering([](const std::shared_ptr<Exchange>& exchange) {
    exchange->begin_stream({.body = "one,", .content_type = "text/event-stream"});
    for (const char* piece : {"two,", "three"}) exchange->write(piece);
    exchange->end_stream();
    exchange->write("after the end");
    exchange->reply({.body = "a second answer"});
  }));
  TestClient client(server->port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string text = client.read_until("\r\n0\r\n\r\n");
    EXPECT_THAT(text,
                AllOf(HasSubstr("Transfer-Encoding: chunked"), HasSubstr("one,"), HasSubstr("two,"),
                      HasSubstr("three"), Not(HasSubstr("after")), Not(HasSubstr("second"))));
  }
  TestClient old(server->port());
  old.send("GET /s HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.read_all(), AllOf(EndsWith("\r\n\r\none,two,three"), Not(HasSubstr("chunked"))));
}

TEST(HttpServer, FaultsHaveTheirStatus) {
  const auto server = serve(answering(echo));
  const auto status_of_bytes = [&](const std::string& bytes) {
    TestClient client(server->port());
    client.send(bytes);
    const std::string text = client.read_all();
    EXPECT_TRUE(client.closed()) << text;
    return text.substr(0, 12);
  };
  EXPECT_EQ(status_of_bytes("nonsense\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status_of_bytes("GET / HTTP/1.1\r\nHost x\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status_of_bytes("GET / HTTP/9.9\r\nHost: x\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status_of_bytes("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n"),
            "HTTP/1.1 400");
  EXPECT_EQ(status_of_bytes("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n"),
            "HTTP/1.1 413");
  EXPECT_EQ(status_of_bytes("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                            str_cat("30d40\r\n", std::string(200'000, 'x'), "\r\n0\r\n\r\n")),
            "HTTP/1.1 413");
  EXPECT_EQ(status_of_bytes("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(5000, 'y')),
            "HTTP/1.1 431");
  EXPECT_EQ(status_of_bytes("GET / HTTP/1.1\r\nHo"), "HTTP/1.1 408");  // and then nothing
  EXPECT_EQ(status_of_bytes("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"),
            "HTTP/1.1 408");
}

// Two readers of one stream of bytes must not see different requests in it. What could be read in
// two ways is refused, and nothing behind it is answered.
TEST(HttpServer, RequestsCannotBeSmuggled) {
  const auto server = serve(answering(echo));
  const auto answers_to = [&](const std::string& bytes) {
    TestClient client(server->port());
    client.send(bytes);
    return client.read_until("", milliseconds(1000));
  };
  const std::string hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string post = "POST /p HTTP/1.1\r\nHost: x\r\n";
  for (const std::string& headers : {
           std::string("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           std::string("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
           std::string("Content-Length: 0\r\nContent-Length: 40\r\n\r\n"),
           std::string("Content-Length: -1\r\n\r\n"),
           std::string("Content-Length: +0\r\n\r\n"),
           std::string("Content-Length: 0x0\r\n\r\n"),
           std::string("Content-Length: 18446744073709551616\r\n\r\n"),
           std::string("Content-Length : 0\r\n\r\n"),
           std::string("Content-Length: 0\n\n"),
           std::string("Transfer-Encoding: chunked\r\n\r\n0\n\n"),
           std::string("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
           std::string("X: a\0b\r\n\r\n", 10),
       }) {
    const std::string text = answers_to(post + headers + hidden);
    EXPECT_THAT(text, Not(HasSubstr("/hidden"))) << headers << text;
    EXPECT_THAT(text, Not(HasSubstr(" 200 "))) << headers << text;
  }
  // A line that is folded belongs to the header before it.
  const std::string folded =
      answers_to("GET /f HTTP/1.1\r\nHost: x\r\nX-Mark: a\r\n Content-Length: 9\r\n\r\n");
  EXPECT_THAT(folded, testing::AnyOf(HasSubstr("a Content-Length: 9"), StartsWith("HTTP/1.1 400")));
}

TEST(HttpServer, FloodsOfHeadersAreCutOff) {
  const auto server = serve(answering(echo));
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 100'000; ++i) many += "a: b\r\n";
  TestClient client(server->port());
  client.send(many);
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 431"));
  TestClient line(server->port());
  line.send(std::string(1'000'000, 'G'));
  line.read_all();
  EXPECT_TRUE(line.closed());
}

TEST(HttpServer, SlowSendersDoNotHoldUpOthers) {
  const auto server = serve(answering(echo));
  TestClient slow(server->port());
  slow.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
  TestClient other(server->port());
  other.send("GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(other.read_until("/fast?"), HasSubstr("200"));
}

TEST(HttpServer, RefusesBeforeTheBody) {
  Handlers handlers = answering([](const std::shared_ptr<Exchange>&) { FAIL(); });
  handlers.admit = [](const Request& head) {
    return std::optional<Response>({.status = 401, .body = "no: " + head.path});
  };
  const auto server = serve(handlers);
  TestClient client(server->port());
  client.send("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nthe beginning");
  EXPECT_THAT(client.read_all(), AllOf(StartsWith("HTTP/1.1 401"), EndsWith("no: /p")));
}

TEST(HttpServer, AHandlerThatThrowsIsA500) {
  const auto server = serve(
      answering([](const std::shared_ptr<Exchange>&) { throw std::runtime_error("a library's"); }));
  TestClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("failed to answer"), StartsWith("HTTP/1.1 500"));
}

TEST(HttpServer, ARequestThatWasPutAsideGoesOnOnAWorker) {
  const auto server = serve(answering([&](const std::shared_ptr<Exchange>& exchange) {
    std::thread other([exchange] {
      exchange->run_on_worker([exchange] {
        if (exchange->request().path == "/wrong") throw std::runtime_error("a library's");
        exchange->reply({.body = "later"});
      });
    });
    other.join();
  }));
  TestClient client(server->port());
  client.send("GET /right HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("later"), StartsWith("HTTP/1.1 200"));
  client.send("GET /wrong HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("failed to answer"), StartsWith("HTTP/1.1 500"));
}

TEST(HttpServer, SaysWhenTheClientIsGone) {
  std::promise<void> gone, arrived;
  const auto server = serve(answering([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->on_gone([&] { gone.set_value(); });
    exchange->begin_stream({.body = "first"});
    arrived.set_value();
  }));
  TestClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  client.read_until("first");
  arrived.get_future().wait();
  client.close();
  EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_TRUE(server->drain(std::chrono::seconds(10)));
}

TEST(HttpServer, AClientThatDoesNotReadIsCutOff) {
  std::promise<void> gone;
  std::atomic<bool> is_gone = false;
  std::vector<std::thread> threads;
  const auto server = serve(answering([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->on_gone([&] {
      is_gone = true;
      gone.set_value();
    });
    exchange->begin_stream({});
    // More than the system's buffers and the server's take together
    for (int i = 0; i < 4000 && !is_gone; ++i) {
      exchange->write(std::string(10'000, 'x'));
      if (i % 100 == 99) std::this_thread::sleep_for(milliseconds(1));
    }
  }));
  TestClient client(server->port(), 4096);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
}

TEST(HttpServer, DrainsWhatRunsAndTakesNoMore) {
  std::promise<std::shared_ptr<Exchange>> taken;
  auto server = serve(
      answering([&](const std::shared_ptr<Exchange>& exchange) { taken.set_value(exchange); }));
  TestClient idle(server->port()), running(server->port());
  idle.send("");
  running.send("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
  std::shared_ptr<Exchange> exchange = taken.get_future().get();
  server->begin_drain();
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_TRUE(idle.closed());
  std::thread late([&] {
    std::this_thread::sleep_for(milliseconds(100));
    exchange->reply({.body = "the answer"});
    exchange.reset();
  });
  EXPECT_TRUE(server->drain(std::chrono::seconds(20)));
  late.join();
  EXPECT_THAT(running.read_all(), AllOf(HasSubstr("Connection: close"), EndsWith("the answer")));
  TestClient next(server->port());
  EXPECT_FALSE(next.connected());
}

TEST(HttpServer, CutsOffWhatDoesNotEndInTime) {
  std::promise<void> gone;
  auto server = serve(answering([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->on_gone([&] { gone.set_value(); });
  }));
  TestClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(server->drain(milliseconds(50)));
  EXPECT_EQ(gone.get_future().wait_for(milliseconds(0)), std::future_status::ready);
}

TEST(HttpServer, TooManyConnectionsAreToldSo) {
  ServerOptions options = quick();
  options.max_connections = 2;
  const auto server = serve(answering(echo), options);
  TestClient first(server->port()), second(server->port());
  while (server->num_connections() < 2) std::this_thread::sleep_for(milliseconds(1));
  TestClient third(server->port());
  EXPECT_THAT(third.read_all(), StartsWith("HTTP/1.1 503"));
}

TEST(HttpServer, BodiesTogetherHaveALimit) {
  ServerOptions options = quick();
  options.max_all_bodies_bytes = 50'000;
  const auto server = serve(answering(echo), options);
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n";
  TestClient first(server->port());
  first.send(head + "x");
  std::this_thread::sleep_for(milliseconds(50));
  TestClient second(server->port());
  second.send(head);
  EXPECT_THAT(second.read_all(), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(first.read_all(), StartsWith("HTTP/1.1 408"));  // which gives its room back
  TestClient third(server->port());
  third.send(head + std::string(30'000, 'x'));
  EXPECT_THAT(third.read_until("xxx"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, AnAddressInUseIsAnError) {
  const auto server = serve(answering(echo));
  ServerOptions options = quick();
  options.port = server->port();
  const auto second = Server::start(options, answering(echo));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("choose another port with --port"));
}

}  // namespace
}  // namespace gemma4::http

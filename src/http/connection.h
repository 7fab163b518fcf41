// One connection of the server, inside of src/http: reads a request, has it answered, reads the
// next.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http/server.h"
#include "http/transport.h"

namespace gemma4::http {

// What connections share.
struct ConnectionHost {
  ServerOptions options;
  Handlers handlers;
  std::function<bool()> draining;
  std::function<void(std::function<void()>)> run_on_worker;
  mutable std::atomic<size_t> body_bytes = 0;  // that connections have taken for their bodies
};

// Lives as long as something waits for it. All private methods run on the socket's executor, a
// strand.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Without `tls` what is sent is plain.
  Connection(Transport::Socket socket, TlsFiles::Context tls, const ConnectionHost& host);

  void start();            // from any thread, as the next two
  void refuse();           // answers kUnavailable and closes, whatever is asked
  void close_when_idle();  // while draining
  void close_now();

 private:
  class Pending;  // the Exchange of the request that is being answered
  using Error = boost::system::error_code;

  void arm(std::chrono::milliseconds limit);
  void disarm();

  void shake_hands(std::function<void()> then);
  void await_request();
  void read_header();
  void on_header(const Error& error);
  bool take_body_room();
  void give_body_room();
  void read_body();
  void on_body(const Error& error);
  void on_read_error(const Error& error);
  void handle();
  void watch();
  void on_watched(const Error& error);

  void send(Response response);
  void begin_stream(Response head);
  void write(const std::string& piece);
  void end_stream();
  void flush();
  void finish_exchange();
  void refuse_with(Fault fault);
  void linger();
  void end_sending();
  void discard();
  void close();
  void gone();

  boost::beast::http::response<boost::beast::http::string_body> message_of(Response& response);

  Transport stream_;
  const ConnectionHost& host_;
  boost::asio::steady_timer timer_;
  uint64_t timer_round_ = 0;
  bool timed_out_ = false;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  Request request_;
  std::shared_ptr<Pending> pending_;  // while a request is being answered
  bool watching_ = false;             // a read waits while a request is being answered
  bool keep_alive_ = false;           // after this answer
  bool next_after_watch_ = false;     // the answer is complete, the watching read is being stopped
  bool closed_ = false;
  // The answer that is being sent
  bool responding_ = false;
  bool chunked_ = true;
  bool writing_ = false;
  bool ending_ = false;
  std::string unsent_, sending_;
  std::optional<boost::beast::http::response<boost::beast::http::string_body>> response_;
  std::optional<boost::beast::http::response<boost::beast::http::empty_body>> head_;
  std::optional<boost::beast::http::response_serializer<boost::beast::http::empty_body>>
      head_writer_;
  size_t discarded_bytes_ = 0;
  size_t body_room_ = 0;  // of ConnectionHost::body_bytes
};

}  // namespace gemma4::http

#include "http/connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <exception>
#include <utility>

namespace gemma4::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;

namespace {

constexpr size_t kReadBytes = 4096;
// Of the next requests, read while this one is answered. Beyond it the client is not watched.
constexpr size_t kPipelinedBytes = 64 << 10;
// A client that is refused may be sending still; so much of it is read, for so long, before the
// connection is closed, since closing over unread bytes would take the answer away from it.
constexpr size_t kDiscardedBytes = size_t{4} << 20;
constexpr std::chrono::seconds kLinger(2);

Request request_of(const wire::request<wire::string_body>& from, const std::string& client) {
  Request request;
  request.method = std::string(from.method_string());
  const std::string target(from.target());
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != target.npos) request.query = target.substr(question + 1);
  for (const auto& field : from)
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  request.client = client;
  return request;
}

std::string address_of(const Transport::Socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  return error ? "" : endpoint.address().to_string();
}

}  // namespace

class Connection::Pending final : public Exchange, public std::enable_shared_from_this<Pending> {
 public:
  Pending(std::shared_ptr<Connection> connection, Request request)
      : connection_(std::move(connection)), request_(std::move(request)) {}

  const Request& request() const override { return request_; }
  std::string take_body() override { return std::move(request_.body); }

  void reply(Response response) override {
    with_connection([response = std::move(response)](Connection& connection) mutable {
      if (!connection.responding_) connection.send(std::move(response));
    });
  }
  void begin_stream(Response head) override {
    with_connection([head = std::move(head)](Connection& connection) mutable {
      if (!connection.responding_) connection.begin_stream(std::move(head));
    });
  }
  void write(std::string piece) override {
    with_connection(
        [piece = std::move(piece)](Connection& connection) { connection.write(piece); });
  }
  void end_stream() override {
    with_connection([](Connection& connection) { connection.end_stream(); });
  }
  void on_gone(std::function<void()> gone) override {
    post([self = shared_from_this(), gone = std::move(gone)]() mutable {
      if (self->is_gone_) return gone();
      if (self->is_current()) self->gone_ = std::move(gone);
    });
  }
  void post(std::function<void()> work) override {
    asio::post(connection_->stream_.get_executor(), std::move(work));
  }
  void run_on_worker(std::function<void()> work) override {
    const ConnectionHost& host = connection_->host_;
    host.run_on_worker([self = shared_from_this(), &host, work = std::move(work)] {
      try {
        work();
      } catch (const std::exception&) {  // of libraries, and memory that ran out
        self->reply(host.handlers.fault(Fault::kFailed, self->request()));
      }
    });
  }

  // On the connection's executor
  void leave() {
    is_gone_ = true;
    if (const auto gone = std::exchange(gone_, nullptr)) gone();
  }
  void ended() { gone_ = nullptr; }

 private:
  bool is_current() const { return connection_->pending_.get() == this; }
  template <typename Work>
  void with_connection(Work work) {
    post([self = shared_from_this(), work = std::move(work)]() mutable {
      if (self->is_current()) work(*self->connection_);
    });
  }

  std::shared_ptr<Connection> connection_;
  Request request_;
  bool is_gone_ = false;
  std::function<void()> gone_;
};

Connection::Connection(Transport::Socket socket, TlsFiles::Context tls, const ConnectionHost& host)
    : stream_(std::move(socket), std::move(tls)), host_(host), timer_(stream_.get_executor()) {}

void Connection::start() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    Error ignored;
    self->stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);  // tokens are small
    self->shake_hands([self] { self->await_request(); });
  });
}

void Connection::refuse() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    self->shake_hands([self] { self->refuse_with(Fault::kUnavailable); });
  });
}

void Connection::shake_hands(std::function<void()> then) {
  if (!stream_.is_secure()) return then();
  arm(host_.options.header_timeout);
  stream_.async_handshake([self = shared_from_this(), then = std::move(then)](const Error& error) {
    self->disarm();
    if (error || self->closed_) return self->close();
    then();
  });
}

void Connection::close_when_idle() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    // A request of which a part is there is still read; it is told that the server goes away.
    if (self->pending_ == nullptr && self->buffer_.size() == 0 && !self->responding_) self->close();
  });
}

void Connection::close_now() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] { self->gone(); });
}

void Connection::arm(std::chrono::milliseconds limit) {
  timed_out_ = false;
  timer_.expires_after(limit);
  timer_.async_wait([self = shared_from_this(), round = ++timer_round_](const Error& error) {
    if (error || round != self->timer_round_) return;
    self->timed_out_ = true;
    self->stream_.cancel();
  });
}

void Connection::disarm() {
  ++timer_round_;
  timer_.cancel();
}

void Connection::await_request() {
  if (host_.draining() && buffer_.size() == 0) return close();
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(host_.options.max_header_bytes));
  parser_->body_limit(host_.options.max_body_bytes);
  request_ = {};
  keep_alive_ = false;
  if (buffer_.size() > 0) return read_header();
  arm(host_.options.idle_timeout);
  stream_.async_read_some(buffer_.prepare(kReadBytes),
                          [self = shared_from_this()](const Error& error, size_t count) {
                            self->disarm();
                            if (error || self->closed_) return self->close();
                            self->buffer_.commit(count);
                            self->read_header();
                          });
}

void Connection::read_header() {
  arm(host_.options.header_timeout);
  wire::async_read_header(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](const Error& error, size_t) { self->on_header(error); });
}

void Connection::on_header(const Error& error) {
  disarm();
  if (closed_) return;  // what had been read before is of no use
  request_ = request_of(parser_->get(), address_of(stream_.socket()));
  if (error) return on_read_error(error);
  if (host_.draining()) return refuse_with(Fault::kUnavailable);
  if (host_.handlers.admit) {
    if (std::optional<Response> refusal = host_.handlers.admit(request_)) {
      // Its body is not read: after the answer the connection has no use.
      keep_alive_ = parser_->is_done() && parser_->keep_alive();
      return send(std::move(*refusal));
    }
  }
  if (parser_->is_done()) return handle();
  if (!take_body_room()) return refuse_with(Fault::kUnavailable);
  if (!same_name(request_.header("expect"), "100-continue")) return read_body();
  arm(host_.options.write_timeout);
  static constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(stream_, asio::buffer(kContinue, sizeof kContinue - 1),
                    [self = shared_from_this()](const Error& failed, size_t) {
                      self->disarm();
                      if (failed || self->closed_) return self->close();
                      self->read_body();
                    });
}

// A body that does not say how long it is may be as long as any.
bool Connection::take_body_room() {
  const auto length = parser_->content_length();
  const size_t wanted = length ? static_cast<size_t>(*length) : host_.options.max_body_bytes;
  if (host_.body_bytes.fetch_add(wanted) + wanted > host_.options.max_all_bodies_bytes) {
    host_.body_bytes -= wanted;
    return false;
  }
  body_room_ = wanted;
  return true;
}

void Connection::give_body_room() { host_.body_bytes -= std::exchange(body_room_, 0); }

void Connection::read_body() {
  arm(host_.options.body_timeout);
  wire::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](const Error& error, size_t) { self->on_body(error); });
}

void Connection::on_body(const Error& error) {
  disarm();
  if (closed_) return;
  if (error) return on_read_error(error);
  handle();
}

void Connection::on_read_error(const Error& error) {
  if (timed_out_) return refuse_with(Fault::kTimeout);
  if (error == wire::error::end_of_stream || error == wire::error::partial_message) return close();
  if (error == wire::error::header_limit) return refuse_with(Fault::kHeadTooBig);
  if (error == wire::error::body_limit) return refuse_with(Fault::kBodyTooBig);
  if (error.category() == wire::make_error_code(wire::error::bad_method).category())
    return refuse_with(Fault::kMalformed);
  close();
}

void Connection::handle() {
  keep_alive_ = parser_->keep_alive();
  chunked_ = parser_->get().version() >= 11;
  request_.body = std::move(parser_->get().body());
  pending_ = std::make_shared<Pending>(shared_from_this(), std::move(request_));
  request_.method = pending_->request().method;
  watch();
  pending_->run_on_worker([exchange = pending_, &host = host_] { host.handlers.handle(exchange); });
}

void Connection::watch() {
  if (buffer_.size() >= kPipelinedBytes) return;
  watching_ = true;
  stream_.async_read_some(buffer_.prepare(kReadBytes),
                          [self = shared_from_this()](const Error& error, size_t count) {
                            self->watching_ = false;
                            self->buffer_.commit(count);
                            self->on_watched(error);
                          });
}

void Connection::on_watched(const Error& error) {
  if (closed_) return;
  if (std::exchange(next_after_watch_, false)) {
    if (error && error != asio::error::operation_aborted) return close();
    return await_request();
  }
  if (!error) return watch();
  // A write that took too long cancels this read, too; what the write finds comes with it.
  if (error == asio::error::operation_aborted && timed_out_) return;
  gone();
}

wire::response<wire::string_body> Connection::message_of(Response& response) {
  if (host_.draining()) keep_alive_ = false;
  wire::response<wire::string_body> message{static_cast<wire::status>(response.status), 11};
  message.set(wire::field::server, "gemma4");
  if (!response.content_type.empty()) message.set(wire::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(keep_alive_);
  message.body() = std::move(response.body);
  return message;
}

void Connection::send(Response response) {
  responding_ = true;
  response_.emplace(message_of(response));
  const auto sent = [self = shared_from_this()](const Error& error, size_t) {
    self->disarm();
    self->writing_ = false;
    if (error || self->closed_) return self->gone();
    self->finish_exchange();
  };
  arm(host_.options.write_timeout);
  writing_ = true;
  if (request_.method == "HEAD") {
    const size_t length = response_->body().size();
    head_.emplace(wire::response<wire::empty_body>(std::move(response_->base())));
    head_->content_length(length);
    head_writer_.emplace(*head_);
    wire::async_write_header(stream_, *head_writer_, sent);
    return;
  }
  if (response.status == 204) {
    response_->erase(wire::field::content_type);
  } else {
    response_->prepare_payload();
  }
  wire::async_write(stream_, *response_, sent);
}

void Connection::begin_stream(Response head) {
  responding_ = true;
  if (!chunked_) keep_alive_ = false;  // HTTP/1.0 sees the end by the end of the connection
  unsent_ = std::move(head.body);
  wire::response<wire::string_body> message = message_of(head);
  head_.emplace(wire::response<wire::empty_body>(std::move(message.base())));
  head_->chunked(chunked_);
  head_writer_.emplace(*head_);
  arm(host_.options.write_timeout);
  writing_ = true;
  wire::async_write_header(stream_, *head_writer_,
                           [self = shared_from_this()](const Error& error, size_t) {
                             self->disarm();
                             self->writing_ = false;
                             if (error || self->closed_) return self->gone();
                             self->flush();
                           });
}

void Connection::write(const std::string& piece) {
  if (ending_ || closed_) return;
  if (unsent_.size() + piece.size() > host_.options.max_unsent_bytes) return gone();
  unsent_ += piece;
  flush();
}

void Connection::end_stream() {
  ending_ = true;
  flush();
}

void Connection::flush() {
  if (writing_ || closed_ || !head_) return;
  const auto sent = [self = shared_from_this()](const Error& error, size_t) {
    self->disarm();
    self->writing_ = false;
    if (error || self->closed_) return self->gone();
    if (self->ending_ && self->unsent_.empty() && self->sending_.empty())
      return self->finish_exchange();
    self->sending_.clear();
    self->flush();
  };
  if (unsent_.empty()) {
    if (!ending_) return;
    if (!chunked_) return finish_exchange();
    sending_.clear();
    arm(host_.options.write_timeout);
    writing_ = true;
    asio::async_write(stream_, wire::make_chunk_last(), sent);
    return;
  }
  sending_ = std::exchange(unsent_, {});
  arm(host_.options.write_timeout);
  writing_ = true;
  if (chunked_) {
    asio::async_write(stream_, wire::make_chunk(asio::const_buffer(asio::buffer(sending_))), sent);
  } else {
    asio::async_write(stream_, asio::buffer(sending_), sent);
  }
}

void Connection::finish_exchange() {
  if (pending_ != nullptr) pending_->ended();
  pending_.reset();
  give_body_room();
  responding_ = ending_ = false;
  response_.reset();
  head_writer_.reset();
  head_.reset();
  sending_.clear();
  unsent_.clear();
  if (!keep_alive_) return linger();
  if (!watching_) return await_request();
  next_after_watch_ = true;
  stream_.cancel();
}

void Connection::refuse_with(Fault fault) {
  keep_alive_ = false;
  send(host_.handlers.fault(fault, request_));
}

void Connection::linger() {
  if (!stream_.is_secure()) return end_sending();
  arm(kLinger);
  // A client that sends on fails this, after our word that nothing follows is out.
  stream_.async_shutdown([self = shared_from_this()](const Error&) {
    self->disarm();
    if (!self->closed_) self->end_sending();
  });
}

void Connection::end_sending() {
  stream_.shutdown_send();
  if (watching_) return close();  // the whole request was read
  arm(kLinger);
  discard();
}

void Connection::discard() {
  buffer_.consume(buffer_.size());
  stream_.socket().async_read_some(
      buffer_.prepare(kReadBytes), [self = shared_from_this()](const Error& error, size_t count) {
        self->discarded_bytes_ += count;
        if (error || self->timed_out_ || self->closed_ || self->discarded_bytes_ > kDiscardedBytes)
          return self->close();
        self->discard();
      });
}

void Connection::gone() {
  if (closed_) return;
  const std::shared_ptr<Pending> pending = std::exchange(pending_, nullptr);
  close();
  if (pending != nullptr) pending->leave();
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  give_body_room();
  disarm();
  stream_.close();
  if (pending_ != nullptr) pending_->ended();
  pending_.reset();
}

}  // namespace gemma4::http

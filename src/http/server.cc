#include "http/server.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "http/connection.h"

namespace gemma4::http {

namespace asio = boost::asio;
using asio::ip::tcp;

int status_of(Fault fault) {
  switch (fault) {
    case Fault::kMalformed:
      return 400;
    case Fault::kTimeout:
      return 408;
    case Fault::kBodyTooBig:
      return 413;
    case Fault::kHeadTooBig:
      return 431;
    case Fault::kFailed:
      return 500;
    case Fault::kUnavailable:
      break;
  }
  return 503;
}

std::string text_of(Fault fault, const ServerOptions& options) {
  switch (fault) {
    case Fault::kMalformed:
      return "this is not an HTTP/1.1 request";
    case Fault::kTimeout:
      return "the request did not arrive in time";
    case Fault::kBodyTooBig:
      return str_cat("the body is larger than the ", options.max_body_bytes,
                     " bytes that this server takes");
    case Fault::kHeadTooBig:
      return str_cat("the headers are larger than the ", options.max_header_bytes,
                     " bytes that this server takes");
    case Fault::kFailed:
      return "the server failed to answer this request";
    case Fault::kUnavailable:
      break;
  }
  return "the server is shutting down, or has too many connections or large requests; try again "
         "later";
}

namespace {

class AsioServer final : public Server {
 public:
  AsioServer(const ServerOptions& options, Handlers handlers)
      : workers_(static_cast<size_t>(options.num_workers)), acceptor_(io_), retry_(io_) {
    host_.options = options;
    host_.handlers = std::move(handlers);
    host_.draining = [this] { return draining_.load(); };
    host_.run_on_worker = [this](std::function<void()> work) {
      asio::post(workers_, std::move(work));
    };
  }
  ~AsioServer() override {
    if (thread_.joinable()) drain(std::chrono::milliseconds(0));
  }

  Status listen() {
    if (host_.options.tls) {
      G4_ASSIGN_OR_RETURN(tls_, TlsFiles::open(*host_.options.tls));
    }
    const std::string where = str_cat(host_.options.host, ":", host_.options.port);
    boost::system::error_code error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(host_.options.host, std::to_string(host_.options.port),
                                        tcp::resolver::passive, error);
    if (error || found.empty())
      return Error{ErrorCode::kUnavailable,
                   str_cat("cannot find the address ", host_.options.host, ": ", error.message())};
    const tcp::endpoint endpoint = *found.begin();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return Error{ErrorCode::kUnavailable,
                   str_cat("cannot listen on ", where, ": ", error.message(),
                           error == asio::error::address_in_use
                               ? "; choose another port with --port, 0 for a free one"
                               : "")};
    port_ = acceptor_.local_endpoint().port();
    accept();
    thread_ = std::thread([this] { run(); });
    return {};
  }

  uint16_t port() const override { return port_; }
  size_t num_connections() const override {
    const std::lock_guard lock(mutex_);
    return connections_.size();
  }

  void begin_drain() override {
    if (draining_.exchange(true)) return;
    asio::post(io_, [this] {
      boost::system::error_code ignored;
      acceptor_.close(ignored);
    });
    for_each([](Connection& connection) { connection.close_when_idle(); });
  }

  bool drain(std::chrono::milliseconds limit) override {
    begin_drain();
    const bool all_done = wait_until_empty(limit);
    for_each([](Connection& connection) { connection.close_now(); });
    workers_.join();
    wait_until_empty(std::chrono::seconds(5));
    io_.stop();
    if (thread_.joinable()) thread_.join();
    return all_done;
  }

 private:
  // What throws here is memory that ran out: one connection's work is lost, the others go on.
  void run() {
    while (!io_.stopped()) try {
        io_.run();
      } catch (const std::exception&) {
        continue;
      }
  }

  // Tells the server when its connection is no more.
  struct Entry {
    std::weak_ptr<Connection> connection;
  };

  void accept() {
    // Each socket has a strand of its own, on which everything about it happens.
    acceptor_.async_accept(asio::make_strand(io_),
                           [this](const boost::system::error_code& error, tcp::socket socket) {
                             on_accept(error, std::move(socket));
                           });
  }

  void on_accept(const boost::system::error_code& error, tcp::socket socket) {
    if (draining_ || error == asio::error::operation_aborted) return;
    if (error) {  // no file descriptors left, most likely: some will come back
      retry_.expires_after(std::chrono::milliseconds(100));
      retry_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped && !draining_) accept();
      });
      return;
    }
    adopt(std::move(socket));
    accept();
  }

  void adopt(tcp::socket socket) {
    std::list<Entry>::iterator place;
    bool is_full = false;
    {
      const std::lock_guard lock(mutex_);
      is_full = connections_.size() >= host_.options.max_connections;
      place = connections_.insert(connections_.end(), Entry{});
    }
    const std::shared_ptr<Connection> connection(
        new Connection(std::move(socket), tls_ ? tls_->context() : nullptr, host_),
        [this, place](Connection* gone) {
          delete gone;
          const std::lock_guard lock(mutex_);
          connections_.erase(place);
          empty_.notify_all();
        });
    {
      const std::lock_guard lock(mutex_);
      place->connection = connection;
    }
    if (is_full) return connection->refuse();
    connection->start();
  }

  void for_each(const std::function<void(Connection&)>& visit) {
    std::vector<std::shared_ptr<Connection>> alive;
    {
      const std::lock_guard lock(mutex_);
      for (const Entry& entry : connections_)
        if (auto connection = entry.connection.lock()) alive.push_back(std::move(connection));
    }
    for (const auto& connection : alive) visit(*connection);
  }

  bool wait_until_empty(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return empty_.wait_for(lock, limit, [&] { return connections_.empty(); });
  }

  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::list<Entry> connections_;
  ConnectionHost host_;
  std::unique_ptr<TlsFiles> tls_;  // null: none
  std::atomic<bool> draining_ = false;
  uint16_t port_ = 0;
  // After what connections refer to: work that is left in these is destroyed with them.
  asio::io_context io_{1};
  // What is posted after the last connection has closed runs, too.
  const asio::executor_work_guard<asio::io_context::executor_type> busy_{io_.get_executor()};
  asio::thread_pool workers_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, Handlers handlers) {
  auto server = std::make_unique<AsioServer>(options, std::move(handlers));
  G4_RETURN_IF_ERROR(server->listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace gemma4::http

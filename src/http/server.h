// The server: accepts connections, reads requests within limits, hands them to workers.
//
//   G4_ASSIGN_OR_RETURN(auto server, Server::start({.port = 0}, {.handle = hello, …}));
//   server->drain(std::chrono::seconds(30));
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "http/exchange.h"
#include "http/message.h"

namespace gemma4::http {

// PEM files: the server's certificate with those that sign it, and its key.
struct TlsOptions {
  std::string certificate;
  std::string key;
  // The files changed and cannot be used; the old ones are. On the connections' thread.
  std::function<void(const Error& error)> on_error = {};
};

struct ServerOptions {
  std::string host = "127.0.0.1";  // an address, or a name that has one
  uint16_t port = 8080;            // 0: one that is free
  size_t max_connections = 1024;   // those beyond are told to come back later
  size_t max_header_bytes = 16 << 10;
  size_t max_body_bytes = size_t{64} << 20;
  size_t max_all_bodies_bytes = size_t{1} << 30;  // of requests being read or answered, together
  size_t max_unsent_bytes = size_t{4} << 20;      // of one stream
  std::chrono::milliseconds header_timeout = std::chrono::seconds(15);  // from its first byte
  std::chrono::milliseconds body_timeout = std::chrono::seconds(120);   // from the header's end
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(75);    // between two requests
  std::chrono::milliseconds write_timeout = std::chrono::seconds(60);   // of one piece
  int num_workers = 2;
  std::optional<TlsOptions> tls = {};  // of all connections; without: none
};

// What this layer finds wrong with a request.
enum class Fault {
  kMalformed,    // 400
  kTimeout,      // 408
  kBodyTooBig,   // 413
  kHeadTooBig,   // 431
  kFailed,       // 500: the handler threw
  kUnavailable,  // 503: draining, too many connections, or too many large bodies
};
int status_of(Fault fault);
// One sentence, with the limit where there is one.
std::string text_of(Fault fault, const ServerOptions& options);

struct Handlers {
  // Answers a request; on a worker thread.
  std::function<void(std::shared_ptr<Exchange>)> handle;
  // Asked when the head of a request is there, before its body is read; an answer refuses it. On
  // the connection's thread: must be quick. May be empty.
  std::function<std::optional<Response>(const Request& head)> admit = {};
  // The body and headers of the answer to a fault; `head` is as much as is known of the request.
  std::function<Response(Fault fault, const Request& head)> fault;
};

class Server {
 public:
  // Listens and serves on threads of its own. kUnavailable: the address cannot be used (says why).
  // Other errors are those of the files in options.tls, which are named.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, Handlers handlers);
  // Like drain(0). No Exchange may be left then.
  virtual ~Server() = default;

  virtual uint16_t port() const = 0;
  virtual size_t num_connections() const = 0;
  // Listens no more and refuses new requests; those that run go on.
  virtual void begin_drain() = 0;
  // The same, then lets those that run finish for up to `limit`, and cuts the others off. When it
  // returns no handler runs and none will. Whether all had finished.
  virtual bool drain(std::chrono::milliseconds limit) = 0;
};

}  // namespace gemma4::http

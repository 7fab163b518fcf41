// Bytes of a client to the real server, over a socket: whatever comes, every request is answered
// once or the connection is closed, and the server is there for the next.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/strings.h"
#include "http/server.h"

namespace http = gemma4::http;

namespace {

std::unique_ptr<http::Server> start() {
  const http::ServerOptions options{.port = 0, .max_header_bytes = 2048, .max_body_bytes = 4096};
  const http::Handlers handlers{.handle =
                                    [](const std::shared_ptr<http::Exchange>& exchange) {
                                      const http::Request& request = exchange->request();
                                      G4_CHECK(request.path.find('?') == std::string::npos);
                                      G4_CHECK(request.body.size() <= 4096);
                                      if (request.path == "/stream") {
                                        exchange->begin_stream({.body = "a"});
                                        exchange->write("b");
                                        exchange->end_stream();
                                      } else {
                                        exchange->reply({.body = request.method});
                                      }
                                    },
                                .fault =
                                    [options](http::Fault fault, const http::Request&) {
                                      return http::Response{.status = http::status_of(fault),
                                                            .body = http::text_of(fault, options)};
                                    }};
  return http::Server::start(options, handlers).value();
}

// What comes back for `bytes`, after which nothing more is sent.
std::string exchange(uint16_t port, const uint8_t* data, size_t size) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  G4_CHECK(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  while (size > 0) {
    const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent <= 0) break;
    data += sent;
    size -= static_cast<size_t>(sent);
  }
  ::shutdown(fd, SHUT_WR);
  std::string text;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = ::recv(fd, buffer, sizeof buffer, 0)) > 0)
    text.append(buffer, static_cast<size_t>(count));
  ::close(fd);
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto server = start();
  if (size > 8192) return 0;
  const std::string text = exchange(server->port(), data, size);
  G4_CHECK(text.empty() || text.starts_with("HTTP/1.1 "));
  return 0;
}

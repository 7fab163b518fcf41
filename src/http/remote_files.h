// Files of other servers, from hosts that were allowed by name and never from private addresses:
// what a client names must not become a way into the network that this server stands in.
//
//   RemoteFiles remote({.hosts = {"images.example.org", "*.example.com"}});
//   G4_ASSIGN_OR_RETURN(const std::string bytes,
//                       remote.get("https://images.example.org/a.png", remote.time_of_request()));
//
// See docs/adr/0050-remote-media.md.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::http {

// Whether an address belongs to a host of the open internet: not to this machine, to a private or
// shared network, to a link, to many hosts, and not to a transition mechanism that leads to those.
bool is_public_address(const sockaddr& address);

// Whether `pattern` is `host`, or "*.example.org" and it ends so, or "*". Case does not matter.
bool matches_host(std::string_view pattern, std::string_view host);

class RemoteFiles {
 public:
  struct Options {
    std::vector<std::string> hosts;  // patterns for matches_host
    size_t max_bytes = size_t{64} << 20;
    std::chrono::milliseconds timeout = std::chrono::seconds(20);  // for all files of a request
    int max_at_once = 2;  // each holds a thread of the server's
    // Other than is_public_address in tests, whose hosts are on this machine.
    std::function<bool(const sockaddr&)> may_reach = is_public_address;
  };
  explicit RemoteFiles(Options options) : options_(std::move(options)) {}

  // The bytes behind an address of http or https; at most three redirections, each of which is held
  // to the same rules. Blocks. kInvalidArgument says why not: host or address are not allowed, the
  // other server does not answer or says no, the file is too large. kUnavailable: too many at once.
  // `end` is when its time is over, as of time_of_request().
  using Time = std::chrono::steady_clock::time_point;
  Result<std::string> get(const std::string& url, Time end) const;
  Time time_of_request() const { return std::chrono::steady_clock::now() + options_.timeout; }

 private:
  const Options options_;
  mutable std::atomic<int> running_ = 0;
};

}  // namespace gemma4::http

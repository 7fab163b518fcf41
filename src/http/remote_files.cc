#include "http/remote_files.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "http/curl_handle.h"
#include "http/message.h"

namespace gemma4::http {
namespace {

constexpr int kMostRedirections = 3;

struct Network {
  uint32_t address;
  int bits;
};
constexpr uint32_t ipv4(uint32_t a, uint32_t b, uint32_t c) { return a << 24 | b << 16 | c << 8; }
// Of IANA's register of special addresses: those that are no host's of the open internet
constexpr Network kSpecial[] = {
    {ipv4(0, 0, 0), 8},       {ipv4(10, 0, 0), 8},     {ipv4(100, 64, 0), 10},
    {ipv4(127, 0, 0), 8},     {ipv4(169, 254, 0), 16}, {ipv4(172, 16, 0), 12},
    {ipv4(192, 0, 0), 24},    {ipv4(192, 0, 2), 24},   {ipv4(192, 31, 196), 24},
    {ipv4(192, 52, 193), 24}, {ipv4(192, 88, 99), 24}, {ipv4(192, 168, 0), 16},
    {ipv4(192, 175, 48), 24}, {ipv4(198, 18, 0), 15},  {ipv4(198, 51, 100), 24},
    {ipv4(203, 0, 113), 24},  {ipv4(224, 0, 0), 4},    {ipv4(240, 0, 0), 4}};

bool is_public(uint32_t address) {
  return std::ranges::none_of(kSpecial, [&](const Network& network) {
    return (address ^ network.address) >> (32 - network.bits) == 0;
  });
}

// Only 2000::/3 is given to hosts. In it, Teredo, 6to4 and the like lead to IPv4, others are for
// documents and tests.
bool is_public(const uint8_t (&bytes)[16]) {
  const uint32_t first =
      uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
  if (first >> 29 != 1) return false;
  if (first >> 9 == 0x20010000u >> 9) return false;  // 2001::/23
  if (first == 0x20010db8u) return false;            // 2001:db8::/32
  if (first >> 16 == 0x2002u) return false;          // 2002::/16
  return first >> 12 != 0x3fff0000u >> 12;           // 3fff::/20
}

struct Transfer {
  const RemoteFiles::Options& options;
  std::string body = {};
  bool is_too_large = false;
  bool was_refused = false;  // the address
};

size_t write_body(const char* data, size_t, size_t count, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  transfer.is_too_large = count > transfer.options.max_bytes - transfer.body.size();
  if (transfer.is_too_large) return CURL_WRITEFUNC_ERROR;
  transfer.body.append(data, count);
  return count;
}

// The address that is connected to, after the name was looked up: no later answer can change it.
curl_socket_t open_socket(void* to, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(to);
  transfer.was_refused = !transfer.options.may_reach(address->addr);
  if (transfer.was_refused) return CURL_SOCKET_BAD;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::string part_of(const CurlUrl& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, 0) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

Error refused(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }

// The parsed URL, which curl is given as it is: nobody else reads another host out of it.
Result<CurlUrl> parse(const std::string& text, const RemoteFiles::Options& options) {
  CurlUrl url(curl_url());
  if (url == nullptr || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return refused("not an address that can be read");
  const std::string scheme = part_of(url, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https")
    return refused("only addresses of http and https are read");
  if (!part_of(url, CURLUPART_USER).empty() || !part_of(url, CURLUPART_PASSWORD).empty())
    return refused("an address with a user or a password is not read");
  const std::string host = part_of(url, CURLUPART_HOST);
  const auto allows = [&](const std::string& pattern) { return matches_host(pattern, host); };
  if (std::ranges::none_of(options.hosts, allows))
    return refused(str_cat("the host ", quote(host),
                           " is none of those that this server reads "
                           "media from"));
  return url;
}

// One request. Where the answer is a redirection, its target is in `next`.
Status request(const CurlUrl& url, std::chrono::milliseconds left, Transfer& transfer,
               std::optional<std::string>& next) {
  const CurlHandle handle = make_curl();
  if (handle == nullptr) return Error{ErrorCode::kUnavailable, "no connection can be made"};
  CURL* const curl = handle.get();
  char reason[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(curl, CURLOPT_CURLU, url.get());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(left.count()));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  const CURLcode code = curl_easy_perform(curl);
  if (transfer.was_refused)
    return refused("its address is on a private network, which this server does not read from");
  if (transfer.is_too_large)
    return refused(str_cat("the file has more than ", transfer.options.max_bytes, " bytes"));
  if (code == CURLE_OPERATION_TIMEDOUT)
    return refused(
        str_cat("it took longer than ", transfer.options.timeout.count() / 1000.0, " s"));
  if (code != CURLE_OK) return refused(reason[0] != '\0' ? reason : curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  char* target = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &target);
  if (target != nullptr) next = target;
  if (target == nullptr && status != 200)
    return refused(str_cat("the server there answers with ", status));
  return {};
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in inet;
    std::memcpy(&inet, &address, sizeof inet);
    return is_public(ntohl(inet.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return false;
  sockaddr_in6 inet;
  std::memcpy(&inet, &address, sizeof inet);
  return is_public(inet.sin6_addr.s6_addr);
}

bool matches_host(std::string_view pattern, std::string_view host) {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return same_name(pattern, host);
  const std::string_view end = pattern.substr(1);  // ".example.org"
  return host.size() > end.size() && same_name(end, host.substr(host.size() - end.size()));
}

Result<std::string> RemoteFiles::get(const std::string& text, Time end) const {
  struct Turn {
    std::atomic<int>& running;
    const int number = ++running;
    ~Turn() { --running; }
  } const turn{running_};
  if (turn.number > options_.max_at_once)
    return Error{ErrorCode::kUnavailable,
                 "too many addresses are read at the same time; try again later"};
  std::optional<std::string> next = text;
  for (int i = 0; i <= kMostRedirections; ++i) {
    G4_ASSIGN_OR_RETURN(const CurlUrl url, parse(*next, options_));
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    Transfer transfer{options_};
    next.reset();
    // For curl, no time would be no limit.
    G4_RETURN_IF_ERROR(request(url, std::max(left, std::chrono::milliseconds(1)), transfer, next));
    if (!next) return std::move(transfer.body);
  }
  return refused(str_cat("more than ", kMostRedirections, " redirections"));
}

}  // namespace gemma4::http

#include "http/relay.h"

#include <curl/curl.h>

#include <utility>

#include "base/strings.h"
#include "http/curl_handle.h"

namespace gemma4::http {
namespace {

struct Transfer {
  CURL* curl;
  const Relay::Listener& listener;
  const std::atomic<bool>& is_stopped;
  bool has_begun = false;

  void begin() {
    if (std::exchange(has_begun, true)) return;
    long status = 0;
    const char* type = nullptr;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    listener.head(static_cast<int>(status), type == nullptr ? "" : type);
  }
};

size_t pass_on(const char* data, size_t, size_t count, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  transfer.begin();
  transfer.listener.piece(std::string(data, count));
  return count;
}

int is_over(void* of, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& transfer = *static_cast<Transfer*>(of);
  return transfer.is_stopped || transfer.listener.is_gone() ? 1 : 0;
}

Status perform(const Relay::Request& request, const Relay::Listener& listener,
               const std::atomic<bool>& is_stopped) {
  constexpr long kConnectSeconds = 10, kSilentSeconds = 600;  // prompts can be long
  const CurlHandle handle = make_curl();
  if (handle == nullptr) return Error{ErrorCode::kUnavailable, "no connection can be made"};
  CURL* const curl = handle.get();
  CurlList headers;
  for (const auto& [name, value] : request.headers) headers.add(str_cat(name, ": ", value));
  headers.add("Expect:");  // the body goes at once
  Transfer transfer{curl, listener, is_stopped};
  char reason[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, pass_on);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_over);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  const CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_ABORTED_BY_CALLBACK) return Error{ErrorCode::kCancelled, "it was cut off"};
  if (code == CURLE_OK) {
    transfer.begin();  // an answer without a body
    return {};
  }
  return Error{transfer.has_begun ? ErrorCode::kIo : ErrorCode::kUnavailable,
               reason[0] != '\0' ? reason : curl_easy_strerror(code)};
}

}  // namespace

Relay::~Relay() {
  stop();
  for (Running& running : running_) running.thread.join();
}

void Relay::join_done() {
  for (auto running = running_.begin(); running != running_.end();)
    if (running->is_done) {
      running->thread.join();
      running = running_.erase(running);
    } else {
      ++running;
    }
}

bool Relay::start(Request request, Listener listener) {
  const std::lock_guard lock(mutex_);
  join_done();
  if (is_stopped_ || std::ssize(running_) >= max_at_once_) return false;
  Running& running = running_.emplace_back();
  running.thread = std::thread(
      [this, &running, request = std::move(request), listener = std::move(listener)]() mutable {
        listener.end(perform(request, listener, is_stopped_));
        listener = {};  // what it holds goes before anybody may wait for this thread
        running.is_done = true;
      });
  return true;
}

}  // namespace gemma4::http

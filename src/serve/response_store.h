// Responses that clients come back to: by owner and id, bounded in number, bytes and age.
//
//   ResponseStore store({});
//   store.put(owner, "resp_1", {.body = body, .turn = turn});
//   const auto stored = store.find(owner, "resp_1");  // null: no such response of this owner
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace gemma4::serve {

// What one response adds to its conversation, after what the one before it left. Turns outlive the
// responses that they are of while a later one needs them.
struct ResponseTurn {
  std::string input, output;  // JSON lists of items
  std::shared_ptr<ResponseTurn> previous;
  std::shared_ptr<std::atomic<size_t>> held_bytes;  // of the store; set and counted by put()

  ResponseTurn(std::string in, std::string out, std::shared_ptr<ResponseTurn> before)
      : input(std::move(in)), output(std::move(out)), previous(std::move(before)) {}
  ~ResponseTurn();
  ResponseTurn(const ResponseTurn&) = delete;
  ResponseTurn& operator=(const ResponseTurn&) = delete;
};

struct StoredResponse {
  std::string body;  // JSON, as its client got it
  std::shared_ptr<ResponseTurn> turn;
};

// Any thread may use it.
class ResponseStore {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    size_t max_responses = 4096;  // 0: nothing is kept
    size_t max_bytes = size_t{256} << 20;
    Clock::duration max_age = std::chrono::hours(24 * 30);  // since it was put
  };
  explicit ResponseStore(Limits limits, std::function<Clock::time_point()> now = Clock::now)
      : limits_(limits), now_(std::move(now)) {}

  // Those that were used longest ago give way. A response larger than all bytes is not kept.
  void put(const std::string& owner, const std::string& id, StoredResponse response);
  std::shared_ptr<const StoredResponse> find(const std::string& owner, const std::string& id);
  // Whether it was there.
  bool remove(const std::string& owner, const std::string& id);

  size_t size() const;
  size_t bytes() const;  // of bodies and of turns that are still needed

 private:
  using Key = std::pair<std::string, std::string>;
  struct Entry {
    Key key;
    std::shared_ptr<const StoredResponse> response;
    Clock::time_point put_at;
    size_t body_bytes = 0;
  };
  using Entries = std::list<Entry>;  // those used last come first

  void erase(Entries::iterator entry);
  void drop_old();
  size_t held() const { return body_bytes_ + turn_bytes_->load(); }

  const Limits limits_;
  const std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::map<Key, Entries::iterator> places_;
  size_t body_bytes_ = 0;
  const std::shared_ptr<std::atomic<size_t>> turn_bytes_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace gemma4::serve

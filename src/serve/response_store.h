// Responses that clients come back to: by owner and id, bounded in number, bytes and age. Where
// there is no room for all, the owner who holds the most gives way: of n owners, none loses a
// response while it holds no more than an n-th of what may be kept, whatever the others put.
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
  std::shared_ptr<std::atomic<size_t>> held_bytes;  // of its owner; set and counted by put()

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

  // Of the owner who holds most, those that were used longest ago give way. A response larger than
  // all bytes is not kept.
  void put(const std::string& owner, const std::string& id, StoredResponse response);
  std::shared_ptr<const StoredResponse> find(const std::string& owner, const std::string& id);
  // Whether it was there.
  bool remove(const std::string& owner, const std::string& id);

  size_t size() const;
  size_t bytes() const;  // of bodies and of turns that are still needed

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const StoredResponse> response;
    Clock::time_point put_at;
    size_t body_bytes = 0;
  };
  using Entries = std::list<Entry>;
  struct Owner {
    Entries entries;  // those used last come first
    std::map<std::string, Entries::iterator> places;
    size_t body_bytes = 0;
    // Of turns that are still needed, by stored responses or by answers that go on from them
    std::shared_ptr<std::atomic<size_t>> turn_bytes = std::make_shared<std::atomic<size_t>>(0);
    size_t held() const { return body_bytes + turn_bytes->load(); }
  };

  static void erase(Owner& owner, Entries::iterator entry);
  void drop_old();
  void make_room();
  size_t num_entries() const;
  size_t held() const;

  const Limits limits_;
  const std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;
  std::map<std::string, Owner> owners_;  // of whom something is kept or held
};

}  // namespace gemma4::serve

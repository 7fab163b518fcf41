// Files that clients upload once and name in requests, in memory: by owner and id, bounded in bytes
// and age. What does not fit is refused; nobody's files give way to another's.
//
//   UploadStore store({});
//   G4_ASSIGN_OR_RETURN(const auto upload, store.put(owner, {.name = "a.png", .bytes = bytes}));
//   const auto found = store.find(owner, upload->id);  // null: no such file of this owner
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/messages.h"

namespace gemma4::serve {

struct Upload {
  std::string id = {};  // given by put(), as are the times
  std::string name;     // as its client calls it
  std::string purpose;
  std::string bytes;
  chat::ContentPart::Type kind = chat::ContentPart::Type::kImage;  // or kAudio, or kVideo
  std::chrono::seconds lifetime = {};                              // 0: the store's
  std::chrono::system_clock::time_point created_at = {}, expires_at = {};
};

// Any thread may use it.
class UploadStore {
 public:
  using Clock = std::chrono::system_clock;
  using Found = std::shared_ptr<const Upload>;
  struct Limits {
    size_t max_bytes = size_t{256} << 20;        // 0: nothing is taken
    size_t max_owner_bytes = size_t{256} << 20;  // of them, one owner's
    size_t max_files = 1000;                     // of one owner
    std::chrono::seconds max_age = std::chrono::hours(24);
  };
  explicit UploadStore(Limits limits, std::function<Clock::time_point()> now = Clock::now)
      : limits_(limits), now_(std::move(now)) {}

  // kResourceExhausted: no room, with the numbers; kUnsupported: nothing is taken at all.
  Result<Found> put(const std::string& owner, Upload upload);
  Found find(const std::string& owner, const std::string& id);
  // Whether it was there. Who has found it before keeps it.
  bool remove(const std::string& owner, const std::string& id);
  // All of an owner, the oldest first.
  std::vector<Found> list(const std::string& owner);
  std::chrono::seconds max_age() const { return limits_.max_age; }

 private:
  struct Owner {
    std::vector<Found> files;  // the oldest first
    size_t bytes = 0;
  };
  void drop_old();
  void erase(Owner& owner, std::vector<Found>::iterator file);

  const Limits limits_;
  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  std::map<std::string, Owner> owners_;
  size_t bytes_ = 0;
};

}  // namespace gemma4::serve

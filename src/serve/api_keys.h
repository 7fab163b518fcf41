// Who may use the server, and how much: a file of keys, read again when it changes.
//
//   # comment
//   sk-alice-3f9c  name=alice requests_per_minute=60 tokens_per_minute=20000
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::serve {

// An allowance that fills up evenly to what a minute gives.
class Allowance {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Allowance(int64_t per_minute) : per_minute_(static_cast<double>(per_minute)) {}

  // Seconds until there is some left, 0 if there is.
  int wait(Clock::time_point now);
  // May go below nothing: what an answer costs is known at its end.
  void spend(int64_t amount) { left_ -= static_cast<double>(amount); }

 private:
  double per_minute_;
  double left_ = per_minute_;
  std::optional<Clock::time_point> filled_;
};

// Any thread may use it.
class ApiKeys {
 public:
  // Errors: those of reading; kInvalidData with the line that is wrong; no key at all.
  static Result<std::unique_ptr<ApiKeys>> load(const std::string& path);

  struct Verdict {
    enum class Kind { kAllowed, kUnknown, kLimited };
    Kind kind = Kind::kUnknown;
    std::string name;     // of the key's owner; not the key
    int retry_after = 0;  // of kLimited
    std::string message;  // the same in words
  };
  // Counts a request by this key. If the file has changed it is read again, at most once a second;
  // while it is wrong or gone the old keys hold, and error() says so.
  Verdict check(std::string_view key);
  // Takes tokens from the allowance of the key's owner; nothing for unknown ones.
  void spend_tokens(std::string_view key, int64_t tokens);
  // Why the file could not be read again; asked for once.
  std::optional<Error> take_error();

 private:
  struct Key {
    std::string secret, name;
    std::optional<Allowance> requests, tokens;
  };
  explicit ApiKeys(std::string path) : path_(std::move(path)) {}
  static Result<std::vector<Key>> read(const std::string& path);
  void reload(Allowance::Clock::time_point now);

  const std::string path_;
  std::mutex mutex_;
  std::vector<Key> keys_;
  std::filesystem::file_time_type read_at_;
  Allowance::Clock::time_point looked_at_{};
  std::optional<Error> error_;
};

}  // namespace gemma4::serve

#include "serve/api_keys.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <sstream>
#include <utility>

#include "base/strings.h"
#include "io/mapped_file.h"

namespace gemma4::serve {
namespace {

constexpr size_t kMaxFileBytes = size_t{16} << 20;

// Looks at every byte, whatever it finds: how long it takes says nothing about the key.
bool same_secret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < b.size(); ++i)
    difference |= static_cast<unsigned char>(a[i % a.size()]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

std::optional<int64_t> positive(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

}  // namespace

int Allowance::wait(Clock::time_point now) {
  if (filled_) {
    const double seconds = std::chrono::duration<double>(now - *filled_).count();
    left_ = std::min(per_minute_, left_ + seconds * per_minute_ / 60);
  }
  filled_ = now;
  if (left_ >= 1) return 0;
  return std::max(1, static_cast<int>(std::ceil((1 - left_) * 60 / per_minute_)));
}

Result<std::vector<ApiKeys::Key>> ApiKeys::read(const std::string& path) {
  G4_ASSIGN_OR_RETURN(const std::string text, io::read_file(path, kMaxFileBytes));
  std::vector<Key> keys;
  std::set<std::string> names;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line.substr(0, line.find('#')));
    Key key;
    if (!(words >> key.secret)) continue;
    key.name = str_cat("key", number);
    const auto wrong = [&](const std::string& word) {
      return Error{ErrorCode::kInvalidData,
                   str_cat(path, ":", number, ": ", quote(word),
                           ": expected name=NAME, requests_per_minute=N or tokens_per_minute=N")};
    };
    for (std::string word; words >> word;) {
      const size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      const std::string value = equals == word.npos ? "" : word.substr(equals + 1);
      if (name == "name" && !value.empty()) {
        key.name = value;
        continue;
      }
      const auto limit = positive(value);
      if (!limit) return wrong(word);
      if (name == "requests_per_minute") {
        key.requests.emplace(*limit);
      } else if (name == "tokens_per_minute") {
        key.tokens.emplace(*limit);
      } else {
        return wrong(word);
      }
    }
    if (!names.insert(key.name).second)
      return Error{ErrorCode::kInvalidData,
                   str_cat(path, ":", number, ": another key has the name ", key.name)};
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return Error{ErrorCode::kInvalidData, path + ": has no keys"};
  return keys;
}

Result<std::unique_ptr<ApiKeys>> ApiKeys::load(const std::string& path) {
  std::unique_ptr<ApiKeys> keys(new ApiKeys(path));
  G4_ASSIGN_OR_RETURN(keys->keys_, read(path));
  std::error_code ignored;
  keys->read_at_ = std::filesystem::last_write_time(path, ignored);
  return keys;
}

void ApiKeys::reload(Allowance::Clock::time_point now) {
  if (now - looked_at_ < std::chrono::seconds(1)) return;
  looked_at_ = now;
  std::error_code error;
  const auto changed = std::filesystem::last_write_time(path_, error);
  if (error || changed == read_at_) return;
  read_at_ = changed;
  auto next = read(path_);
  if (!next.ok()) {
    error_ = next.error();
    return;
  }
  // What was spent stays spent where the limit is the same key's.
  for (Key& key : next.value())
    for (const Key& old : keys_)
      if (old.name == key.name && old.secret == key.secret) {
        if (key.requests && old.requests) key.requests = old.requests;
        if (key.tokens && old.tokens) key.tokens = old.tokens;
      }
  keys_ = std::move(next).value();
}

ApiKeys::Verdict ApiKeys::check(std::string_view secret) {
  const auto now = Allowance::Clock::now();
  const std::lock_guard lock(mutex_);
  reload(now);
  Key* found = nullptr;
  if (!secret.empty())
    for (Key& key : keys_)
      if (same_secret(secret, key.secret)) found = &key;
  if (found == nullptr) return {};
  const int requests_wait = found->requests ? found->requests->wait(now) : 0;
  const int tokens_wait = found->tokens ? found->tokens->wait(now) : 0;
  if (const int wait = std::max(requests_wait, tokens_wait); wait > 0)
    return {
        Verdict::Kind::kLimited, found->name, wait,
        str_cat("this key has used up its ", requests_wait >= tokens_wait ? "requests" : "tokens",
                " per minute; try again in ", wait, " s")};
  if (found->requests) found->requests->spend(1);
  return {Verdict::Kind::kAllowed, found->name, 0, ""};
}

void ApiKeys::spend_tokens(std::string_view secret, int64_t tokens) {
  if (secret.empty()) return;
  const std::lock_guard lock(mutex_);
  for (Key& key : keys_)
    if (key.tokens && same_secret(secret, key.secret)) key.tokens->spend(tokens);
}

std::optional<Error> ApiKeys::take_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(error_, std::nullopt);
}

}  // namespace gemma4::serve

#include "serve/response_store.h"

#include <algorithm>
#include <iterator>

namespace gemma4::serve {

namespace {

// What a response or a turn takes besides its text, about.
constexpr size_t kOverheadBytes = 512;

size_t size_of(const ResponseTurn& turn) {
  return turn.input.size() + turn.output.size() + kOverheadBytes;
}

}  // namespace

ResponseTurn::~ResponseTurn() {
  if (held_bytes) *held_bytes -= size_of(*this);
  // One after the other: a long conversation would be a deep recursion.
  std::shared_ptr<ResponseTurn> next = std::move(previous);
  while (next && next.use_count() == 1) next = std::exchange(next->previous, nullptr);
}

void ResponseStore::erase(Owner& owner, Entries::iterator entry) {
  owner.body_bytes -= entry->body_bytes;
  owner.places.erase(entry->id);
  owner.entries.erase(entry);
}

void ResponseStore::drop_old() {
  const Clock::time_point now = now_();
  for (auto it = owners_.begin(); it != owners_.end();) {
    Owner& owner = it->second;
    for (auto entry = owner.entries.begin(); entry != owner.entries.end();) {
      const auto here = entry++;
      if (now - here->put_at >= limits_.max_age) erase(owner, here);
    }
    it = owner.entries.empty() && owner.held() == 0 ? owners_.erase(it) : std::next(it);
  }
}

size_t ResponseStore::num_entries() const {
  size_t count = 0;
  for (const auto& [name, owner] : owners_) count += owner.entries.size();
  return count;
}

size_t ResponseStore::held() const {
  size_t bytes = 0;
  for (const auto& [name, owner] : owners_) bytes += owner.held();
  return bytes;
}

// Takes from who holds the most of what is short. If nothing is kept of theirs, it is held by
// answers on their way, and ends with them: others do not pay for it.
void ResponseStore::make_room() {
  while (true) {
    const bool too_many = num_entries() > limits_.max_responses;
    if (!too_many && held() <= limits_.max_bytes) return;
    const auto share = [&](const Owner& owner) {
      return too_many ? owner.entries.size() : owner.held();
    };
    const auto most = std::max_element(
        owners_.begin(), owners_.end(),
        [&](const auto& a, const auto& b) { return share(a.second) < share(b.second); });
    Owner& owner = most->second;
    if (owner.entries.empty()) return;
    erase(owner, std::prev(owner.entries.end()));
  }
}

void ResponseStore::put(const std::string& name, const std::string& id, StoredResponse response) {
  const size_t body_bytes = response.body.size() + kOverheadBytes;
  const std::lock_guard lock(mutex_);
  if (limits_.max_responses == 0 || body_bytes + size_of(*response.turn) > limits_.max_bytes)
    return;
  drop_old();
  Owner& owner = owners_[name];
  if (const auto old = owner.places.find(id); old != owner.places.end()) erase(owner, old->second);
  if (!response.turn->held_bytes) {
    response.turn->held_bytes = owner.turn_bytes;
    *owner.turn_bytes += size_of(*response.turn);
  }
  owner.body_bytes += body_bytes;
  owner.entries.push_front({.id = id,
                            .response = std::make_shared<const StoredResponse>(std::move(response)),
                            .put_at = now_(),
                            .body_bytes = body_bytes});
  owner.places[id] = owner.entries.begin();
  make_room();
}

std::shared_ptr<const StoredResponse> ResponseStore::find(const std::string& name,
                                                          const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto owner = owners_.find(name);
  if (owner == owners_.end()) return nullptr;
  const auto place = owner->second.places.find(id);
  if (place == owner->second.places.end()) return nullptr;
  const auto entry = place->second;
  if (now_() - entry->put_at >= limits_.max_age) {
    erase(owner->second, entry);
    return nullptr;
  }
  Entries& entries = owner->second.entries;
  entries.splice(entries.begin(), entries, entry);
  return entry->response;
}

bool ResponseStore::remove(const std::string& name, const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto owner = owners_.find(name);
  if (owner == owners_.end()) return false;
  const auto place = owner->second.places.find(id);
  if (place == owner->second.places.end()) return false;
  erase(owner->second, place->second);
  return true;
}

size_t ResponseStore::size() const {
  const std::lock_guard lock(mutex_);
  return num_entries();
}

size_t ResponseStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return held();
}

}  // namespace gemma4::serve

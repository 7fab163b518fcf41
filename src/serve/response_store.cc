#include "serve/response_store.h"

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

void ResponseStore::erase(Entries::iterator entry) {
  body_bytes_ -= entry->body_bytes;
  places_.erase(entry->key);
  entries_.erase(entry);
}

void ResponseStore::drop_old() {
  const Clock::time_point now = now_();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto here = entry++;
    if (now - here->put_at >= limits_.max_age) erase(here);
  }
}

void ResponseStore::put(const std::string& owner, const std::string& id, StoredResponse response) {
  const size_t body_bytes = response.body.size() + kOverheadBytes;
  const std::lock_guard lock(mutex_);
  if (limits_.max_responses == 0 || body_bytes + size_of(*response.turn) > limits_.max_bytes)
    return;
  drop_old();
  if (const auto old = places_.find({owner, id}); old != places_.end()) erase(old->second);
  if (!response.turn->held_bytes) {
    response.turn->held_bytes = turn_bytes_;
    *turn_bytes_ += size_of(*response.turn);
  }
  body_bytes_ += body_bytes;
  entries_.push_front({.key = {owner, id},
                       .response = std::make_shared<const StoredResponse>(std::move(response)),
                       .put_at = now_(),
                       .body_bytes = body_bytes});
  places_[entries_.front().key] = entries_.begin();
  while (!entries_.empty() &&
         (entries_.size() > limits_.max_responses || held() > limits_.max_bytes))
    erase(std::prev(entries_.end()));
}

std::shared_ptr<const StoredResponse> ResponseStore::find(const std::string& owner,
                                                          const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find({owner, id});
  if (place == places_.end()) return nullptr;
  const auto entry = place->second;
  if (now_() - entry->put_at >= limits_.max_age) {
    erase(entry);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  return entry->response;
}

bool ResponseStore::remove(const std::string& owner, const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find({owner, id});
  if (place == places_.end()) return false;
  erase(place->second);
  return true;
}

size_t ResponseStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

size_t ResponseStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return held();
}

}  // namespace gemma4::serve

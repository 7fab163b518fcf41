#include "constrain/grammar_cache.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <numeric>

#include "base/strings.h"

namespace gemma4::constrain {

GrammarCache::Outcome GrammarCache::get(std::string_view kind, std::string_view source,
                                        const Compile& compile) {
  const std::string key = str_cat(kind, ":", source);
  const std::shared_ptr<Slot> slot = find_slot(key);
  Outcome outcome = outcome_of(*slot, compile);
  account(key, outcome);
  return outcome;
}

std::shared_ptr<GrammarCache::Slot> GrammarCache::find_slot(const std::string& key) {
  const std::lock_guard lock(mutex_);
  if (const auto it = places_.find(key); it != places_.end()) {
    entries_.splice(entries_.begin(), entries_, it->second);
  } else {
    entries_.push_front({key, std::make_shared<Slot>(), nullptr});
    places_[entries_.front().key] = entries_.begin();
  }
  return entries_.front().slot;
}

GrammarCache::Outcome GrammarCache::outcome_of(Slot& slot, const Compile& compile) {
  const std::lock_guard lock(slot.mutex);
  if (slot.outcome) return *slot.outcome;
  try {
    auto grammar = compile();
    slot.outcome.emplace(
        grammar.ok() ? Outcome(std::make_shared<const CompiledGrammar>(std::move(grammar).value()))
                     : Outcome(grammar.error()));
    return *slot.outcome;
  } catch (const std::bad_alloc&) {  // may fit another time
    return Error{ErrorCode::kResourceExhausted, "compiling it takes more memory than there is"};
  }
}

// Notes what came of `key` and drops what is too much. Tables grow while grammars are used, so that
// this is looked at every time.
void GrammarCache::account(const std::string& key, const Outcome& outcome) {
  Entries dropped;  // goes after the lock: freeing takes time
  const std::lock_guard lock(mutex_);
  if (const auto it = places_.find(key); it != places_.end() && outcome.ok())
    it->second->grammar = outcome.value();
  for (size_t bytes = total_bytes();
       entries_.size() > max_entries_ || (bytes > max_bytes_ && !entries_.empty());) {
    bytes -= std::min(bytes, entries_.back().bytes());
    places_.erase(entries_.back().key);
    dropped.splice(dropped.begin(), entries_, std::prev(entries_.end()));
  }
}

size_t GrammarCache::Entry::bytes() const {
  return sizeof(Entry) + sizeof(Slot) + key.capacity() + (grammar ? grammar->bytes() : 0);
}

size_t GrammarCache::total_bytes() const {
  return std::accumulate(entries_.begin(), entries_.end(), size_t{0},
                         [](size_t sum, const Entry& entry) { return sum + entry.bytes(); });
}

size_t GrammarCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

size_t GrammarCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return total_bytes();
}

}  // namespace gemma4::constrain

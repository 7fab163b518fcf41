#include "constrain/grammar_cache.h"

#include <algorithm>

#include "base/strings.h"

namespace gemma4::constrain {

Result<std::shared_ptr<const CompiledGrammar>> GrammarCache::get(std::string_view kind,
                                                                 std::string_view source,
                                                                 const Compile& compile) {
  constexpr size_t kLongest = 1 << 20;
  std::string key = str_cat(kind, ":", source);
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = places_.find(key); it != places_.end()) {
      entries_.splice(entries_.begin(), entries_, it->second);
      return it->second->grammar;
    }
  }
  G4_ASSIGN_OR_RETURN(std::shared_ptr<const Grammar> grammar, compile());
  auto compiled = std::make_shared<const CompiledGrammar>(std::move(grammar));
  if (key.size() > kLongest) return compiled;
  const std::lock_guard lock(mutex_);
  if (const auto it = places_.find(key); it != places_.end()) return it->second->grammar;
  entries_.push_front({std::move(key), compiled});
  places_[entries_.front().key] = entries_.begin();
  while (entries_.size() > std::max<size_t>(capacity_, 1)) {
    places_.erase(entries_.back().key);
    entries_.pop_back();
  }
  return compiled;
}

size_t GrammarCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace gemma4::constrain

#include "engine/encoding_cache.h"

#include <algorithm>
#include <utility>

namespace gemma4::engine {

std::shared_ptr<const model::SoftTokens> EncodingCache::find(const Key& key) {
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const Key& own = it->key;
    if (own.hash != key.hash || own.kind != key.kind || own.budget != key.budget ||
        own.width != key.width || !std::ranges::equal(it->content, key.content))
      continue;
    entries_.splice(entries_.begin(), entries_, it);
    return it->tokens;
  }
  return nullptr;
}

void EncodingCache::insert(const Key& key, std::shared_ptr<const model::SoftTokens> tokens) {
  Entry entry{key, {key.content.begin(), key.content.end()}, std::move(tokens)};
  entry.key.content = {};
  bytes_ += entry.bytes();
  entries_.push_front(std::move(entry));
  while (bytes_ > max_bytes_ && entries_.size() > 1) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
}

}  // namespace gemma4::engine

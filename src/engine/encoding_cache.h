// What towers made of media, kept for when the same medium comes again: in the next turn, or in
// another request. Found by a hash; that the medium is the same is decided by its bytes.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "model/soft_tokens.h"

namespace gemma4::engine {

class EncodingCache {
 public:
  // Beyond `max_bytes` of contents and soft tokens, what was not used for longest is forgotten.
  explicit EncodingCache(size_t max_bytes = size_t{256} << 20) : max_bytes_(max_bytes) {}

  struct Key {
    model::MediaKind kind = model::MediaKind::kImage;
    uint64_t hash = 0;                 // of the content
    int64_t budget = 0;                // soft tokens that it may have
    int64_t width = 0;                 // of a picture as the tower sees it
    std::span<const uint8_t> content;  // what the tower sees
  };
  // Null when it is not there.
  std::shared_ptr<const model::SoftTokens> find(const Key& key);
  void insert(const Key& key, std::shared_ptr<const model::SoftTokens> tokens);

  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Key key;  // its content is the vector's
    std::vector<uint8_t> content;
    std::shared_ptr<const model::SoftTokens> tokens;
    size_t bytes() const { return content.size() + tokens->values.size() * sizeof(float); }
  };
  size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // last used first
};

}  // namespace gemma4::engine

// Where prefixes go that shall outlive the engine. The engine says what they are; where they are
// kept, and that they come back as they went, is the archive's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace gemma4::engine {

// A prefix of text alone: no media.
struct SavedPrefix {
  std::vector<int32_t> tokens;  // those whose keys and values are stored
  int32_t sliding_first = 0;    // the first block that sliding layers still have
  std::vector<std::byte> rows;  // model::KvCache::save()
};

// Called on the engine's thread only.
class PrefixArchive {
 public:
  virtual ~PrefixArchive() = default;
  // While nothing waits for the engine, and when it ends.
  virtual void save(const SavedPrefix& prefix) = 0;
  // When the engine begins: what was saved, last saved first; nothing when there is no more.
  virtual std::optional<SavedPrefix> next() = 0;
};

}  // namespace gemma4::engine

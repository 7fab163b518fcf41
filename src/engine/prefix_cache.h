// Keys and values of what was computed before, for requests that begin in the same way. Exact: a
// prefix is the same when its ids and the rows of its media are, compared one by one; hashes only
// spare comparisons.
//
// An entry is a sequence in the K/V cache that nobody runs. Others continue it where they part from
// it, as far as it still has the sliding window before that place: they share its full blocks, and
// copy or take over the one they part in (docs/adr/0034). Blocks are taken back from the entry that
// was not used for longest.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "engine/prefix_archive.h"
#include "model/kv_cache.h"
#include "model/soft_tokens.h"

namespace gemma4::engine {

// All that keys and values depend on.
struct Prefix {
  std::span<const int32_t> tokens;
  std::span<const model::SoftSpan> media = {};
  std::span<const model::VisionBlock> blocks = {};
};

// How many positions of `a` and `b` depend on the same; no vision block of either is cut.
int64_t common_length(const Prefix& a, const Prefix& b);

// The last block boundary that is not behind `length` and cuts no vision block.
int64_t boundary_before(std::span<const model::VisionBlock> blocks, int64_t length);

class PrefixCache {
 public:
  // Keeps nothing unless `enabled`. `cache` must outlive it.
  PrefixCache(model::KvCache& cache, bool enabled) : cache_(&cache), enabled_(enabled) {}

  struct Hit {
    int64_t length = 0;  // positions found
    // The last boundary that `wanted` shares with an entry, whether or not that has its window.
    int64_t branch = 0;
  };
  // Makes the empty `kv` the longest prefix that can be continued. At least one token of `wanted`
  // is left to run.
  Hit resume(const Prefix& wanted, model::KvSequence& kv);
  // Takes `kv`, the sequence of the first kv.length tokens of `prefix`, and leaves it empty.
  void insert(const Prefix& prefix, model::KvSequence& kv);

  // KvCache::reserve, forgetting entries as long as that is needed.
  bool reserve(model::KvSequence& kv, int64_t tokens);
  void clear();

  // The entry last used of those that were neither given nor taken by these two; nothing when there
  // is none. Entries with media, or shorter than a block, are left out.
  std::optional<SavedPrefix> take_unsaved(kernels::Device& device);
  // Puts it behind all others. False, and nothing changed, when it is no prefix of this cache or
  // there is no room for it beside what is there.
  bool restore(SavedPrefix saved, kernels::Device& device);

  int64_t num_entries() const { return static_cast<int64_t>(entries_.size()); }
  int64_t num_evictions() const { return num_evictions_; }

 private:
  struct Entry {
    std::vector<int32_t> tokens;  // [kv.length]
    std::vector<model::SoftSpan> media;
    std::vector<model::VisionBlock> blocks;
    std::vector<uint64_t> hashes;  // of the ids up to the end of each full block
    model::KvSequence kv;
    bool saved = false;
    Prefix prefix() const { return {tokens, media, blocks}; }
  };
  using Entries = std::list<Entry>;
  bool worth_taking(const Entry& entry, int64_t length) const;
  // The first `length` positions of an entry, which has them. Nothing when not even forgetting all
  // others makes room for a copy of a partly filled block.
  std::optional<model::KvSequence> continue_from(Entries::iterator entry, int64_t length);
  bool evict();

  model::KvCache* cache_;
  bool enabled_;
  Entries entries_;  // last used first
  int64_t num_evictions_ = 0;
};

}  // namespace gemma4::engine

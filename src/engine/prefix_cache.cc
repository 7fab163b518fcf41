#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/splitmix.h"

namespace gemma4::engine {
namespace {

using model::kBlockTokens;

int64_t whole_blocks(int64_t length) { return length - length % kBlockTokens; }

// One hash per full block, each of all ids up to its end.
std::vector<uint64_t> chain_hashes(std::span<const int32_t> tokens) {
  std::vector<uint64_t> hashes;
  hashes.reserve(tokens.size() / kBlockTokens);
  uint64_t hash = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    hash = splitmix(hash + kSplitMixStep + static_cast<uint32_t>(tokens[i]));
    if ((i + 1) % kBlockTokens == 0) hashes.push_back(hash);
  }
  return hashes;
}

// The longest prefix that may be equal, since no hash says otherwise.
int64_t longest_common(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  const auto [end, unused] = std::ranges::mismatch(a, b);
  return (end - a.begin() + 1) * kBlockTokens - 1;
}

}  // namespace

int64_t common_length(const Prefix& a, const Prefix& b) {
  const auto [end, unused] = std::ranges::mismatch(a.tokens, b.tokens);
  return model::common_media({a.media, a.blocks}, {b.media, b.blocks}, end - a.tokens.begin());
}

int64_t boundary_before(std::span<const model::VisionBlock> blocks, int64_t length) {
  int64_t boundary = whole_blocks(length);
  const model::VisionBlock* cut = model::block_at(blocks, boundary);
  while (cut != nullptr && cut->begin < boundary) {
    boundary = whole_blocks(cut->begin);
    cut = model::block_at(blocks, boundary);
  }
  return boundary;
}

// Instead of copying the block that `length` is in: what lies behind is lost to others, and should
// be no more than what lies before it there.
bool PrefixCache::worth_taking(const Entry& entry, int64_t length) const {
  const int64_t saved = length % kBlockTokens;
  return saved > 0 && saved >= entry.kv.length - length && cache_->owns_alone(entry.kv, length);
}

std::optional<model::KvSequence> PrefixCache::continue_from(Entries::iterator entry,
                                                            int64_t length) {
  if (worth_taking(*entry, length)) {
    model::KvSequence kv = std::exchange(entry->kv, {});
    G4_CHECK(cache_->truncate(kv, length));
    entries_.erase(entry);
    return kv;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  std::optional<model::KvSequence> kv = cache_->share(entry->kv, length);
  while (!kv && entries_.size() > 1 && evict()) kv = cache_->share(entry->kv, length);
  return kv;
}

PrefixCache::Hit PrefixCache::resume(const Prefix& wanted, model::KvSequence& kv) {
  Hit hit;
  if (entries_.empty()) return hit;
  Prefix most = wanted;  // what may be found
  most.tokens = wanted.tokens.first(wanted.tokens.size() - 1);
  const std::vector<uint64_t> hashes = chain_hashes(wanted.tokens);
  auto best = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const int64_t bound = std::min({static_cast<int64_t>(most.tokens.size()), it->kv.length,
                                    longest_common(it->hashes, hashes)});
    if (bound <= hit.length && whole_blocks(bound) <= hit.branch) continue;
    const int64_t common = common_length(it->prefix(), most);
    const int64_t boundary = boundary_before(wanted.blocks, common);
    hit.branch = std::max(hit.branch, boundary);
    const int64_t length = cache_->can_resume(it->kv, common) ? common : boundary;
    if (length <= hit.length || !cache_->can_resume(it->kv, length)) continue;
    hit.length = length;
    best = it;
  }
  if (best == entries_.end()) return hit;
  std::optional<model::KvSequence> found = continue_from(best, hit.length);
  if (!found) {  // a boundary needs no room
    hit.length = boundary_before(wanted.blocks, hit.length);
    if (cache_->can_resume(best->kv, hit.length)) found = cache_->share(best->kv, hit.length);
  }
  if (found)
    kv = *std::move(found);
  else
    hit.length = 0;
  return hit;
}

void PrefixCache::insert(const Prefix& prefix, model::KvSequence& kv) {
  if (!enabled_ || kv.length == 0) return cache_->release(kv);
  const int64_t length = kv.length;
  const auto count = static_cast<size_t>(length);
  G4_CHECK_LE(count, prefix.tokens.size());
  Entry entry{.tokens = {prefix.tokens.begin(), prefix.tokens.begin() + length},
              .hashes = chain_hashes(prefix.tokens.first(count))};
  for (const model::SoftSpan& span : prefix.media)
    if (span.position < length) entry.media.push_back(span);
  for (const model::VisionBlock& block : prefix.blocks)
    if (block.begin < length) entry.blocks.push_back(block);
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->kv.length != length || it->hashes != entry.hashes ||
        common_length(it->prefix(), entry.prefix()) != length)
      continue;
    cache_->release(kv);  // known already
    entries_.splice(entries_.begin(), entries_, it);
    return;
  }
  entry.kv = std::exchange(kv, {});
  entries_.push_front(std::move(entry));
}

std::optional<SavedPrefix> PrefixCache::take_unsaved(kernels::Device& device) {
  for (Entry& entry : entries_) {
    if (entry.saved || !entry.media.empty() || entry.kv.length < kBlockTokens) continue;
    entry.saved = true;
    const auto sliding = static_cast<size_t>(index_of(model::AttentionKind::kSliding));
    return SavedPrefix{.tokens = entry.tokens,
                       .sliding_first = entry.kv.tables[sliding].first,
                       .rows = cache_->save(entry.kv, device)};
  }
  return std::nullopt;
}

bool PrefixCache::restore(SavedPrefix saved, kernels::Device& device) {
  if (!enabled_) return false;
  auto kv = cache_->restore(static_cast<int64_t>(saved.tokens.size()), saved.sliding_first,
                            saved.rows, device);
  if (!kv) return false;
  Entry entry{.tokens = std::move(saved.tokens), .kv = *std::move(kv), .saved = true};
  entry.hashes = chain_hashes(entry.tokens);
  entries_.push_back(std::move(entry));
  return true;
}

bool PrefixCache::evict() {
  if (entries_.empty()) return false;
  cache_->release(entries_.back().kv);
  entries_.pop_back();
  ++num_evictions_;
  return true;
}

bool PrefixCache::reserve(model::KvSequence& kv, int64_t tokens) {
  while (!cache_->reserve(kv, tokens))
    if (!evict()) return false;
  return true;
}

void PrefixCache::clear() {
  while (evict()) {
  }
}

}  // namespace gemma4::engine

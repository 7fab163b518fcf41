#include "text/bpe.h"

#include <algorithm>
#include <array>
#include <bit>

#include "text/hash.h"
#include "text/utf8.h"

namespace gemma4::text {
namespace {

constexpr size_t kNone = SIZE_MAX;
// Longer chunks than this merge by heap. At 16, text of 20-letter words took 1.6 times as long.
constexpr size_t kMaxScanSymbols = 64;
constexpr size_t kMaxCachedBytes = 64;
constexpr size_t kMinCacheEntries = 64, kMaxCacheEntries = 8192;

void append_code_point(const Vocabulary& vocabulary, char32_t code_point, std::string_view bytes,
                       std::vector<TokenId>& ids) {
  const TokenId id = vocabulary.find(code_point);
  if (id != kNoToken) {
    ids.push_back(id);
    return;
  }
  if (code_point == U' ') bytes = kSpaceSymbolUtf8;
  for (const char byte : bytes) ids.push_back(vocabulary.byte_token(static_cast<uint8_t>(byte)));
}

}  // namespace

void encode_reference(const Vocabulary& vocabulary, const MergeTable& merges, std::string_view text,
                      std::vector<TokenId>& ids) {
  std::vector<TokenId> symbols;
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const char32_t code_point = next_code_point(text, position);
    append_code_point(vocabulary, code_point, text.substr(begin, position - begin), symbols);
  }
  while (true) {
    MergeTable::Merge lowest;
    size_t place = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const MergeTable::Merge merge = merges.find(symbols[i], symbols[i + 1]);
      if (merge.rank < lowest.rank) {
        lowest = merge;
        place = i;
      }
    }
    if (lowest.rank == MergeTable::kNoRank) break;
    symbols[place] = lowest.merged;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(place) + 1);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

BpeEncoder::BpeEncoder(const Vocabulary& vocabulary, const MergeTable& merges,
                       std::string_view text, std::vector<TokenId>& ids)
    : vocabulary_(vocabulary), merges_(merges), text_(text), ids_(ids) {
  cache_.resize(std::bit_floor(std::clamp(text.size() / 16, kMinCacheEntries, kMaxCacheEntries)));
}

void BpeEncoder::encode(size_t begin, size_t end) {
  if (begin == end) return;
  const std::string_view text = text_.substr(0, end);
  size_t chunk = begin;
  size_t position = begin;
  size_t num_code_points = 1;
  char32_t left = next_code_point(text, position);
  while (position < end) {
    const size_t boundary = position;
    const char32_t right = next_code_point(text, position);
    if (!merges_.may_join(left, right)) {
      encode_chunk(chunk, boundary, num_code_points == 1);
      chunk = boundary;
      num_code_points = 0;
    }
    ++num_code_points;
    left = right;
  }
  encode_chunk(chunk, end, num_code_points == 1);
}

void BpeEncoder::encode_chunk(size_t begin, size_t end, bool one_code_point) {
  const std::string_view chunk = text_.substr(begin, end - begin);
  if (one_code_point) {
    size_t position = 0;
    const TokenId id = vocabulary_.find(next_code_point(chunk, position));
    if (id != kNoToken) {
      ids_.push_back(id);
      return;
    }
  }
  const size_t first_id = ids_.size();
  CachedChunk* cached = nullptr;
  if (chunk.size() <= kMaxCachedBytes) {
    cached = &cache_[hash_bytes(chunk) & (cache_.size() - 1)];
    if (cached->num_bytes == chunk.size() && text_.substr(cached->begin, chunk.size()) == chunk) {
      ids_.resize(first_id + cached->num_ids);
      std::copy_n(ids_.begin() + static_cast<ptrdiff_t>(cached->first_id), cached->num_ids,
                  ids_.begin() + static_cast<ptrdiff_t>(first_id));
      cached->begin = begin;  // the last occurrence is the one still in the processor's caches
      cached->first_id = first_id;
      return;
    }
  }
  symbols_.clear();
  append_symbols(chunk);
  if (symbols_.size() <= kMaxScanSymbols) {
    merge_by_scan();
  } else {
    merge_by_heap();
  }
  ids_.insert(ids_.end(), symbols_.begin(), symbols_.end());
  if (cached != nullptr)
    *cached = {begin, first_id, static_cast<uint32_t>(chunk.size()),
               static_cast<uint32_t>(ids_.size() - first_id)};
}

void BpeEncoder::append_symbols(std::string_view chunk) {
  for (size_t position = 0; position < chunk.size();) {
    const size_t begin = position;
    const char32_t code_point = next_code_point(chunk, position);
    append_code_point(vocabulary_, code_point, chunk.substr(begin, position - begin), symbols_);
  }
}

// Quadratic, but for a word of a few letters faster than any structure.
void BpeEncoder::merge_by_scan() {
  std::array<MergeTable::Merge, kMaxScanSymbols> merges;  // [i] of symbols i and i + 1
  size_t n = symbols_.size();
  TokenId* symbols = symbols_.data();
  for (size_t i = 0; i + 1 < n; ++i) merges[i] = merges_.find(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t place = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (merges[i].rank < merges[place].rank) place = i;
    if (merges[place].rank == MergeTable::kNoRank) break;
    symbols[place] = merges[place].merged;
    std::copy(symbols + place + 2, symbols + n, symbols + place + 1);
    if (place + 2 < n) std::copy(&merges[place + 1], &merges[n - 1], &merges[place]);
    --n;
    if (place > 0) merges[place - 1] = merges_.find(symbols[place - 1], symbols[place]);
    if (place + 1 < n) merges[place] = merges_.find(symbols[place], symbols[place + 1]);
  }
  symbols_.resize(n);
}

void BpeEncoder::push_candidate(size_t left) {
  const TokenId left_id = symbols_[left], right_id = symbols_[next_[left]];
  const MergeTable::Merge merge = merges_.find(left_id, right_id);
  if (merge.rank == MergeTable::kNoRank) return;
  heap_.push_back({merge.rank, left_id, right_id, merge.merged, left});
}

void BpeEncoder::merge_by_heap() {
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  const size_t n = symbols_.size();
  previous_.resize(n);
  next_.resize(n);
  heap_.clear();
  for (size_t i = 0; i < n; ++i) {
    previous_[i] = i == 0 ? kNone : i - 1;
    next_[i] = i + 1 == n ? kNone : i + 1;
    if (i + 1 < n) push_candidate(i);
  }
  std::make_heap(heap_.begin(), heap_.end(), later);
  const auto push = [&](size_t left) {
    const size_t size_before = heap_.size();
    push_candidate(left);
    if (heap_.size() != size_before) std::push_heap(heap_.begin(), heap_.end(), later);
  };
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Candidate candidate = heap_.back();
    heap_.pop_back();
    const size_t left = candidate.left, right = next_[left];
    const bool stale = symbols_[left] != candidate.left_id || right == kNone ||
                       symbols_[right] != candidate.right_id;
    if (stale) continue;
    symbols_[left] = candidate.merged_id;
    symbols_[right] = kNoToken;
    next_[left] = next_[right];
    if (next_[left] != kNone) previous_[next_[left]] = left;
    if (previous_[left] != kNone) push(previous_[left]);
    if (next_[left] != kNone) push(left);
  }
  std::erase(symbols_, kNoToken);
}

}  // namespace gemma4::text

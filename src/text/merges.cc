#include "text/merges.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <string>

#include "base/strings.h"
#include "base/thread_pool.h"
#include "text/utf8.h"

namespace gemma4::text {
namespace {

constexpr int64_t kResolveGrain = 16384;  // merges per piece of parallel work, about a millisecond
constexpr size_t kMaxMerges = size_t{1} << 26;

std::string merge_name(size_t rank, const MergeParts& parts) {
  return str_cat("merge ", rank, " (", quote(parts.first), ", ", quote(parts.second), ")");
}

Error unresolved(const Vocabulary& vocabulary, size_t rank, const MergeParts& parts) {
  const std::string name = merge_name(rank, parts);
  if (parts.first.empty() || parts.second.empty())
    return {ErrorCode::kInvalidData, name + ": expected two parts, found an empty one"};
  for (const std::string_view part : {parts.first, parts.second})
    if (vocabulary.find(part) == kNoToken)
      return {ErrorCode::kInvalidData,
              str_cat(name, ": ", quote(part), " is not in the vocabulary")};
  return {ErrorCode::kInvalidData, name + ": the result is not in the vocabulary"};
}

// First and last code point of a token that is not empty; U+2581 as U+0020.
struct Ends {
  char32_t first, last;
};

Ends ends_of(std::string_view piece) {
  size_t position = 0;
  const char32_t first = next_code_point(piece, position);
  position = piece.size() - 1;
  while ((static_cast<uint8_t>(piece[position]) & 0xC0) == 0x80) --position;
  const char32_t last = next_code_point(piece, position);
  const auto as_text = [](char32_t c) { return c == kSpaceSymbol ? U' ' : c; };
  return {as_text(first), as_text(last)};
}

}  // namespace

Result<MergeTable> MergeTable::build(const Vocabulary& vocabulary,
                                     std::span<const MergeParts> parts) {
  if (parts.size() > kMaxMerges)
    return Error{ErrorCode::kInvalidData,
                 str_cat("there are ", parts.size(), " merges, expected at most ", kMaxMerges)};
  const bool large = parts.size() > kResolveGrain;
  ThreadPool pool(large ? std::min(ThreadPool::available_cores(), 4) : 1);
  std::vector<Triple> triples(parts.size());
  std::atomic<size_t> first_bad{parts.size()};
  pool.parallel_for(
      static_cast<int64_t>(parts.size()), kResolveGrain, [&](int64_t begin, int64_t end) {
        const auto first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
        const size_t bad = first + resolve(vocabulary, parts.subspan(first, count),
                                           std::span(triples).subspan(first, count));
        size_t seen = first_bad;
        while (bad < first + count && bad < seen && !first_bad.compare_exchange_weak(seen, bad)) {
        }
      });
  if (first_bad < parts.size()) return unresolved(vocabulary, first_bad, parts[first_bad]);

  MergeTable table;
  Status inserted;
  pool.parallel_for(2, 1, [&](int64_t job, int64_t) {
    if (job == 0) {
      inserted = table.insert(triples, parts);
    } else {
      table.mark_junctions(vocabulary, triples);
    }
  });
  if (!inserted.ok()) return inserted.error();
  return table;
}

// Strings to ids: three look-ups a merge, the largest part of loading a vocabulary. Returns how
// many merges from the front are good.
size_t MergeTable::resolve(const Vocabulary& vocabulary, std::span<const MergeParts> parts,
                           std::span<Triple> triples) {
  constexpr size_t kBatch = 64;
  std::array<std::string_view, 3 * kBatch> pieces;
  std::array<TokenId, 3 * kBatch> ids;
  std::string joined;  // left + right of all merges of the batch
  for (size_t begin = 0; begin < parts.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, parts.size() - begin);
    joined.clear();
    for (const auto& [left, right] : parts.subspan(begin, count)) joined.append(left).append(right);
    std::string_view rest = joined;
    for (size_t i = 0; i < count; ++i) {
      const auto& [left, right] = parts[begin + i];
      pieces[3 * i] = left;
      pieces[3 * i + 1] = right;
      pieces[3 * i + 2] = rest.substr(0, left.size() + right.size());
      rest.remove_prefix(left.size() + right.size());
    }
    vocabulary.find_all(std::span(pieces).first(3 * count), ids);
    for (size_t i = 0; i < count; ++i) {
      const auto& [left, right] = parts[begin + i];
      const Triple triple{ids[3 * i], ids[3 * i + 1], ids[3 * i + 2]};
      const bool known =
          triple.left != kNoToken && triple.right != kNoToken && triple.merged != kNoToken;
      if (!known || left.empty() || right.empty()) return begin + i;
      triples[begin + i] = triple;
    }
  }
  return parts.size();
}

Status MergeTable::insert(std::span<const Triple> triples, std::span<const MergeParts> parts) {
  slots_.resize(std::bit_ceil(triples.size() * 2 + 2));
  slot_shift_ = 64 - std::countr_zero(slots_.size());
  const size_t mask = slots_.size() - 1;
  for (size_t rank = 0; rank < triples.size(); ++rank) {
    constexpr size_t kAhead = 16;  // the table is larger than the caches
    if (rank + kAhead < triples.size()) {
      const Triple& ahead = triples[rank + kAhead];
      __builtin_prefetch(&slots_[slot_of(key_of(ahead.left, ahead.right))], 1);
    }
    const Triple& triple = triples[rank];
    const uint64_t key = key_of(triple.left, triple.right);
    size_t i = slot_of(key);
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask;
    if (slots_[i].key == key)
      return Error{ErrorCode::kInvalidData, str_cat(merge_name(rank, parts[rank]),
                                                    ": repeats merge ", slots_[i].merge.rank)};
    slots_[i] = {key, {static_cast<uint32_t>(rank), triple.merged}};
  }
  return {};
}

void MergeTable::mark_junctions(const Vocabulary& vocabulary, std::span<const Triple> triples) {
  junctions_.assign((size_t{1} << kJunctionBits) / 64, 0);
  std::vector<Ends> ends(vocabulary.size(), Ends{0, 0});
  for (TokenId id = 0; id < vocabulary.size(); ++id)
    if (!vocabulary.piece(id).empty()) ends[id] = ends_of(vocabulary.piece(id));
  bool bytes_merge = false;
  for (const Triple& triple : triples) {
    const char32_t left = ends[triple.left].last;
    const char32_t right = ends[triple.right].first;
    const uint64_t bit = junction_bit(left, right);
    junctions_[bit >> 6] |= uint64_t{1} << (bit & 63);
    if ((left | right) < 128) ascii_junctions_.set(left << 7 | right);
    bytes_merge |= vocabulary.is_byte(triple.left) || vocabulary.is_byte(triple.right);
  }
  if (!bytes_merge) return;
  // A byte token stands for part of any code point, not for the characters of its name: no such
  // vocabulary is known, and cutting is given up for one.
  std::fill(junctions_.begin(), junctions_.end(), ~uint64_t{0});
  ascii_junctions_.set();
}

}  // namespace gemma4::text

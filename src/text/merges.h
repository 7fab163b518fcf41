// The merge table of byte-pair encoding: which two adjacent tokens become one, and in which order.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/huge_pages.h"
#include "base/result.h"
#include "text/hash.h"
#include "text/vocabulary.h"

namespace gemma4::text {

// The strings of a merge's two parts, as files give them.
using MergeParts = std::pair<std::string_view, std::string_view>;

class MergeTable {
 public:
  struct Merge {
    uint32_t rank = kNoRank;  // place in the file's list; lower merges first
    TokenId merged = kNoToken;
  };
  static constexpr uint32_t kNoRank = UINT32_MAX;

  // `parts` by rank. Errors (kInvalidData, naming the merge): a part or the result is empty or not
  // in the vocabulary, or a pair is listed twice.
  static Result<MergeTable> build(const Vocabulary& vocabulary, std::span<const MergeParts> parts);

  // The merge of two adjacent tokens; rank kNoRank when there is none.
  Merge find(TokenId left, TokenId right) const {
    const uint64_t key = key_of(left, right);
    for (size_t i = slot_of(key);; i = (i + 1) & (slots_.size() - 1))
      if (slots_[i].key == key || slots_[i].key == kEmpty) return slots_[i].merge;
  }

  // Whether some merge could bring two adjacent code points into one token. False is certain, true
  // may be wrong in a few percent of the cases. U+0020 and U+2581 are the same here.
  //
  // Every token that merging can form is glued at junctions: the last code point of a left part
  // next to the first of a right part. So where two code points are no junction of any merge, text
  // can be cut before merging without changing a single id. For the Gemma vocabulary that is, among
  // others, at every border of a run of newlines and before every space that does not follow a `>`.
  bool may_join(char32_t left, char32_t right) const {
    if (left == kSpaceSymbol) left = U' ';
    if (right == kSpaceSymbol) right = U' ';
    if ((left | right) < 128) return ascii_junctions_[left << 7 | right];
    const uint64_t bit = junction_bit(left, right);
    return (junctions_[bit >> 6] >> (bit & 63) & 1) != 0;
  }

 private:
  struct Triple {
    TokenId left, right, merged;
  };
  // Four to a cache line; ids and ranks would fit in eight bytes only for small vocabularies.
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static constexpr int kJunctionBits =
      20;  // 128 KiB, of which the 33,695 junctions of Gemma set 3 %

  static uint64_t key_of(TokenId left, TokenId right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const { return key * kHashMultiplier >> slot_shift_; }
  static uint64_t junction_bit(char32_t left, char32_t right) {
    return key_of(static_cast<TokenId>(left), static_cast<TokenId>(right)) * kHashMultiplier >>
           (64 - kJunctionBits);
  }
  static size_t resolve(const Vocabulary& vocabulary, std::span<const MergeParts> parts,
                        std::span<Triple> triples);
  Status insert(std::span<const Triple> triples, std::span<const MergeParts> parts);
  void mark_junctions(const Vocabulary& vocabulary, std::span<const Triple> triples);

  HugePageVector<Slot>
      slots_;  // open addressing, linear probing; a power of two, at most half full
  int slot_shift_ = 63;
  std::bitset<128 * 128> ascii_junctions_;
  std::vector<uint64_t> junctions_;  // a bit per hash of (left, right)
};

}  // namespace gemma4::text

// The vocabulary: the strings of all token ids, and the ways back from a string, a code point or a
// byte to an id. Knows nothing of merges (text/merges.h) or of how text is cut (text/bpe.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/huge_pages.h"
#include "base/result.h"

namespace gemma4::text {

using TokenId = int32_t;
inline constexpr TokenId kNoToken = -1;

// A space in text is U+2581 (LOWER ONE EIGHTH BLOCK) in the vocabulary, and the other way round.
inline constexpr char32_t kSpaceSymbol = 0x2581;
inline constexpr std::string_view kSpaceSymbolUtf8 = "\xE2\x96\x81";

// A string that text may spell to mean one id, whatever the merges say; control tokens mostly.
struct AddedToken {
  TokenId id;
  std::string_view content;
  bool special;  // left out when decoding without special tokens
};

// What to do about a string that two ids have.
enum class RepeatedPieces { kRefuse, kFirstIdWins };

class Vocabulary {
 public:
  // `pieces` by id, `added` in any order; both are copied. An added token either repeats the string
  // of its id or takes the next id behind the vocabulary. Errors (kInvalidData, naming the id): an
  // id in a gap or with another string, an empty or repeated added token, ill-formed UTF-8, one of
  // `<0x00>` … `<0xFF>` missing, more than 16,777,216 entries or 256 MiB of strings.
  static Result<Vocabulary> build(std::vector<std::string_view> pieces,
                                  std::vector<AddedToken> added, RepeatedPieces repeated);

  int32_t size() const { return static_cast<int32_t>(flags_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }

  // The string of `id`; empty for ids this vocabulary does not contain.
  std::string_view piece(TokenId id) const {
    if (!contains(id)) return {};
    return std::string_view(arena_).substr(begins_[id], begins_[id + 1] - begins_[id]);
  }
  // The id whose string is exactly `piece`, or kNoToken.
  TokenId find(std::string_view piece) const;
  // ids[i] = find(pieces[i]), with the waits for memory overlapped. Both are of the same size.
  void find_all(std::span<const std::string_view> pieces, std::span<TokenId> ids) const;
  // The id whose string is this one code point, or kNoToken. U+0020 stands for U+2581.
  TokenId find(char32_t code_point) const {
    const TokenId* page = &code_points_[size_t{code_point_pages_[code_point >> 8]} << 8];
    return page[code_point & 0xFF];
  }
  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }

  // These are false for ids this vocabulary does not contain.
  bool is_added(TokenId id) const { return (flags(id) & kAdded) != 0; }
  bool is_special(TokenId id) const { return (flags(id) & kSpecial) != 0; }
  bool is_byte(TokenId id) const { return (flags(id) & kByte) != 0; }
  // The value of a byte token; `id` must be one.
  uint8_t byte_value(TokenId id) const;

  // All added tokens, by id. The contents live as long as this vocabulary.
  std::vector<AddedToken> added_tokens() const;

 private:
  enum Flag : uint8_t { kAdded = 1, kSpecial = 2, kByte = 4 };
  // Strings of up to eight bytes, most by far, are told apart without looking at the arena.
  struct Slot {
    uint64_t head = 0;    // head_of the string
    uint32_t length = 0;  // in bytes
    TokenId id = kNoToken;
  };

  bool holds(const Slot& slot, std::string_view piece, uint64_t head) const;
  size_t slot_of(uint64_t hash) const { return hash & (slots_.size() - 1); }
  uint8_t flags(TokenId id) const { return contains(id) ? flags_[id] : 0; }
  Status store_pieces(std::span<const std::string_view> pieces);
  Status index_pieces(RepeatedPieces repeated);
  Status index_bytes();
  void index_code_points();

  std::string arena_;             // all strings one after another
  std::vector<uint32_t> begins_;  // [size + 1], where each begins
  std::vector<uint8_t> flags_;    // [size], of Flag
  HugePageVector<Slot> slots_;  // open addressing, linear probing; a power of two, 3/4 full at most
  std::array<TokenId, 256> byte_tokens_{};
  std::vector<uint16_t> code_point_pages_;  // [0x1100] code point / 256 -> page; page 0 is empty
  std::vector<TokenId> code_points_;        // [pages * 256]
};

}  // namespace gemma4::text

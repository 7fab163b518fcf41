#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <utility>

#include "base/strings.h"
#include "text/hash.h"
#include "text/utf8.h"

namespace gemma4::text {
namespace {

constexpr size_t kMaxTokens = size_t{1} << 24;
constexpr size_t kMaxArenaBytes = size_t{1} << 28;

Error invalid(std::string message) { return {ErrorCode::kInvalidData, std::move(message)}; }

// Puts the added tokens behind the vocabulary at their ids, and checks those inside it.
Status place_added_tokens(std::vector<std::string_view>& pieces, std::vector<AddedToken>& added) {
  std::sort(added.begin(), added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (size_t i = 0; i < added.size(); ++i) {
    const AddedToken& token = added[i];
    const std::string name = str_cat("added token ", quote(token.content), " with id ", token.id);
    if (token.content.empty()) return invalid(name + " is empty");
    if (i > 0 && added[i - 1].id == token.id) return invalid(name + ": the id is taken twice");
    if (token.id == static_cast<TokenId>(pieces.size())) pieces.push_back(token.content);
    if (token.id < 0 || token.id >= static_cast<TokenId>(pieces.size()))
      return invalid(str_cat(name, ": expected an id of 0 to ", pieces.size()));
    if (pieces[token.id] != token.content)
      return invalid(str_cat(name, ": the vocabulary has ", quote(pieces[token.id]), " there"));
  }
  return {};
}

std::string byte_piece(int byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

}  // namespace

Result<Vocabulary> Vocabulary::build(std::vector<std::string_view> pieces,
                                     std::vector<AddedToken> added, RepeatedPieces repeated) {
  G4_RETURN_IF_ERROR(place_added_tokens(pieces, added));
  Vocabulary vocabulary;
  G4_RETURN_IF_ERROR(vocabulary.store_pieces(pieces));
  G4_RETURN_IF_ERROR(vocabulary.index_pieces(repeated));
  G4_RETURN_IF_ERROR(vocabulary.index_bytes());
  vocabulary.index_code_points();
  for (const AddedToken& token : added) {
    if (vocabulary.find(token.content) != token.id)
      return invalid(str_cat("added token ", quote(token.content),
                             " has two ids: ", vocabulary.find(token.content), " and ", token.id));
    vocabulary.flags_[token.id] |= kAdded | (token.special ? kSpecial : 0);
  }
  return vocabulary;
}

Status Vocabulary::store_pieces(std::span<const std::string_view> pieces) {
  if (pieces.size() > kMaxTokens)
    return invalid(
        str_cat("the vocabulary has ", pieces.size(), " entries, expected at most ", kMaxTokens));
  size_t total_bytes = 0;
  for (const std::string_view piece : pieces) total_bytes += piece.size();
  if (total_bytes > kMaxArenaBytes)
    return invalid(str_cat("the vocabulary's strings have ", total_bytes,
                           " bytes, expected at most ", kMaxArenaBytes));
  arena_.reserve(total_bytes);
  begins_.reserve(pieces.size() + 1);
  for (const std::string_view piece : pieces) {
    begins_.push_back(static_cast<uint32_t>(arena_.size()));
    arena_.append(piece);
  }
  begins_.push_back(static_cast<uint32_t>(arena_.size()));
  flags_.assign(pieces.size(), 0);

  // The whole is well-formed and no string begins inside a sequence: then each is well-formed.
  const auto begins_inside = [&](std::string_view piece) {
    return !piece.empty() && (static_cast<uint8_t>(piece[0]) & 0xC0) == 0x80;
  };
  bool well_formed = is_well_formed(arena_);
  for (const std::string_view piece : pieces) well_formed &= !begins_inside(piece);
  if (well_formed) return {};
  const auto bad = std::find_if_not(pieces.begin(), pieces.end(), is_well_formed);
  return invalid(str_cat("the string of token ", bad - pieces.begin(), " is not UTF-8"));
}

Status Vocabulary::index_pieces(RepeatedPieces repeated) {
  slots_.resize(std::bit_ceil(flags_.size() * 4 / 3 + 1));
  for (TokenId id = 0; id < size(); ++id) {
    constexpr TokenId kAhead = 16;  // the table is larger than the caches
    __builtin_prefetch(&slots_[slot_of(hash_bytes(piece(id + kAhead)))], 1);
    const std::string_view text = piece(id);
    const uint64_t head = head_of(text);
    size_t i = slot_of(hash_bytes(text));
    while (slots_[i].id != kNoToken && !holds(slots_[i], text, head)) i = slot_of(i + 1);
    if (slots_[i].id == kNoToken) {
      slots_[i] = {head, static_cast<uint32_t>(text.size()), id};
    } else if (repeated == RepeatedPieces::kRefuse) {
      return invalid(str_cat("tokens ", slots_[i].id, " and ", id, " are both ", quote(text)));
    }
  }
  return {};
}

Status Vocabulary::index_bytes() {
  for (int byte = 0; byte < 256; ++byte) {
    const TokenId id = find(byte_piece(byte));
    if (id == kNoToken)
      return invalid("the vocabulary lacks " + byte_piece(byte) + ", which byte fallback needs");
    byte_tokens_[byte] = id;
    flags_[id] |= kByte;
  }
  return {};
}

void Vocabulary::index_code_points() {
  code_point_pages_.assign(0x1100, 0);
  code_points_.assign(256, kNoToken);
  const auto set = [&](char32_t code_point, TokenId id) {
    uint16_t& page = code_point_pages_[code_point >> 8];
    if (page == 0) {
      page = static_cast<uint16_t>(code_points_.size() >> 8);
      code_points_.resize(code_points_.size() + 256, kNoToken);
    }
    TokenId& entry = code_points_[(size_t{page} << 8) + (code_point & 0xFF)];
    if (entry == kNoToken) entry = id;
  };
  for (TokenId id = 0; id < size(); ++id) {
    const std::string_view text = piece(id);
    if (text.empty() || text.size() > 4) continue;
    size_t position = 0;
    const char32_t code_point = next_code_point(text, position);
    if (position == text.size() && code_point != U' ') set(code_point, id);
  }
  set(U' ', find(kSpaceSymbol));
}

bool Vocabulary::holds(const Slot& slot, std::string_view text, uint64_t head) const {
  if (slot.head != head || slot.length != text.size()) return false;
  return text.size() <= sizeof head || piece(slot.id) == text;
}

TokenId Vocabulary::find(std::string_view text) const {
  const uint64_t head = head_of(text);
  size_t i = slot_of(hash_bytes(text));
  while (slots_[i].id != kNoToken && !holds(slots_[i], text, head)) i = slot_of(i + 1);
  return slots_[i].id;
}

void Vocabulary::find_all(std::span<const std::string_view> pieces, std::span<TokenId> ids) const {
  constexpr size_t kBatch = 64;
  std::array<size_t, kBatch> slots;
  for (size_t begin = 0; begin < pieces.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, pieces.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      slots[i] = slot_of(hash_bytes(pieces[begin + i]));
      __builtin_prefetch(&slots_[slots[i]]);
    }
    for (size_t i = 0; i < count; ++i) {
      // The first guess is nearly always right; its string will be needed.
      const TokenId guess = slots_[slots[i]].id;
      if (guess != kNoToken && pieces[begin + i].size() > sizeof(uint64_t))
        __builtin_prefetch(&arena_[begins_[guess]]);
    }
    for (size_t i = 0; i < count; ++i) {
      const std::string_view text = pieces[begin + i];
      const uint64_t head = head_of(text);
      size_t slot = slots[i];
      while (slots_[slot].id != kNoToken && !holds(slots_[slot], text, head))
        slot = slot_of(slot + 1);
      ids[begin + i] = slots_[slot].id;
    }
  }
}

uint8_t Vocabulary::byte_value(TokenId id) const {
  const std::string_view digits = piece(id).substr(3, 2);
  uint8_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

std::vector<AddedToken> Vocabulary::added_tokens() const {
  std::vector<AddedToken> added;
  for (TokenId id = 0; id < size(); ++id)
    if (is_added(id)) added.push_back({id, piece(id), is_special(id)});
  return added;
}

}  // namespace gemma4::text

// The vocabulary as a tree of bytes, built once and shared: what a mask is made from.
//
//   auto index = VocabularyIndex::build(tokenizer);
//   std::string_view text = index->bytes(id);
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "constrain/grammar.h"
#include "text/tokenizer.h"

namespace gemma4::constrain {

// Tokens as a tree, flattened depth first: node i's descendants are i + 1 to skip - 1.
struct TokenTree {
  struct Node {
    uint32_t skip;         // the next node that is not a descendant
    uint32_t first_token;  // in `tokens`
    uint16_t depth;        // bytes so far; 1 at the top
    uint8_t byte;
    uint8_t num_tokens;  // that end here
  };
  static constexpr uint32_t kNone = ~0U;

  std::vector<Node> nodes;
  std::vector<text::TokenId> tokens;
  std::array<uint32_t, 256> tops;  // the node of each first byte, or kNone
  uint32_t max_depth = 0;
};

// Immutable; any thread may use it.
class VocabularyIndex {
 public:
  static std::shared_ptr<const VocabularyIndex> build(const text::Tokenizer& tokenizer);

  int32_t size() const { return size_; }
  // Words of a bit mask over the vocabulary.
  size_t num_words() const { return (static_cast<size_t>(size_) + 31) / 32; }

  // What `id` writes, a space for U+2581. Empty for control tokens, which write nothing, and for
  // ids outside the vocabulary.
  std::string_view bytes(text::TokenId id) const {
    if (id < 0 || id >= size_) return {};
    return std::string_view(arena_).substr(begins_[id], begins_[id + 1] - begins_[id]);
  }

  const TokenTree& all() const { return all_; }
  // All tokens but those made of whole code points of `plain`, up to kManyCodePoints of them.
  const TokenTree& rest(Plain plain) const { return rest_[static_cast<size_t>(plain)]; }
  // A bit mask: the tokens made of 1 to `code_points` whole code points of `plain`.
  std::span<const uint32_t> plain_tokens(Plain plain, int code_points) const;

 private:
  VocabularyIndex() = default;
  void read(const text::Tokenizer& tokenizer);
  void sort_plain(std::span<const text::TokenId> sorted);

  int32_t size_ = 0;
  std::string arena_;
  std::vector<uint32_t> begins_;  // [size + 1]
  TokenTree all_;
  std::array<TokenTree, kNumPlains> rest_;
  std::array<std::vector<uint32_t>, kNumPlains> plain_;  // [kManyCodePoints, num_words]
};

}  // namespace gemma4::constrain

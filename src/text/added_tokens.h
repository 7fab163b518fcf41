// Finds added tokens spelled in text.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace gemma4::text {

class AddedTokenMatcher {
 public:
  struct Match {
    size_t begin;  // offset in the text; the text's size when there is no match
    size_t length;
    TokenId id;  // kNoToken when there is no match
  };

  // Copies what it needs of `tokens`, whose contents must not be empty.
  explicit AddedTokenMatcher(std::span<const AddedToken> tokens);

  // The first match in `text` at or after `from`: leftmost, and the longest one there.
  Match find(std::string_view text, size_t from) const;

 private:
  // A trie whose children are linked lists: openers share "<|", so lists are short.
  struct Node {
    uint8_t byte = 0;
    TokenId id = kNoToken;    // the token that ends here
    int32_t first_child = 0;  // 0 is the root, hence no one's child
    int32_t next_sibling = 0;
  };
  int32_t child(int32_t node, uint8_t byte) const;
  Match longest_at(std::string_view text, size_t begin) const;

  std::vector<Node> nodes_;
  std::array<bool, 256> begins_token_{};
};

}  // namespace gemma4::text

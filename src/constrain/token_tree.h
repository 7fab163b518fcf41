// Tokens as a tree of their bytes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace gemma4::constrain {

// Tokens as a tree, flattened depth first: node i's descendants are i + 1 to skip - 1.
struct TokenTree {
  struct Node {
    // Of all tokens below: the kinds of bytes that begin code points, see kind_of; and the most
    // code points that one has, or kMostHeight.
    uint64_t kinds : 56;
    uint64_t height : 8;
    uint32_t skip;         // the next node that is not a descendant
    uint32_t first_token;  // in `tokens`
    uint16_t depth;        // bytes so far; 1 at the top
    uint8_t byte;
    uint8_t num_tokens;  // that end here
  };
  static constexpr uint32_t kNone = ~0U;
  static constexpr int kMostHeight = 255;
  // Tokens that are no well-formed UTF-8 end at the node or below.
  static constexpr uint64_t kIllFormed = 1;

  // A bit for the first byte of a code point, which it may share with like ones.
  static uint64_t kind_of(uint8_t byte);

  std::vector<Node> nodes;
  std::vector<text::TokenId> tokens;
  std::array<uint32_t, 256> tops;  // the node of each first byte, or kNone
  uint32_t max_depth = 0;
  uint32_t max_code_points = 0;  // that begin in one token
};

}  // namespace gemma4::constrain

#include "text/added_tokens.h"

namespace gemma4::text {

AddedTokenMatcher::AddedTokenMatcher(std::span<const AddedToken> tokens) : nodes_(1) {
  for (const AddedToken& token : tokens) {
    begins_token_[static_cast<uint8_t>(token.content[0])] = true;
    int32_t node = 0;
    for (const char c : token.content) {
      const auto byte = static_cast<uint8_t>(c);
      int32_t next = child(node, byte);
      if (next == 0) {
        next = static_cast<int32_t>(nodes_.size());
        nodes_.push_back({byte, kNoToken, 0, nodes_[node].first_child});
        nodes_[node].first_child = next;
      }
      node = next;
    }
    nodes_[node].id = token.id;
  }
}

int32_t AddedTokenMatcher::child(int32_t node, uint8_t byte) const {
  int32_t next = nodes_[node].first_child;
  while (next != 0 && nodes_[next].byte != byte) next = nodes_[next].next_sibling;
  return next;
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_at(std::string_view text, size_t begin) const {
  Match longest{text.size(), 0, kNoToken};
  int32_t node = 0;
  for (size_t end = begin; end < text.size();) {
    node = child(node, static_cast<uint8_t>(text[end++]));
    if (node == 0) break;
    if (nodes_[node].id != kNoToken) longest = {begin, end - begin, nodes_[node].id};
  }
  return longest;
}

AddedTokenMatcher::Match AddedTokenMatcher::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_token_[static_cast<uint8_t>(text[begin])]) continue;
    const Match match = longest_at(text, begin);
    if (match.id != kNoToken) return match;
  }
  return {text.size(), 0, kNoToken};
}

}  // namespace gemma4::text

#include "chat/tokens.h"

#include <string_view>

namespace gemma4::chat {

std::vector<text::TokenId> encode(const text::Tokenizer& tokenizer,
                                  const std::vector<PromptPart>& prompt) {
  using AddedTokens = text::Tokenizer::AddedTokens;
  std::vector<text::Tokenizer::Piece> pieces;
  pieces.reserve(prompt.size());
  for (const PromptPart& part : prompt) {
    pieces.push_back({part.text, part.from_template ? AddedTokens::kMatch : AddedTokens::kIgnore});
  }
  return tokenizer.encode(pieces);
}

Result<Markers> find_markers(const text::Tokenizer& tokenizer) {
  return find_markers([&](std::string_view token) { return tokenizer.added_token(token); });
}

}  // namespace gemma4::chat

// The vocabulary as a tree of bytes, built once and shared: what a mask is made from.
//
//   auto index = VocabularyIndex::build(tokenizer);
//   std::string_view text = index->bytes(id);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "constrain/leaving_tokens.h"
#include "constrain/text_tokens.h"
#include "constrain/token_tree.h"
#include "text/tokenizer.h"

namespace gemma4::constrain {

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
  const TextTokens& text() const { return *text_; }
  const LeavingTokens& leaving() const { return *leaving_; }

 private:
  VocabularyIndex() = default;
  void read(const text::Tokenizer& tokenizer);

  int32_t size_ = 0;
  std::string arena_;
  std::vector<uint32_t> begins_;  // [size + 1]
  TokenTree all_;
  std::optional<TextTokens> text_;
  std::optional<LeavingTokens> leaving_;  // refers to all_
};

}  // namespace gemma4::constrain

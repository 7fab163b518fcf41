#include "constrain/vocabulary_index.h"

#include <algorithm>

#include "text/utf8.h"

namespace gemma4::constrain {
namespace {

using text::TokenId;

// The first eight bytes as a number that sorts like the text.
uint64_t head_of(std::string_view text) {
  uint64_t head = 0;
  for (size_t i = 0; i < 8; ++i)
    head = head << 8 | (i < text.size() ? static_cast<uint8_t>(text[i]) : 0);
  return head;
}

std::vector<TokenId> sorted_tokens(const VocabularyIndex& index) {
  struct Entry {
    uint64_t head;
    TokenId id;
  };
  std::vector<Entry> entries;
  entries.reserve(index.size());
  for (TokenId id = 0; id < index.size(); ++id)
    if (!index.bytes(id).empty()) entries.push_back({head_of(index.bytes(id)), id});
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    if (a.head != b.head) return a.head < b.head;
    const int order = index.bytes(a.id).compare(index.bytes(b.id));
    return order != 0 ? order < 0 : a.id < b.id;
  });
  std::vector<TokenId> result(entries.size());
  std::transform(entries.begin(), entries.end(), result.begin(), [](auto& e) { return e.id; });
  return result;
}

// The tree of tokens sorted by their bytes.
TokenTree tree_of(const VocabularyIndex& index, std::span<const TokenId> sorted) {
  TokenTree tree;
  tree.tops.fill(TokenTree::kNone);
  std::vector<uint32_t> path;  // the nodes of the previous text
  std::string_view previous;
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back())
      tree.nodes[path.back()].skip = static_cast<uint32_t>(tree.nodes.size());
  };
  for (const TokenId id : sorted) {
    const std::string_view text = index.bytes(id);
    const size_t common =
        std::mismatch(text.begin(), text.end(), previous.begin(), previous.end()).first -
        text.begin();
    close(common);
    for (size_t i = common; i < text.size(); ++i) {
      const auto node = static_cast<uint32_t>(tree.nodes.size());
      const auto byte = static_cast<uint8_t>(text[i]);
      if (i == 0) tree.tops[byte] = node;
      path.push_back(node);
      tree.nodes.push_back(
          {0, static_cast<uint32_t>(tree.tokens.size()), static_cast<uint16_t>(i + 1), byte, 0});
    }
    TokenTree::Node& end = tree.nodes[path.back()];
    if (end.num_tokens == 255) continue;  // no vocabulary has that many ways to write one text
    ++end.num_tokens;
    tree.tokens.push_back(id);
    tree.max_depth = std::max(tree.max_depth, static_cast<uint32_t>(text.size()));
    previous = text;
  }
  close(0);
  return tree;
}

// Code points of `bytes` if they are whole and all of them plain, else 0.
int plain_code_points(std::string_view bytes, Plain plain) {
  int count = 0;
  while (!bytes.empty()) {
    if (!is_plain(plain, static_cast<uint8_t>(bytes[0]))) return 0;
    const text::Utf8Sequence next = text::next_sequence(bytes);
    if (next.kind != text::Utf8Sequence::Kind::kValid) return 0;
    bytes.remove_prefix(next.length);
    ++count;
  }
  return count <= kManyCodePoints ? count : 0;
}

}  // namespace

std::shared_ptr<const VocabularyIndex> VocabularyIndex::build(const text::Tokenizer& tokenizer) {
  std::shared_ptr<VocabularyIndex> index(new VocabularyIndex);
  index->read(tokenizer);
  const std::vector<TokenId> sorted = sorted_tokens(*index);
  index->all_ = tree_of(*index, sorted);
  index->sort_plain(sorted);
  return index;
}

void VocabularyIndex::read(const text::Tokenizer& tokenizer) {
  constexpr size_t kLongest = 4096;  // keeps the depth in 16 bits; longer tokens are never allowed
  size_ = tokenizer.vocab_size();
  begins_.reserve(static_cast<size_t>(size_) + 1);
  for (TokenId id = 0; id < size_; ++id) {
    begins_.push_back(static_cast<uint32_t>(arena_.size()));
    if (tokenizer.is_byte(id)) {
      arena_ += static_cast<char>(tokenizer.byte_value(id));
    } else if (!tokenizer.is_added(id) && tokenizer.piece(id).size() <= kLongest) {
      tokenizer.append_text(id, arena_);
    }
  }
  begins_.push_back(static_cast<uint32_t>(arena_.size()));
}

void VocabularyIndex::sort_plain(std::span<const TokenId> sorted) {
  for (const Plain plain : kPlains) {
    std::vector<uint32_t>& masks = plain_[static_cast<size_t>(plain)];
    masks.assign(kManyCodePoints * num_words(), 0);
    std::vector<TokenId> rest;
    for (const TokenId id : sorted) {
      const int count = plain_code_points(bytes(id), plain);
      if (count == 0) {
        rest.push_back(id);
      } else {
        masks[(static_cast<size_t>(count) - 1) * num_words() + static_cast<size_t>(id) / 32] |=
            1U << (id % 32);
      }
    }
    for (size_t i = num_words(); i < masks.size(); ++i) masks[i] |= masks[i - num_words()];
    rest_[static_cast<size_t>(plain)] = tree_of(*this, rest);
  }
}

std::span<const uint32_t> VocabularyIndex::plain_tokens(Plain plain, int code_points) const {
  const size_t row = static_cast<size_t>(std::clamp(code_points, 1, kManyCodePoints)) - 1;
  return std::span(plain_[static_cast<size_t>(plain)]).subspan(row * num_words(), num_words());
}

}  // namespace gemma4::constrain

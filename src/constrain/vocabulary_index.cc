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
      tree.nodes.push_back({.first_token = static_cast<uint32_t>(tree.tokens.size()),
                            .depth = static_cast<uint16_t>(i + 1),
                            .byte = byte});
    }
    TokenTree::Node& end = tree.nodes[path.back()];
    if (end.num_tokens == 255) continue;  // no vocabulary has that many ways to write one text
    ++end.num_tokens;
    tree.tokens.push_back(id);
    tree.max_depth = std::max(tree.max_depth, static_cast<uint32_t>(text.size()));
    const auto code_points = std::count_if(text.begin(), text.end(), [](char c) {
      return (static_cast<uint8_t>(c) & 0xC0) != 0x80;  // does not continue one
    });
    tree.max_code_points = std::max(tree.max_code_points, static_cast<uint32_t>(code_points));
    previous = text;
  }
  close(0);
  return tree;
}

// Fills in what there is below each node.
void look_below(const VocabularyIndex& index, TokenTree& tree) {
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    TokenTree::Node& node = tree.nodes[i];
    uint64_t kinds = 0;
    int height = 0;
    // All tokens that end here are the same text.
    if (node.num_tokens > 0 && num_code_points(index.bytes(tree.tokens[node.first_token])) < 0)
      kinds |= TokenTree::kIllFormed;
    for (size_t child = i + 1; child < node.skip; child = tree.nodes[child].skip) {
      const TokenTree::Node& next = tree.nodes[child];
      const bool begins = begins_code_point(next.byte);
      kinds |= next.kinds | (begins ? TokenTree::kind_of(next.byte) : 0);
      height = std::max(height, static_cast<int>(next.height) + (begins ? 1 : 0));
    }
    node.kinds = kinds & ((uint64_t{1} << 56) - 1);
    node.height = static_cast<uint8_t>(std::min(height, TokenTree::kMostHeight));
  }
}

}  // namespace

std::shared_ptr<const VocabularyIndex> VocabularyIndex::build(const text::Tokenizer& tokenizer) {
  std::shared_ptr<VocabularyIndex> index(new VocabularyIndex);
  index->read(tokenizer);
  const std::vector<TokenId> sorted = sorted_tokens(*index);
  index->all_ = tree_of(*index, sorted);
  look_below(*index, index->all_);
  std::vector<std::string_view> bytes;
  for (TokenId id = 0; id < index->size_; ++id) bytes.push_back(index->bytes(id));
  index->text_.emplace(bytes);
  index->leaving_.emplace(index->all_);
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

}  // namespace gemma4::constrain

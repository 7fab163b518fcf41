#include "constrain/leaving_tokens.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "constrain/vocabulary_index.h"
#include "text/testing.h"

namespace gemma4::constrain {
namespace {

using Texts = std::set<std::string, std::less<>>;

std::shared_ptr<const VocabularyIndex> vocabulary() {
  return VocabularyIndex::build(
      text::Tokenizer::from_json(text::testing::tokenizer_json({{"a", "a"},
                                                                {"aa", "\""},
                                                                {"aa\"", ","},
                                                                {"a", "x"},
                                                                {"ax", "\""},
                                                                {"aa", "aa"},
                                                                {"aaaa", "aa"},
                                                                {"aa", "b"}}))
          .value());
}

ByteSet set_of(std::string_view bytes) {
  ByteSet set;
  for (const char c : bytes) set.set(static_cast<uint8_t>(c));
  return set;
}

// Text of `a` and `b` with quotes behind.
FreeText text_of(int code_points, bool exact) {
  return {
      .first = set_of("ab"), .code_points = code_points, .exact = exact, .others = set_of("\"")};
}

// The whole tokens of several bytes.
Texts long_texts(const VocabularyIndex& index, const TokenTree& tree) {
  Texts texts;
  for (const text::TokenId id : tree.tokens)
    if (index.bytes(id).size() > 1) texts.emplace(index.bytes(id));
  return texts;
}

void expect_sound(const VocabularyIndex& index, const TokenTree& tree) {
  std::string path;
  size_t num_tokens = 0;
  for (uint32_t i = 0; i < tree.nodes.size(); ++i) {
    const TokenTree::Node& node = tree.nodes[i];
    path.resize(node.depth - 1U);
    path += static_cast<char>(node.byte);
    EXPECT_TRUE(node.depth > 1 || tree.tops[node.byte] == i);
    for (uint32_t child = i + 1; child < node.skip; ++child)
      EXPECT_GT(tree.nodes[child].depth, node.depth);
    EXPECT_TRUE(node.skip == tree.nodes.size() || tree.nodes[node.skip].depth <= node.depth);
    for (uint32_t t = 0; t < node.num_tokens; ++t)
      EXPECT_EQ(index.bytes(tree.tokens[node.first_token + t]), path);
    num_tokens += node.num_tokens;
  }
  EXPECT_EQ(num_tokens, tree.tokens.size());
}

TEST(LeavingTokens, AreMadeWhenAskedForAgain) {
  const auto index = vocabulary();
  EXPECT_EQ(index->leaving().find(text_of(8, true)), nullptr);
  const auto tree = index->leaving().find(text_of(8, true));
  ASSERT_NE(tree, nullptr);
  EXPECT_EQ(index->leaving().find(text_of(8, true)), tree);
  // However many code points there are exactly.
  EXPECT_EQ(index->leaving().find(text_of(3, true)), tree);
  EXPECT_EQ(index->leaving().find(text_of(3, false)), nullptr);
  EXPECT_EQ(index->leaving().find({}), nullptr);
}

TEST(LeavingTokens, GoOnBehindTheText) {
  const auto index = vocabulary();
  index->leaving().find(text_of(8, true));
  const auto tree = index->leaving().find(text_of(8, true));
  ASSERT_NE(tree, nullptr);
  expect_sound(*index, *tree);
  // The quote behind `ax` is behind what cannot come; `aa` is on the way.
  EXPECT_EQ(long_texts(*index, *tree), (Texts{"aa", "aa\"", "aa\","}));
  EXPECT_NE(tree->tops['"'], TokenTree::kNone);
  EXPECT_EQ(tree->tops['b'], TokenTree::kNone);
  EXPECT_EQ(tree->tops['x'], TokenTree::kNone);
}

TEST(LeavingTokens, MayBeLongerThanTheText) {
  const auto index = vocabulary();
  index->leaving().find(text_of(4, false));
  const auto tree = index->leaving().find(text_of(4, false));
  ASSERT_NE(tree, nullptr);
  expect_sound(*index, *tree);
  EXPECT_EQ(long_texts(*index, *tree), (Texts{"aa", "aa\"", "aa\",", "aaaa", "aaaaaa"}));
}

TEST(LeavingTokens, MayBeginAnywhereBehindTheText) {
  const auto index = vocabulary();
  index->leaving().find(text_of(1, false));
  const auto tree = index->leaving().find(text_of(1, false));
  ASSERT_NE(tree, nullptr);
  expect_sound(*index, *tree);
  EXPECT_EQ(long_texts(*index, *tree),
            (Texts{"aa", "aa\"", "aa\",", "aaaa", "aaaaaa", "aab", "ax", "ax\""}));
}

TEST(LeavingTokens, AreForgottenWhenTheyAreMany) {
  const auto index = vocabulary();
  index->leaving().find(text_of(8, true));
  const auto tree = index->leaving().find(text_of(8, true));
  ASSERT_NE(tree, nullptr);
  for (int code_points = 1; code_points <= 100; ++code_points)
    index->leaving().find(text_of(code_points, false));
  EXPECT_EQ(index->leaving().find(text_of(8, true)), nullptr);
  EXPECT_EQ(long_texts(*index, *tree), (Texts{"aa", "aa\"", "aa\","}));
}

}  // namespace
}  // namespace gemma4::constrain

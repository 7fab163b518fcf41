#include "text/merges.h"

#include <gtest/gtest.h>

#include "text/testing.h"

namespace gemma4::text {
namespace {

// Owns what a MergeTable is built from.
struct Small {
  std::vector<std::string> pieces = testing::vocabulary_of(testing::small_merges());
  Vocabulary vocabulary =
      Vocabulary::build({pieces.begin(), pieces.end()}, {}, RepeatedPieces::kRefuse).value();
  std::vector<std::pair<std::string, std::string>> strings = spelled(testing::small_merges());
  MergeTable table = MergeTable::build(vocabulary, parts()).value();

  static testing::Merges spelled(testing::Merges merges) {
    for (auto& [left, right] : merges) {
      left = testing::with_space_symbols(left);
      right = testing::with_space_symbols(right);
    }
    return merges;
  }
  std::vector<MergeParts> parts() const { return {strings.begin(), strings.end()}; }
};

TEST(MergeTableTest, FindsEveryMergeWithItsRank) {
  const Small small;
  for (size_t rank = 0; rank < small.strings.size(); ++rank) {
    const auto& [left, right] = small.strings[rank];
    const auto merge = small.table.find(small.vocabulary.find(left), small.vocabulary.find(right));
    EXPECT_EQ(merge.rank, rank);
    EXPECT_EQ(merge.merged, small.vocabulary.find(left + right));
  }
}

TEST(MergeTableTest, FindsNothingElse) {
  const Small small;
  size_t count = 0;
  for (TokenId left = 0; left < small.vocabulary.size(); ++left)
    for (TokenId right = 0; right < small.vocabulary.size(); ++right)
      count += small.table.find(left, right).rank != MergeTable::kNoRank;
  EXPECT_EQ(count, small.strings.size());
}

// Where the text of these vocabularies is cut: without it encoding is correct, but slow.
TEST(MergeTableTest, JoinsOnlyAtJunctionsOfMerges) {
  const MergeTable table = Small().table;
  EXPECT_FALSE(table.may_join(U'o', U' '));
  EXPECT_FALSE(table.may_join(U'\n', U'a'));
  EXPECT_FALSE(table.may_join(U'a', U'\n'));
  EXPECT_FALSE(table.may_join(U'a', U'日'));
  EXPECT_TRUE(table.may_join(U'>', U' '));
  EXPECT_TRUE(table.may_join(U'>', kSpaceSymbol));
  EXPECT_TRUE(table.may_join(kSpaceSymbol, U' '));
  EXPECT_TRUE(table.may_join(U'\n', U'\n'));
  EXPECT_TRUE(table.may_join(U'l', U'o'));  // hell + o
  EXPECT_TRUE(table.may_join(U'本', U'語'));
}

}  // namespace
}  // namespace gemma4::text

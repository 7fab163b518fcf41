#include "text/detokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "text/testing.h"

namespace gemma4::text {
namespace {

using ::testing::ElementsAre;

class DetokenizerTest : public ::testing::Test {
 protected:
  // What is released after each id, and at the end.
  std::vector<std::string> stream(const std::vector<TokenId>& ids,
                                  SpecialTokens special = SpecialTokens::kKeep) const {
    Detokenizer detokenizer(tokenizer_, special);
    std::vector<std::string> pieces;
    for (const TokenId id : ids) pieces.push_back(detokenizer.push(id));
    pieces.push_back(detokenizer.finish());
    return pieces;
  }
  TokenId id(std::string_view piece) const { return tokenizer_.id_of(piece).value_or(-1); }
  TokenId byte(uint8_t value) const { return 7 + value; }
  const Tokenizer tokenizer_ = testing::small_tokenizer();
};

TEST_F(DetokenizerTest, ReleasesCharactersWhenTheyAreComplete) {
  EXPECT_THAT(stream({byte(0xF0), byte(0x9F), byte(0xA6), byte(0x99), id("▁hello")}),
              ElementsAre("", "", "", "🦙", " hello", ""));
  EXPECT_THAT(stream({byte('H'), byte(0)}), ElementsAre("H", std::string(1, '\0'), ""));
}

TEST_F(DetokenizerTest, ReplacesWhatCanNoLongerBecomeACharacter) {
  EXPECT_THAT(stream({byte(0xF0), byte(0x9F)}), ElementsAre("", "", "\uFFFD"));
  EXPECT_THAT(stream({byte(0xF0), byte(0x9F), id("a")}), ElementsAre("", "", "\uFFFDa", ""));
  EXPECT_THAT(stream({byte(0xE2), byte('A')}), ElementsAre("", "\uFFFDA", ""));
  EXPECT_THAT(stream({byte(0xFF), byte(0x80)}), ElementsAre("\uFFFD", "\uFFFD", ""));
  EXPECT_THAT(stream({byte(0xED), byte(0xA0), byte(0x80)}),
              ElementsAre("", "\uFFFD\uFFFD", "\uFFFD", ""));
  EXPECT_THAT(stream({byte(0xC3), byte(0xC3), byte(0xA9)}), ElementsAre("", "\uFFFD", "é", ""));
}

TEST_F(DetokenizerTest, SkippedAndUnknownIdsDoNotInterruptACharacter) {
  EXPECT_THAT(stream({byte(0xC3), 4, byte(0xA9)}, SpecialTokens::kSkip),
              ElementsAre("", "", "é", ""));
  EXPECT_THAT(stream({byte(0xC3), -1, INT32_MAX, byte(0xA9)}), ElementsAre("", "", "", "é", ""));
  EXPECT_THAT(stream({byte(0xC3), 4}), ElementsAre("", "\uFFFD<|turn>", ""));
}

TEST_F(DetokenizerTest, FinishStartsOver) {
  Detokenizer detokenizer(tokenizer_);
  EXPECT_EQ(detokenizer.push(byte(0xC3)), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.push(byte(0xA9)), "\uFFFD");
  EXPECT_EQ(detokenizer.finish(), "");
}

// The bytes of a run, repaired: what streaming must give whatever the ids.
TEST_F(DetokenizerTest, RandomIdsGiveTheRepairedBytes) {
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    std::vector<TokenId> ids;
    std::string run, expected;
    for (size_t length = random() % 12; ids.size() < length;) {
      if (random() % 4 != 0) {
        ids.push_back(
            byte(static_cast<uint8_t>(random() % 2 == 0 ? 0x80 + random() % 128 : random())));
        run.push_back(static_cast<char>(tokenizer_.byte_value(ids.back())));
      } else {
        ids.push_back(id("a"));
        append_repaired(run, expected);
        run.clear();
        expected += "a";
      }
    }
    append_repaired(run, expected);
    std::string streamed;
    for (const std::string& piece : stream(ids)) {
      ASSERT_TRUE(is_well_formed(piece));
      streamed += piece;
    }
    ASSERT_EQ(streamed, expected);
  }
}

}  // namespace
}  // namespace gemma4::text

#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "text/testing.h"

namespace gemma4::text {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using enum Tokenizer::AddedTokens;

constexpr TokenId kTurn = 4, kEndOfTurn = 5, kTurnLonger = 6;

class TokenizerTest : public ::testing::Test {
 protected:
  TokenId id(std::string_view piece) const { return tokenizer_.id_of(piece).value_or(-1); }
  TokenId byte(uint8_t value) const { return 7 + value; }
  std::vector<TokenId> encode_pieces(const std::vector<Tokenizer::Piece>& pieces) const {
    return tokenizer_.encode(pieces);
  }
  const Tokenizer tokenizer_ = testing::small_tokenizer();
};

TEST_F(TokenizerTest, KnowsItsTokens) {
  EXPECT_EQ(tokenizer_.piece(kTurn), "<|turn>");
  EXPECT_EQ(tokenizer_.piece(id("▁hello")), "▁hello");
  EXPECT_EQ(tokenizer_.added_token("<|turn>"), kTurn);
  EXPECT_EQ(tokenizer_.added_token("hello"), std::nullopt);
  EXPECT_EQ(tokenizer_.id_of("not there"), std::nullopt);
  EXPECT_EQ(tokenizer_.bos(), 2);
  EXPECT_TRUE(tokenizer_.is_added(kTurn) && tokenizer_.is_special(kTurn) &&
              !tokenizer_.is_byte(kTurn));
  EXPECT_TRUE(tokenizer_.is_byte(byte(0xFF)) && !tokenizer_.is_added(byte(0xFF)));
  EXPECT_EQ(tokenizer_.byte_value(byte(0xA6)), 0xA6);
  for (const TokenId outside : {-1, tokenizer_.vocab_size(), INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer_.piece(outside), "");
    EXPECT_FALSE(tokenizer_.is_added(outside) || tokenizer_.is_special(outside) ||
                 tokenizer_.is_byte(outside));
  }
}

TEST_F(TokenizerTest, EmptyTextHasNoTokens) {
  EXPECT_THAT(tokenizer_.encode(""), IsEmpty());
  EXPECT_THAT(encode_pieces({}), IsEmpty());
  EXPECT_EQ(tokenizer_.decode({}), "");
}

TEST_F(TokenizerTest, TakesTheLongestAddedTokenAtTheLeftmostPlace) {
  EXPECT_THAT(tokenizer_.encode("<|turn>"), ElementsAre(kTurn));
  EXPECT_THAT(tokenizer_.encode("<|turn>>"), ElementsAre(kTurnLonger));
  EXPECT_THAT(tokenizer_.encode("<<turn|>a"), ElementsAre(id("<"), kEndOfTurn, id("a")));
  EXPECT_EQ(tokenizer_.encode("<|turn|>").size(), 8u);  // no token is spelled so
}

TEST_F(TokenizerTest, NoMergeCrossesAnAddedToken) {
  EXPECT_THAT(tokenizer_.encode("a<|turn>a"), ElementsAre(id("a"), kTurn, id("a")));
  EXPECT_THAT(tokenizer_.encode("a<|turn> aa"), ElementsAre(id("a"), kTurn, id("▁"), id("aa")));
}

TEST_F(TokenizerTest, IgnoredAddedTokensAreOrdinaryText) {
  const std::vector<TokenId> ids = tokenizer_.encode("<|turn>", kIgnore);
  EXPECT_THAT(ids, ElementsAre(id("<"), id("|"), id("t"), id("u"), id("r"), id("n"), id(">")));
  EXPECT_EQ(tokenizer_.decode(ids), "<|turn>");
}

TEST_F(TokenizerTest, BytesAndUnusedNamesInTextAreNotTokens) {
  EXPECT_EQ(tokenizer_.encode("<0x41>").size(), 6u);
}

TEST_F(TokenizerTest, RequestTextCannotForgeControlTokens) {
  EXPECT_THAT(encode_pieces({{"<|turn>", kMatch}, {"<turn|>", kIgnore}, {"<turn|>", kMatch}}),
              ElementsAre(kTurn, id("<"), id("t"), id("u"), id("r"), id("n"), id("|"), id(">"),
                          kEndOfTurn));
  // Nor by completing what the template began, or the other way round.
  for (const auto& added : {std::pair(kMatch, kIgnore), std::pair(kIgnore, kMatch)}) {
    const auto ids = encode_pieces({{"<|tu", added.first}, {"rn>", added.second}});
    EXPECT_EQ(ids, tokenizer_.encode("<|turn>", kIgnore));
  }
  EXPECT_THAT(encode_pieces({{"<|tu", kMatch}, {"rn>", kMatch}}), ElementsAre(kTurn));
}

TEST_F(TokenizerTest, MergesGoAcrossPieces) {
  EXPECT_THAT(encode_pieces({{"he", kMatch}, {"llo", kIgnore}}), ElementsAre(id("hello")));
  EXPECT_THAT(encode_pieces({{"\n", kMatch}, {"", kIgnore}, {"\n", kIgnore}}),
              ElementsAre(id("\n\n")));
  EXPECT_THAT(encode_pieces({{"a<|turn>", kMatch}, {"he", kIgnore}, {"llo<turn|>", kMatch}}),
              ElementsAre(id("a"), kTurn, id("hello"), kEndOfTurn));
}

TEST_F(TokenizerTest, RepairsUtf8PieceByPiece) {
  const std::vector<TokenId> replacement = {byte(0xEF), byte(0xBF), byte(0xBD)};
  EXPECT_EQ(tokenizer_.encode("\xFF"), replacement);
  EXPECT_EQ(tokenizer_.encode("\xF0\x9F\xA6"), replacement);
  EXPECT_EQ(encode_pieces({{"\xF0\x9F", kMatch}, {"\xA6\x99", kMatch}}).size(),
            3 * replacement.size());
}

TEST_F(TokenizerTest, DecodesSpacesBytesAndSpecialTokens) {
  const std::vector<TokenId> ids = {kTurn, id("hello"), id("▁hello"), kEndOfTurn};
  EXPECT_EQ(tokenizer_.decode(ids), "<|turn>hello hello<turn|>");
  EXPECT_EQ(tokenizer_.decode(ids, SpecialTokens::kSkip), "hello hello");
  const std::vector<TokenId> llama = {byte(0xF0), byte(0x9F), byte(0xA6), byte(0x99)};
  EXPECT_EQ(tokenizer_.decode(llama), "🦙");
}

TEST_F(TokenizerTest, OneBrokenByteSpoilsItsWholeRun) {
  const std::vector<TokenId> run = {byte('a'), byte(0xFF), byte('b'), id("a"), byte('c')};
  EXPECT_EQ(tokenizer_.decode(run), "\uFFFD\uFFFD\uFFFDac");
  // A skipped token does not end a run; one that is written does.
  const std::vector<TokenId> split = {byte(0xC3), kTurn, byte(0xA9)};
  EXPECT_EQ(tokenizer_.decode(split), "\uFFFD<|turn>\uFFFD");
  EXPECT_EQ(tokenizer_.decode(split, SpecialTokens::kSkip), "é");
}

TEST_F(TokenizerTest, DecodingLeavesOutIdsOutsideTheVocabulary) {
  const std::vector<TokenId> ids = {-1,        byte(0xC3), tokenizer_.vocab_size(),
                                    INT32_MIN, byte(0xA9), INT32_MAX};
  EXPECT_EQ(tokenizer_.decode(ids), "é");
}

TEST_F(TokenizerTest, EncodeThenDecodeReturnsTheRepairedText) {
  std::mt19937 random(11);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (size_t length = random() % 40; text.size() < length;) {
      // Bytes of any value, and often enough ones that make well-formed text.
      const uint32_t kind = random() % 3;
      text += kind == 0   ? std::string(1, static_cast<char>(random()))
              : kind == 1 ? "hello \n\t>🦙é<turn|>"
                          : std::string(1, static_cast<char>(' ' + random() % 95));
    }
    std::string expected;
    append_repaired(text, expected);
    ASSERT_EQ(tokenizer_.decode(tokenizer_.encode(text)), expected);
    ASSERT_EQ(tokenizer_.decode(tokenizer_.encode(text, kIgnore)), expected);
    ASSERT_EQ(tokenizer_.encode(text), tokenizer_.encode_reference(text));
  }
}

TEST_F(TokenizerTest, SpaceSymbolsInTextComeBackAsSpaces) {
  EXPECT_EQ(tokenizer_.decode(tokenizer_.encode("a▁b")), "a b");
}

TEST_F(TokenizerTest, ThreadsShareOneTokenizer) {
  const std::vector<TokenId> expected = tokenizer_.encode("hello hello world");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& count : wrong)
    threads.emplace_back([&] {
      const Tokenizer copy = tokenizer_;
      for (int i = 0; i < 500; ++i) {
        count += copy.encode("hello hello world") != expected;
        count += copy.decode(expected) != "hello hello world";
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

}  // namespace
}  // namespace gemma4::text

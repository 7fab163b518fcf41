// Encoding with chunks, cache and heap gives the ids of the definition, whatever the merge table.
#include "text/bpe.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "text/testing.h"

namespace gemma4::text {
namespace {

// Characters of every UTF-8 length, those with rules of their own, and one in no vocabulary.
const std::vector<std::string> kAlphabet = {"a", "b",  "c",  ">", "/",  "<",    " ",
                                            " ", "\n", "\t", "é", "日", "🦙", "Ω"};

std::string random_text(std::mt19937& random, size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i) {
    const std::string& character = kAlphabet[random() % kAlphabet.size()];
    const size_t repeats = random() % 8 == 0 ? random() % 20 : 1;
    for (size_t k = 0; k < repeats; ++k) text += character;
  }
  return text;
}

// Merges of random earlier results, in random order: also such as real training never makes.
testing::Merges random_merges(std::mt19937& random) {
  std::vector<std::string> parts(kAlphabet.begin(), kAlphabet.end() - 1);
  testing::Merges merges;
  std::set<std::pair<std::string, std::string>> seen;
  for (int i = 0; i < 40; ++i) {
    const auto merge = std::pair(parts[random() % parts.size()], parts[random() % parts.size()]);
    if (!seen.insert(merge).second) continue;
    merges.push_back(merge);
    parts.push_back(merge.first + merge.second);
  }
  std::shuffle(merges.begin(), merges.end(), random);
  return merges;
}

void expect_equals_reference(const Tokenizer& tokenizer, const std::string& text) {
  ASSERT_EQ(tokenizer.encode(text), tokenizer.encode_reference(text)) << quote(text, 400);
}

TEST(BpeTest, MergesByRankThenFromTheLeft) {
  const Tokenizer tokenizer = testing::small_tokenizer();
  const auto pieces = [&](std::string_view text) {
    std::string out;
    for (const TokenId id : tokenizer.encode(text)) out += std::string(tokenizer.piece(id)) + "|";
    return out;
  };
  EXPECT_EQ(pieces("aaa"), "aa|a|");
  EXPECT_EQ(pieces("aaaaa"), "aaaa|a|");
  EXPECT_EQ(pieces("\n\n\n\n"), "\n\n|\n\n|");  // the pair of pairs is no merge
  EXPECT_EQ(pieces("hello hello"), "hello|▁hello|");
  EXPECT_EQ(pieces("> </"), ">▁</|");  // the one merge that puts a space inside a token
  EXPECT_EQ(pieces("x </"), "x|▁</|");
  EXPECT_EQ(pieces("日本語"), "日本語|");
  EXPECT_EQ(pieces("▁hello"), "▁hello|");  // U+2581 is a space
  EXPECT_EQ(pieces("ω"), "<0xCF>|<0x89>|");
}

TEST(BpeTest, EqualsTheDefinitionForRandomVocabularies) {
  std::mt19937 random(20260101);
  for (int vocabulary = 0; vocabulary < 60; ++vocabulary) {
    const auto tokenizer = Tokenizer::from_json(testing::tokenizer_json(random_merges(random)));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    for (int i = 0; i < 30; ++i)
      expect_equals_reference(tokenizer.value(), random_text(random, random() % 60));
    expect_equals_reference(tokenizer.value(), random_text(random, 400));
  }
}

TEST(BpeTest, EqualsTheDefinitionWhenChunksRepeatAndEvictEachOther) {
  const Tokenizer tokenizer = testing::small_tokenizer();
  std::mt19937 random(7);
  std::vector<std::string> words;
  for (int i = 0; i < 300; ++i) words.push_back(random_text(random, 1 + random() % 6));
  std::string text;
  for (int i = 0; i < 1500; ++i) text += words[random() % words.size()] + " ";
  EXPECT_EQ(tokenizer.encode(text).size(), tokenizer.encode_reference(text).size());
  expect_equals_reference(tokenizer, text);
}

TEST(BpeTest, ByteTokensThatMergeSwitchCuttingOff) {
  // U+03A9 is CE A9 in UTF-8; no character of the name of its byte tokens is in the text.
  std::string json = testing::tokenizer_json({{"a", "b"}});
  const std::string before = "\"ab\":", after = "\"merges\":[";
  json.insert(json.find(before), "\"<0xCE><0xA9>\":9999,");
  json.insert(json.find(after) + after.size(), "[\"<0xCE>\",\"<0xA9>\"],");
  const size_t size = testing::vocabulary_of({{"a", "b"}}).size();
  json.replace(json.find("9999"), 4, std::to_string(size));
  const auto tokenizer = Tokenizer::from_json(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer.value().encode("Ω"), std::vector<TokenId>{static_cast<TokenId>(size)});
  expect_equals_reference(tokenizer.value(), "aΩb ab");
}

// Quadratic time would take minutes here.
TEST(BpeTest, LongRunsTakeLinearithmicTime) {
  const Tokenizer tokenizer = testing::small_tokenizer();
  EXPECT_EQ(tokenizer.encode(std::string(1 << 20, 'a')).size(), size_t{1} << 18);
  std::string alternating;
  for (int i = 0; i < 1 << 19; ++i) alternating += "ab";
  EXPECT_EQ(tokenizer.encode(alternating).size(), size_t{1} << 19);
}

}  // namespace
}  // namespace gemma4::text

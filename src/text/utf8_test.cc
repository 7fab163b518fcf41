#include "text/utf8.h"

#include <gtest/gtest.h>

namespace gemma4::text {
namespace {

std::string repaired(std::string_view text) {
  std::string out;
  append_repaired(text, out);
  return out;
}

TEST(Utf8Test, DecodesTheEndsOfEveryLength) {
  const std::pair<std::string_view, char32_t> kCases[] = {{std::string_view("\0", 1), 0},
                                                          {"\x7F", 0x7F},
                                                          {"\xC2\x80", 0x80},
                                                          {"\xDF\xBF", 0x7FF},
                                                          {"\xE0\xA0\x80", 0x800},
                                                          {"\xED\x9F\xBF", 0xD7FF},
                                                          {"\xEE\x80\x80", 0xE000},
                                                          {"\xEF\xBF\xBF", 0xFFFF},
                                                          {"\xF0\x90\x80\x80", 0x10000},
                                                          {"\xF4\x8F\xBF\xBF", 0x10FFFF}};
  for (const auto& [bytes, code_point] : kCases) {
    const Utf8Sequence sequence = next_sequence(bytes);
    EXPECT_EQ(sequence.kind, Utf8Sequence::Kind::kValid);
    EXPECT_EQ(sequence.length, bytes.size());
    EXPECT_EQ(sequence.code_point, code_point);
  }
}

TEST(Utf8Test, RepairsMaximalSubparts) {
  EXPECT_EQ(repaired("plain é"), "plain é");
  EXPECT_EQ(repaired("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(repaired("\xC0\xAF"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(repaired("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");            // a surrogate
  EXPECT_EQ(repaired("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
  EXPECT_EQ(repaired("\xF0\x9F\xA6"), "\uFFFD");                        // cut off: one for all
  EXPECT_EQ(repaired("\xF0\x9F\xA6z"), "\uFFFDz");
  EXPECT_EQ(repaired("\xE2\x82\xE2\x82\xAC"), "\uFFFD€");
}

// Every string of up to three bytes from the values where something changes.
TEST(Utf8Test, AgreesWithTheValidator) {
  constexpr uint8_t kBytes[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
  constexpr size_t kNum = std::size(kBytes);
  for (size_t i = 0; i < kNum * kNum * kNum; ++i) {
    const std::string bytes = {static_cast<char>(kBytes[i % kNum]),
                               static_cast<char>(kBytes[i / kNum % kNum]),
                               static_cast<char>(kBytes[i / kNum / kNum])};
    const Utf8Sequence sequence = next_sequence(bytes);
    ASSERT_EQ(sequence.kind == Utf8Sequence::Kind::kValid,
              is_well_formed(std::string_view(bytes).substr(0, sequence.length)));
    ASSERT_EQ(repaired(bytes) == bytes, is_well_formed(bytes));
    ASSERT_TRUE(is_well_formed(repaired(bytes)));
  }
}

}  // namespace
}  // namespace gemma4::text

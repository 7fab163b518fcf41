// Lengths beside patterns: what they allow, that nothing runs into a dead end, and what they cost.
#include "constrain/counted_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <regex>

#include "base/strings.h"
#include "constrain/explorer.h"
#include "constrain/schema_grammar.h"
#include "text/utf8.h"

namespace gemma4::constrain {
namespace {

Result<std::shared_ptr<const Grammar>> compiled(std::string_view schema) {
  return grammar_of_schema(json::parse(schema).value(), {});
}

bool accepts(Explorer& explorer, std::string_view text) {
  ConfigId config = explorer.start();
  for (const char c : text)
    if ((config = explorer.step(config, static_cast<uint8_t>(c))) == kDeadConfig) return false;
  return explorer.can_end(config);
}

// All texts of up to `most` of `letters`.
std::vector<std::string> texts_of(std::string_view letters, size_t most) {
  std::vector<std::string> result{""};
  for (size_t i = 0; i < result.size(); ++i)
    if (result[i].size() < most)
      for (const char c : letters) result.push_back(result[i] + c);
  return result;
}

struct Case {
  const char* pattern;
  size_t min, max;
};

TEST(CountedText, AgreesWithPatternAndLength) {
  for (const Case& c : {Case{"^a*b?$", 0, 4}, Case{"^(aab)*$", 2, 7}, Case{"^(ab|c)+$", 3, 5},
                        Case{"c", 2, 5}, Case{"^(aa)*$", 3, 6}, Case{"^a(b|cc)*$", 1, 6},
                        Case{"^.{2,4}$", 3, 6}, Case{"^[^a]{1,3}$", 0, 2}, Case{"a..b", 0, 5}}) {
    const auto grammar =
        compiled(str_cat(R"({"type":"string","pattern":")", c.pattern, R"(","minLength":)", c.min,
                         R"(,"maxLength":)", c.max, "}"));
    ASSERT_TRUE(grammar.ok()) << c.pattern << grammar.error().message;
    Explorer explorer(grammar.value());
    const std::regex expected(c.pattern);
    for (const std::string& text : texts_of("abc", 8))
      EXPECT_EQ(accepts(explorer, "\"" + text + "\""),
                text.size() >= c.min && text.size() <= c.max && std::regex_search(text, expected))
          << c.pattern << " " << text;
  }
}

TEST(CountedText, CountsCodePoints) {
  const auto grammar = compiled(R"({"type":"string","pattern":"\\S","maxLength":3})");
  Explorer explorer(grammar.value());
  for (const char* text :
       {"\"\xC3\xA9\xF0\x9F\x98\x80\xE2\x82\xAC\"", R"("\n\u0001x")", R"("\"\\a")"})
    EXPECT_TRUE(accepts(explorer, text)) << text;
  for (const char* text :
       {"\"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\"", R"("\n\u0001xy")", "\"   \"", "\"\""})
    EXPECT_FALSE(accepts(explorer, text)) << text;
}

// Whatever was written, an end can be reached; at the maximum nothing else can come.
TEST(CountedText, HasNoDeadEnds) {
  std::mt19937 random(5);
  for (const char* schema :
       {R"({"type":"string","format":"email","maxLength":12})",
        R"({"type":"string","format":"uri","minLength":5,"maxLength":14})",
        R"({"type":"string","pattern":"^(abc|de)*$","minLength":7,"maxLength":11})",
        R"({"type":"string","pattern":"a..b..c","maxLength":9})",
        R"({"type":"string","pattern":"\n\"$","minLength":3,"maxLength":9})"}) {
    const auto grammar = compiled(schema);
    ASSERT_TRUE(grammar.ok()) << schema << grammar.error().message;
    Explorer explorer(grammar.value());
    for (int walk = 0; walk < 200; ++walk) {
      ConfigId config = explorer.start();
      std::string text;
      for (int i = 0; i < 100 && explorer.can_continue(config); ++i) {
        std::string next;
        for (int byte = 0; byte < 256; ++byte)
          if (explorer.step(config, static_cast<uint8_t>(byte)) != kDeadConfig)
            next += static_cast<char>(byte);
        ASSERT_NE(next, "") << schema << " after " << text;
        text += next[random() % next.size()];
        config = explorer.step(config, static_cast<uint8_t>(text.back()));
      }
      EXPECT_TRUE(explorer.can_end(config)) << schema << " after " << text;
    }
  }
}

TEST(CountedText, KnowsWhatHasNoText) {
  for (const char* schema :
       {R"({"type":"string","pattern":"^(abc)*$","minLength":4,"maxLength":5})",
        R"({"type":"string","format":"email","maxLength":2})",
        R"({"type":"string","pattern":"^a{3}$","minLength":4})",
        R"({"type":"string","pattern":"x","minLength":4,"maxLength":3})"})
    EXPECT_THAT(compiled(schema).error().message, ::testing::StartsWith("nothing satisfies"))
        << schema;
}

TEST(CountedText, HostNamesAreLimitedAsAWhole) {
  const auto grammar = compiled(R"({"type":"string","format":"hostname"})");
  Explorer explorer(grammar.value());
  std::string name = std::string(60, 'a');
  for (int i = 0; i < 3; ++i) name += "." + std::string(60, 'b');  // 243
  EXPECT_TRUE(accepts(explorer, "\"" + name + ".123456789\""));
  EXPECT_FALSE(accepts(explorer, "\"" + name + ".1234567890\""));
}

TEST(CountedText, LengthsUnderOtherKeywords) {
  const auto grammar = compiled(
      R"({"oneOf":[{"type":"string","pattern":"^a*$","maxLength":3},
                   {"type":"string","pattern":"^a*$","minLength":3}],
          "not":{"pattern":"^a*$","maxLength":1}})");
  Explorer explorer(grammar.value());
  for (const char* text : {"\"aa\"", "\"aaaa\"", "\"aaaaaaa\""})
    EXPECT_TRUE(accepts(explorer, text)) << text;
  for (const char* text : {"\"\"", "\"a\"", "\"aaa\"", "\"b\""})
    EXPECT_FALSE(accepts(explorer, text)) << text;
}

// What schemas of libraries say by default: none takes a state for each length.
TEST(CountedText, LongLimitsAreCheap) {
  for (const char* schema :
       {R"("format":"email","maxLength":100)", R"("format":"email","maxLength":320)",
        R"("format":"uri","minLength":1,"maxLength":2083)", R"("pattern":"\\S","maxLength":10000)",
        R"("pattern":".*\\S.*","maxLength":5000)", R"("pattern":"^\\S+$","maxLength":256)",
        R"("pattern":"^.{1,500}$")", R"("pattern":"^[\\s\\S]{1,5000}$")",
        R"("pattern":"x","minLength":100000)", R"("format":"hostname","maxLength":253)",
        R"("pattern":"^[a-z]{3,}$","minLength":1000,"maxLength":2000)"}) {
    const auto begin = std::chrono::steady_clock::now();
    const auto grammar = compiled(str_cat(R"({"type":"string",)", schema, "}"));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(grammar.ok()) << schema << grammar.error().message;
    EXPECT_LT(grammar.value()->states.size(), 8000U) << schema;
    printf("%8.1f ms  %7zu states  %s\n", took.count(), grammar.value()->states.size(), schema);
  }
}

}  // namespace
}  // namespace gemma4::constrain

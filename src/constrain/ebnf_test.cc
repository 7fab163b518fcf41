#include "constrain/ebnf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/strings.h"
#include "constrain/explorer.h"
#include "constrain/testing.h"

namespace gemma4::constrain {
namespace {

using ::testing::HasSubstr;

bool accepts(std::string_view source, std::string_view text) {
  const auto grammar = grammar_of_ebnf(source);
  EXPECT_TRUE(grammar.ok()) << grammar.error().message;
  if (!grammar.ok()) return false;
  Explorer explorer(grammar.value());
  ConfigId config = explorer.start();
  for (const char c : text) config = explorer.step(config, static_cast<uint8_t>(c));
  NaiveMatcher naive(grammar.value());
  EXPECT_EQ(naive.accept_bytes(text) && naive.can_end(), explorer.can_end(config)) << text;
  return explorer.can_end(config);
}

std::string refusal(std::string_view source) {
  const auto grammar = grammar_of_ebnf(source);
  return grammar.ok() ? "accepted" : grammar.error().message;
}

TEST(Ebnf, RegularAndRecursive) {
  constexpr std::string_view kList = R"(
    # a list of numbers
    root   ::= "[" ws (item (","
               ws item)*)? "]"
    item   ::= number | root
    number ::= "-"? [0-9]{1,3} ("." [0-9]+)?   # short
    ws     ::= " "?
  )";
  for (const char* text : {"[]", "[ ]", "[1]", "[1, -2.5,[[]]]"})
    EXPECT_TRUE(accepts(kList, text)) << text;
  for (const char* text : {"", "[", "[1,]", "[1234]", "[1 ]"})
    EXPECT_FALSE(accepts(kList, text)) << text;
}

TEST(Ebnf, CountsWhatIsNotRegular) {
  constexpr std::string_view kPairs = R"(root ::= p{2,3} "." ; 
  )";
  EXPECT_THAT(refusal(kPairs), HasSubstr("';' is out of place"));
  constexpr std::string_view kNested = "root ::= p{2,3} \".\"\np ::= \"(\" p* \")\"";
  EXPECT_TRUE(accepts(kNested, "()(()())."));
  EXPECT_TRUE(accepts(kNested, "()()(())."));
  EXPECT_FALSE(accepts(kNested, "()."));
  EXPECT_FALSE(accepts(kNested, "()()()()."));
  constexpr std::string_view kEmpty = "root ::= p{2,} \".\"\np ::= (\"(\" p \")\")?";
  EXPECT_TRUE(accepts(kEmpty, "."));
  EXPECT_TRUE(accepts(kEmpty, "(())()()()."));
}

TEST(Ebnf, CharactersAndTokens) {
  EXPECT_TRUE(
      accepts(R"(root ::= "a\n\x41\u00e9\U0001F600" [^\]a-c] .)", "a\nA\u00E9\U0001F600x\u00E9"));
  EXPECT_FALSE(accepts(R"(root ::= [^\]a-c])", "]"));
  const auto grammar = grammar_of_ebnf("root ::= <[48]> \"x\" <[49]>").value();
  Explorer explorer(grammar);
  const ConfigId open = explorer.step_symbol(explorer.start(), 48);
  EXPECT_EQ(explorer.step_symbol(explorer.start(), 49), kDeadConfig);
  EXPECT_EQ(explorer.step(explorer.start(), '<'), kDeadConfig);
  EXPECT_TRUE(explorer.can_end(explorer.step_symbol(explorer.step(open, 'x'), 49)));
}

TEST(Ebnf, RefusesByName) {
  EXPECT_THAT(refusal("root ::= a \"x\"\na ::= root | \"y\""), HasSubstr("is left-recursive"));
  EXPECT_THAT(refusal("root ::= b root \"x\" | \"\"\nb ::= \"\" | \"z\""),
              HasSubstr("'root' is left-recursive"));
  EXPECT_THAT(refusal("root ::= a"), HasSubstr("'a' is not defined"));
  EXPECT_THAT(refusal("root ::= \"a\"\nroot ::= \"b\""), HasSubstr("defined twice"));
  EXPECT_THAT(refusal("a ::= \"a\""), HasSubstr("no rule 'root'"));
  EXPECT_THAT(refusal("root ::= \"a\n\""), HasSubstr("line 1: a literal does not end"));
  EXPECT_THAT(refusal("root ::= (\"a\""), HasSubstr("lacks its ')'"));
  EXPECT_THAT(refusal("root ::= a\na ::= \"x\" a"), HasSubstr("nothing satisfies"));
}

std::string joined(int count, std::string_view separator,
                   const std::function<std::string(int)>& item) {
  std::string result;
  for (int i = 0; i < count; ++i) result += str_cat(i > 0 ? separator : "", item(i));
  return result;
}

// The refusal of a hostile grammar; it must come soon. The limit has room for slow machines.
std::string quick_refusal(const std::string& source, double limit_s = 2) {
  const Stopwatch time;
  std::string result = refusal(source);
  const double seconds = time.seconds();
  printf("%6.3f s  %8zu bytes  %s\n", seconds, source.size(), result.substr(0, 90).c_str());
  EXPECT_LT(seconds, time_limit(limit_s)) << source.substr(0, 200);
  return result;
}

// Follows `text` without the naive matcher, which large grammars are too much for.
bool follows(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  Explorer explorer(grammar);
  ConfigId config = explorer.start();
  for (const char c : text) config = explorer.step(config, static_cast<uint8_t>(c));
  EXPECT_FALSE(explorer.over_budget());
  return explorer.can_end(config);
}

// The limits on making automata decide how a grammar is represented, never what it accepts.
TEST(Ebnf, LargeRulesKeepTheirLanguage) {
  const std::string big =
      "big ::= " + joined(1900, " ", [](int) { return std::string("\"abcdefghij\""); }) + "\n";
  const std::string text = joined(1900, "", [](int) { return std::string("abcdefghij"); });
  for (const int users : {3, 60, 150}) {
    SCOPED_TRACE(users);
    const std::string source =
        str_cat(big, "good ::= \"[\" good \"]\" | \"yes\"\nroot ::= \"(\" big good | ",
                joined(users, " | ", [](int i) { return str_cat("r", i); }), "\n",
                joined(users, "\n", [](int i) { return str_cat("r", i, " ::= big <[", i, "]>"); }));
    const auto grammar = grammar_of_ebnf(source);
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    Explorer explorer(grammar.value());
    EXPECT_EQ(explorer.step(explorer.start(), '['), kDeadConfig);
    EXPECT_EQ(explorer.step(explorer.start(), 'y'), kDeadConfig);
    EXPECT_TRUE(follows(grammar.value(), str_cat("(", text, "[[yes]]")));
    EXPECT_FALSE(follows(grammar.value(), str_cat("(", text.substr(1), "[[yes]]")));
  }
}

// Expressions that no automaton of ours holds are matched without one.
TEST(Ebnf, WhatIsTooLargeForAutomataStillMatches) {
  const std::string source =
      str_cat("root ::= ", joined(12, " \"-\" ", [](int i) { return str_cat("x", i); }),
              " \"-\" y\ny ::= \"(\" y \")\" | \"\u00E9\" [\u0400-\U0001FFFF]\n",
              joined(12, "\n", [](int i) {
                return str_cat("x", i, " ::= (\"a\" | \"b\" | \"", std::string(1, 'c' + i),
                               "\")* \"a\" (\"a\" | \"b\"){24}");
              }));
  const auto grammar = grammar_of_ebnf(source);
  ASSERT_TRUE(grammar.ok()) << grammar.error().message;
  std::string text;
  for (int i = 0; i < 12; ++i) text += std::string(1, 'c' + i) + "ba" + std::string(24, 'b') + "-";
  EXPECT_TRUE(follows(grammar.value(), text + "((\u00E9\U0001F600))"));
  EXPECT_FALSE(follows(grammar.value(), text + "((\u00E9\U0001F600)"));
  EXPECT_FALSE(follows(grammar.value(), text + "\u00E9x"));
  EXPECT_FALSE(follows(grammar.value(), "x" + text + "\u00E9\U0001F600"));
  // Many states with many edges each, of tokens or of bytes.
  const auto counted = [](const std::string& parts) {
    const Stopwatch time;
    const auto result = grammar_of_ebnf("root ::= (" + parts + "){0,30000} \"!\"");
    EXPECT_LT(time.seconds(), time_limit(3));
    return result.ok() && follows(result.value(), "!");
  };
  EXPECT_TRUE(counted(joined(2000, " | ", [](int i) { return str_cat("<[", i, "]>"); })));
  EXPECT_TRUE(counted("[\\x01-\\x7f] | " + joined(200, " | ", [](int i) {
                        return str_cat("\"\\u00", std::string(1, "89ab"[i / 16 % 4]),
                                       std::string(1, "0123456789abcdef"[i % 16]), "\"");
                      })));
}

TEST(Ebnf, HostileOnesAreRefusedInTime) {
  std::string nested;
  for (int i = 0; i < 199; ++i) nested = "(" + nested + "\"a\")" + std::string(195, '*');
  EXPECT_THAT(quick_refusal("root ::= " + nested), HasSubstr("nested too deep"));
  EXPECT_THAT(quick_refusal("root ::= \"a\"" + std::string(40000, '*')),
              HasSubstr("nested too deep"));
  EXPECT_THAT(quick_refusal("root ::= p{150000}\np ::= \"(\" p \")\" | \"x\""),
              HasSubstr("line 1: a count is above 100000"));
  EXPECT_THAT(quick_refusal("root ::= \"x\"{2,99999999999999999999}"),
              HasSubstr("a count is above 100000"));
  EXPECT_THAT(
      quick_refusal(str_cat("root ::= a\na ::= \"x\" | ",
                            joined(250000, " ", [](int i) { return str_cat("<[", i, "]> a"); }))),
      HasSubstr("too large"));
  EXPECT_THAT(quick_refusal("root ::= (a){0,100000}\na ::= (b){0,100000}\n"
                            "b ::= \"(\" b \")\" | \"\""),
              HasSubstr("too ambiguous"));
}

TEST(Ebnf, LongChainsOfRulesTakeNoTime) {
  const auto chain = [](int count, std::string_view head) {
    return str_cat(
        "root ::= r", count - 1, "\nr0 ::= \"x\" <[1]>\n",
        joined(count - 1, "\n", [&](int i) { return str_cat("r", i + 1, " ::= ", head, "r", i); }));
  };
  EXPECT_EQ(quick_refusal(chain(30000, "\"a\" root | <[2]> | ")), "accepted");
  EXPECT_EQ(quick_refusal(chain(30000, "")), "accepted");
  EXPECT_EQ(quick_refusal(str_cat(
                "root ::= r0\n",
                joined(30000, "\n", [](int i) { return str_cat("r", i, " ::= r", i + 1, "?"); }),
                "\nr30000 ::= \"(\" root \")\"")),
            "accepted");
}

// Many alternatives at once: what counts is how many there are, not how they are written.
TEST(Ebnf, ManyAlternativesThatAreNotRegular) {
  const auto alternatives = grammar_of_ebnf(str_cat(
      "root ::= ", joined(8000, " | ", [](int i) { return str_cat("\"", i, "\" root \"x\""); }),
      " | \"end\""));
  ASSERT_TRUE(alternatives.ok()) << alternatives.error().message;
  EXPECT_TRUE(follows(alternatives.value(), "79997999endxx"));
  EXPECT_TRUE(follows(alternatives.value(), "0end" + std::string(1, 'x')));
  EXPECT_FALSE(follows(alternatives.value(), "8000end" + std::string(1, 'x')));
  const auto chain = grammar_of_ebnf(str_cat(
      "root ::= \"(\" root \")\" | r0\n",
      joined(15000, "\n",
             [](int i) { return str_cat("r", i, " ::= \"", i % 10, "\" root | r", i + 1); }),
      "\nr15000 ::= \"x\""));
  ASSERT_TRUE(chain.ok()) << chain.error().message;
  EXPECT_TRUE(follows(chain.value(), "(0x)"));
}

// A repetition that cannot be finished is not an end.
TEST(Ebnf, RepetitionsOfTheImpossible) {
  constexpr std::string_view kSource =
      "root ::= \"a\" p{2,3} | \"b\" p{2,} | \"c\" p* | \"d\" p{0} \"!\"\np ::= \"(\" p";
  EXPECT_FALSE(accepts(kSource, "a"));
  EXPECT_TRUE(accepts(kSource, "c"));
  EXPECT_TRUE(accepts(kSource, "d!"));
  Explorer explorer(grammar_of_ebnf(kSource).value());
  EXPECT_EQ(explorer.step(explorer.start(), 'a'), kDeadConfig);
  EXPECT_EQ(explorer.step(explorer.start(), 'b'), kDeadConfig);
  EXPECT_THAT(refusal("root ::= p{1,3}\np ::= \"(\" p"), HasSubstr("nothing satisfies"));
}

}  // namespace
}  // namespace gemma4::constrain

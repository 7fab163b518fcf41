#include "constrain/ebnf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gemma4::constrain

#include "constrain/matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/strings.h"
#include "constrain/ebnf.h"
#include "constrain/schema_grammar.h"
#include "constrain/testing.h"

namespace gemma4::constrain {
namespace {

using text::TokenId;

const text::Tokenizer& tokenizer() {
  static const auto kTokenizer =
      text::Tokenizer::load(std::string(GEMMA4_SOURCE_DIR) + "/models/demo").value();
  return kTokenizer;
}

std::shared_ptr<const VocabularyIndex> vocabulary() {
  static const auto kIndex = VocabularyIndex::build(tokenizer());
  return kIndex;
}

std::shared_ptr<const CompiledGrammar> compiled(Result<std::shared_ptr<const Grammar>> grammar) {
  return std::make_shared<CompiledGrammar>(std::move(grammar).value());
}

std::shared_ptr<const CompiledGrammar> of_schema(std::string_view schema) {
  return compiled(grammar_of_schema(json::parse(schema).value(), {}));
}

bool bit(std::span<const uint32_t> bits, TokenId id) {
  return (bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

// Random walks: at every step the mask must be what trying each token by itself says.
void compare_with_naive(const std::shared_ptr<const CompiledGrammar>& grammar, uint32_t seed,
                        int steps) {
  std::mt19937 random(seed);
  Matcher matcher(grammar, vocabulary());
  NaiveMatcher naive(grammar->grammar());
  std::vector<uint32_t> bits(vocabulary()->num_words());
  std::string text;
  for (int step = 0; step < steps; ++step) {
    matcher.allowed(bits);
    ASSERT_EQ(matcher.can_end(), naive.can_end()) << text;
    std::vector<TokenId> allowed;
    std::array<int, 256> first{};  // 0: not tried, 1: dead, 2: alive
    for (TokenId id = 0; id < vocabulary()->size(); ++id) {
      const std::string_view bytes = vocabulary()->bytes(id);
      bool expected = false;
      if (bytes.empty()) {
        expected = NaiveMatcher(naive).accept_symbol(id);
      } else {
        int& alive = first[static_cast<uint8_t>(bytes[0])];
        if (alive == 0) alive = NaiveMatcher(naive).accept_bytes(bytes.substr(0, 1)) ? 2 : 1;
        expected = alive == 2 && NaiveMatcher(naive).accept_bytes(bytes);
      }
      ASSERT_EQ(bit(bits, id), expected) << text << " then token " << id << " '" << bytes << "'";
      if (expected) allowed.push_back(id);
    }
    if (allowed.empty()) break;
    // Long tokens first, now and then, so that texts end.
    const TokenId id = allowed[random() % allowed.size()];
    text += vocabulary()->bytes(id);
    ASSERT_TRUE(matcher.accept(id));
    ASSERT_TRUE(vocabulary()->bytes(id).empty() ? naive.accept_symbol(id)
                                                : naive.accept_bytes(vocabulary()->bytes(id)));
  }
}

constexpr std::string_view kSchemas[] = {
    R"({"type":"object","properties":{"a":{"type":"integer","minimum":-5,"maximum":120},
       "bc":{"enum":["x","yy",null]},"d":{"type":"array","items":{"type":"boolean"},"maxItems":3}},
       "required":["bc"],"additionalProperties":false})",
    R"({"type":"string","minLength":2,"maxLength":6})",
    R"({"type":"string","pattern":"^[a-z]{2,5}( [a-z]+)*$"})",
    R"({"type":"string","minLength":3})",
    R"({"anyOf":[{"type":"string","maxLength":3},{"type":"string","pattern":"^[a-z]*$"},
       {"type":"array","items":{"$ref":"#"}}]})",
    R"({"type":"array","items":{"enum":["a","b","c","d"]},"uniqueItems":true,"minItems":2})",
    R"({"type":"object","minProperties":1,"maxProperties":2,"properties":{"k":true},
       "patternProperties":{"^x":{"type":"null"}},"additionalProperties":{"type":"number"}})",
    R"({"contains":{"const":1},"minContains":2,"maxContains":3,"items":{"type":"integer"}})",
};

TEST(Matcher, MaskIsWhatEachTokenSays) {
  uint32_t seed = 0;
  for (const std::string_view schema : kSchemas) {
    SCOPED_TRACE(schema);
    compare_with_naive(of_schema(schema), ++seed, 6);
  }
}

TEST(Matcher, MaskOfGrammarsWithControlTokens) {
  SCOPED_TRACE("ebnf");
  compare_with_naive(compiled(grammar_of_ebnf("root ::= <[7]> word (<[11]> word)* <[8]> root?\n"
                                              "word ::= [a-z]{1,4} | \"(\" word \")\" | .")),
                     3, 8);
}

// Random small grammars: recursion, counts, empty parts.
TEST(Matcher, MaskOfRandomGrammars) {
  std::mt19937 random(11);
  const auto pick = [&](uint32_t n) { return random() % n; };
  const std::function<std::string(int)> part = [&](int depth) -> std::string {
    if (depth == 0) {
      constexpr const char* kLeaves[] = {"\"a\"", "\"the\"", "[a-c]", "[^\"\\\\]",
                                         "\"\"",  "b",       "c"};
      return kLeaves[pick(7)];
    }
    const std::string inside = part(depth - 1);
    switch (pick(5)) {
      case 0:
        return "(" + inside + " | " + part(depth - 1) + ")";
      case 1:
        return "(" + inside + ")" + std::string(1, "?*+"[pick(3)]);
      case 2:
        return "(" + inside + "){1,3}";
      default:
        return inside + " " + part(depth - 1);
    }
  };
  int used = 0;
  for (uint32_t i = 0; i < 60; ++i) {
    const std::string source = "root ::= \"x\" " + part(3) + "\nb ::= \"(\" " + part(2) +
                               " \")\"\nc ::= [0-9] (\",\" root)? \".\"";
    auto grammar = grammar_of_ebnf(source);
    if (!grammar.ok()) continue;  // left-recursive, or nothing satisfies it
    ++used;
    SCOPED_TRACE(source);
    compare_with_naive(compiled(std::move(grammar)), i, 3);
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(used, 40);
}

TEST(Matcher, RollsBackAndKnowsWhatIsForced) {
  Matcher matcher(of_schema(R"({"type":"object","properties":{"answer":{"enum":["yes","no"]}},
      "required":["answer"],"additionalProperties":false})"),
                  vocabulary());
  EXPECT_EQ(matcher.forced_text(100), "{");
  ASSERT_TRUE(matcher.accept_bytes("{\""));
  EXPECT_EQ(matcher.forced_text(100), "answer\":");
  EXPECT_EQ(matcher.forced_text(3), "ans");
  ASSERT_TRUE(matcher.accept_bytes("answer\":\""));
  const Matcher saved = matcher;
  ASSERT_TRUE(matcher.accept_bytes("y"));
  EXPECT_EQ(matcher.forced_text(100), "es\"");
  EXPECT_FALSE(matcher.accept_bytes("o"));
  EXPECT_EQ(matcher.forced_text(100), "es\"");
  matcher = saved;
  ASSERT_TRUE(matcher.accept_bytes("no\"}"));
  EXPECT_TRUE(matcher.can_end());
  EXPECT_TRUE(matcher.is_done());
}

TEST(Matcher, LongTextsDoNotFillTheMemory) {
  const auto grammar = of_schema(R"({"type":"array","items":{"type":"object","properties":{
      "a":{"type":"integer"},"b":{"type":"string","maxLength":50}}}})");
  Matcher matcher(grammar, vocabulary());
  const Matcher start = matcher;
  ASSERT_TRUE(matcher.accept_bytes("["));
  for (int i = 0; i < 20000; ++i)
    ASSERT_TRUE(matcher.accept_bytes(R"({"b": "some text )" + std::to_string(i) + R"("}, )"));
  Matcher deep(of_schema("true"), vocabulary());
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(deep.accept_bytes("["));
  ASSERT_TRUE(deep.accept_bytes("1"));
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(deep.accept_bytes("]"));
  EXPECT_TRUE(deep.is_done());
  Matcher again = start;
  EXPECT_TRUE(again.accept_bytes("[]"));
}

// 3,000 ways to go on, each of which goes on in 3,000 ways behind the next bracket.
TEST(Matcher, TooManyStacksAreImpossibleSoonAndSaidSo) {
  std::string source = "root ::= r0\n";
  for (int i = 0; i < 3000; ++i)
    source += str_cat("r", i, " ::= r", i + 1, " | \"(\" root \")\"\n");
  source += "r3000 ::= \"x\" | \"(\" root \")\"";
  const auto grammar = compiled(grammar_of_ebnf(source));
  Matcher matcher(grammar, vocabulary());
  EXPECT_FALSE(matcher.over_budget());
  std::vector<uint32_t> bits(vocabulary()->num_words());
  const Stopwatch time;
  matcher.allowed(bits);
  EXPECT_LT(time.seconds(), time_limit(3));
  EXPECT_TRUE(matcher.over_budget());
  EXPECT_FALSE(matcher.accept_bytes("(("));
  EXPECT_TRUE(matcher.accept_bytes("x"));
  EXPECT_TRUE(matcher.over_budget());
  // The next request does not get these tables.
  EXPECT_FALSE(Matcher(grammar, vocabulary()).over_budget());
}

}  // namespace
}  // namespace gemma4::constrain

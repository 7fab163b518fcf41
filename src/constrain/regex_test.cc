#include "constrain/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <regex>

#include "constrain/testing.h"

namespace gemma4::constrain {
namespace {

using ::testing::HasSubstr;

bool matches(std::string_view pattern, std::string_view text, RegexMode mode = RegexMode::kSearch) {
  const auto dfa = compile_regex(pattern, mode);
  EXPECT_TRUE(dfa.ok()) << pattern << ": " << dfa.error().message;
  return dfa.ok() && dfa.value().accepts(text);
}

std::string refusal(std::string_view pattern) {
  const auto dfa = compile_regex(pattern, RegexMode::kSearch);
  return dfa.ok() ? "accepted" : dfa.error().message;
}

TEST(Regex, SearchesUnlessAnchored) {
  EXPECT_TRUE(matches("b+", "abbc"));
  EXPECT_FALSE(matches("^b+", "abbc"));
  EXPECT_FALSE(matches("b+$", "abbc"));
  EXPECT_TRUE(matches("^abbc$", "abbc"));
  EXPECT_TRUE(matches("^a|c$", "xxc"));
  EXPECT_TRUE(matches("(^|,)a(,|$)", "b,a"));
  EXPECT_FALSE(matches("(^|,)a(,|$)", "ba"));
  EXPECT_TRUE(matches("", "anything"));
  EXPECT_TRUE(matches("^$", ""));
  EXPECT_FALSE(matches("^$", "x"));
  EXPECT_TRUE(matches("^^a$$", "a"));
  EXPECT_FALSE(matches("a^", "a"));
  EXPECT_FALSE(matches("b+", "abbc", RegexMode::kWhole));
  EXPECT_TRUE(matches("ab+c", "abbc", RegexMode::kWhole));
}

TEST(Regex, Syntax) {
  EXPECT_TRUE(matches("^\\d{3}-\\d{4}$", "555-1234"));
  EXPECT_FALSE(matches("^\\d{3}$", "\u0661\u0662\u0663"));
  EXPECT_TRUE(matches("^[^a-c\\s]+$", "xyz\u00E9"));
  EXPECT_FALSE(matches("^[^a-c\\s]+$", "x z"));
  EXPECT_TRUE(matches("^.$", "\U0001F600"));
  EXPECT_FALSE(matches("^.$", "\n"));
  EXPECT_TRUE(matches("^\\u{1F600}\\uD83D\\uDE00\\x41\\cJ$", "\U0001F600\U0001F600A\n"));
  EXPECT_TRUE(matches("^(?<year>\\d+)(?:-x)?$", "12-x"));
  EXPECT_TRUE(matches("^a{2,3}?$", "aaa"));
  EXPECT_FALSE(matches("^a{2,3}$", "aaaa"));
  EXPECT_TRUE(matches("^a{2,}$", "aaaaa"));
  EXPECT_TRUE(matches("^[\\w-]+[.\\]]$", "a-b]"));
  EXPECT_TRUE(matches("^[\\u0080-\\u{10FFFF}]$", "\u0800"));
  EXPECT_FALSE(matches("^[\\u0080-\\u{10FFFF}]$", "a"));
  EXPECT_TRUE(matches("^\\D\\W\\S\\t\\n\\v\\f\\r\\0[\\b][\\w\\-]\\/\\$$",
                      std::string("a-b\t\n\v\f\r\0\b-/$", 13)));
}

TEST(Regex, LookaheadAtTheBegin) {
  EXPECT_TRUE(matches("^(?!\\.)(?!.*\\.\\.)[a.]+@b$", "a.a@b"));
  EXPECT_FALSE(matches("^(?!\\.)(?!.*\\.\\.)[a.]+@b$", ".a@b"));
  EXPECT_FALSE(matches("^(?!\\.)(?!.*\\.\\.)[a.]+@b$", "a..a@b"));
  EXPECT_TRUE(matches("^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "-1.5"));
  EXPECT_FALSE(matches("^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "-."));
  EXPECT_TRUE(matches("^(?=.*[A-Z])(?=.*\\d).{3}|^(?!b)c", "x1Y"));
  EXPECT_TRUE(matches("^(?=.*[A-Z])(?=.*\\d).{3}|^(?!b)c", "c"));
  EXPECT_FALSE(matches("^(?=.*[A-Z])(?=.*\\d).{3}|^(?!b)c", "x1y"));
  EXPECT_TRUE(matches("(?!b)[bc]+", "cb", RegexMode::kWhole));
  EXPECT_FALSE(matches("(?!b)[bc]+", "bc", RegexMode::kWhole));
}

TEST(Regex, RefusesByName) {
  for (const char* elsewhere :
       {"(?=a)", "a(?!b)", "^a(?=b)", "^((?!a)b)", "^(?=(?=a)a)", "^(?!a)*"})
    EXPECT_NE(refusal(elsewhere), "accepted") << elsewhere;
  EXPECT_THAT(refusal("^a(?=b)"), HasSubstr("lookaround"));
  EXPECT_THAT(refusal("^(?<=b)"), HasSubstr("lookbehind"));
  std::string deep = "^";
  for (int i = 0; i < 100000; ++i) deep += "(?=";
  EXPECT_THAT(refusal(deep), HasSubstr("nests"));
  EXPECT_THAT(refusal("(?=a)"), HasSubstr("lookaround"));
  EXPECT_THAT(refusal("(a)\\1"), HasSubstr("back reference"));
  EXPECT_THAT(refusal("\\k<a>"), HasSubstr("back reference"));
  EXPECT_THAT(refusal("\\bword"), HasSubstr("word boundary"));
  EXPECT_THAT(refusal("[\\B]"), HasSubstr("word boundary"));
  EXPECT_THAT(refusal("\\p{L}"), HasSubstr("Unicode property"));
  for (const char* wrong : {"(", ")", "[a", "a{2", "a{3,2}", "*", "a**", "[b-a]", "\\", "\\xZ1",
                            "\\a", "(?P<n>a)", "\\u{110000}", "{"})
    EXPECT_THAT(refusal(wrong), HasSubstr("the regular expression")) << wrong;
}

TEST(Regex, HostileOnesAreRefusedInTime) {
  const auto quick = [](const std::string& pattern) {
    const Stopwatch time;
    std::string result = refusal(pattern);
    const double seconds = time.seconds();
    printf("%6.3f s  %8zu bytes  %s\n", seconds, pattern.size(), pattern.substr(0, 40).c_str());
    EXPECT_LT(seconds, time_limit(3)) << pattern.substr(0, 100);
    return result;
  };
  EXPECT_THAT(quick("((((a{99}){99}){99}){99}){99}"), HasSubstr("too large"));
  EXPECT_THAT(quick("^(a|b)*a(a|b){30}$"), HasSubstr("too large"));
  EXPECT_THAT(quick(std::string(1000, '(') + std::string(1000, ')')), HasSubstr("nests"));
  // Few states, but very many moves between them.
  for (const char* count : {"{5000}", "{19000}", "{0,19000}", "*"})
    EXPECT_THAT(quick("(?:" + std::string(100000, '|') + ")" + count),
                *count == '*' ? HasSubstr("accepted") : HasSubstr("too large"));
  EXPECT_THAT(quick("^(?:a?){19000}$"), HasSubstr("too large"));
  EXPECT_THAT(quick("a{150000}"), HasSubstr("a count above 100000"));
  EXPECT_THAT(quick("a{1,99999999999999999999}"), HasSubstr("a count above 100000"));
  EXPECT_EQ(quick("^[^x]{0,1500}$"), "accepted");
}

// Against the standard library's engine, on random expressions without its differences.
TEST(Regex, AgreesWithTheStandardLibrary) {
  std::mt19937 random(1);
  const auto pick = [&](uint32_t n) { return random() % n; };
  const std::function<std::string(int)> expression = [&](int depth) -> std::string {
    if (depth == 0) return std::string(1, "abc."[pick(4)]);
    switch (pick(7)) {
      case 0:
        return "(" + expression(depth - 1) + "|" + expression(depth - 1) + ")";
      case 1:
        return "(" + expression(depth - 1) + ")*";
      case 2:
        return "(" + expression(depth - 1) + ")?";
      case 3:
        return "(" + expression(depth - 1) + "){1,2}";
      case 4:
        return pick(4) == 0 ? "^" + expression(depth - 1) : expression(depth - 1) + "$";
      case 5:
        return "[^ab]" + expression(depth - 1);
      default:
        return expression(depth - 1) + expression(depth - 1);
    }
  };
  for (int i = 0; i < 300; ++i) {
    const std::string pattern = expression(3);
    const auto dfa = compile_regex(pattern, RegexMode::kSearch);
    ASSERT_TRUE(dfa.ok()) << pattern;
    const std::regex reference(pattern);
    for (int j = 0; j < 50; ++j) {
      std::string text;
      for (uint32_t n = pick(7); n > 0; --n) text += "abcd"[pick(4)];
      ASSERT_EQ(dfa.value().accepts(text), std::regex_search(text, reference))
          << pattern << " on " << text;
    }
  }
}

TEST(Dfa, MinimisationKeepsTheLanguage) {
  const Dfa words = dfa_of_strings({"tap", "taps", "top", "tops", "", "tap"});
  EXPECT_TRUE(words.accepts("tops"));
  EXPECT_TRUE(words.accepts(""));
  EXPECT_FALSE(words.accepts("to"));
  EXPECT_EQ(words.states.size(), 5U);  // start, t, ta = to, tap = top, taps
  const auto both =
      combine(compile_regex("a", RegexMode::kSearch).value(),
              compile_regex("b", RegexMode::kSearch).value(), SetOperation::kMinus, kMaxDfaStates);
  EXPECT_TRUE(both.value().accepts("xa"));
  EXPECT_FALSE(both.value().accepts("ab"));
  EXPECT_TRUE(dfa_of_strings({}).empty());
}

}  // namespace
}  // namespace gemma4::constrain

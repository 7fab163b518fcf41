#include "text/stop_matcher.h"

#include <gtest/gtest.h>

namespace gemma4::text {
namespace {

TEST(StopMatcher, ReleasesEverythingWithoutStops) {
  StopMatcher matcher({"", ""});
  EXPECT_EQ(matcher.push("abc"), "abc");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldBeAStop) {
  StopMatcher matcher({"END", "\n\n"});
  EXPECT_EQ(matcher.push("the E"), "the ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("x\n"), "ENx");
  EXPECT_EQ(matcher.finish(), "\n");
  EXPECT_FALSE(matcher.matched());
}

// Whatever the cut, the same text is shown.
TEST(StopMatcher, ResultDoesNotDependOnTheCut) {
  const std::string text = "aabaabaaabaabXabaab tail";
  for (size_t first = 0; first <= text.size(); ++first)
    for (size_t second = first; second <= text.size(); ++second) {
      StopMatcher matcher({"aabX", "tail"});
      std::string shown = matcher.push(text.substr(0, first));
      shown += matcher.push(text.substr(first, second - first));
      shown += matcher.push(text.substr(second));
      shown += matcher.finish();
      EXPECT_EQ(shown, "aabaabaaab");
      EXPECT_TRUE(matcher.matched());
    }
}

TEST(StopMatcher, EarliestOfSeveralWins) {
  StopMatcher matcher({"world", "lo"});
  EXPECT_EQ(matcher.push("hello world"), "hel");
  EXPECT_EQ(matcher.push("more"), "");
}

TEST(StopMatcher, SaysWhichWasFound) {
  StopMatcher matcher({"two", "one", "on"});
  EXPECT_EQ(matcher.push("a thing and o"), "a thing and ");
  EXPECT_EQ(matcher.found(), "");
  EXPECT_EQ(matcher.push("ne and two"), "");
  EXPECT_EQ(matcher.found(), "one");  // both begin there; the first in the list counts
}

}  // namespace
}  // namespace gemma4::text

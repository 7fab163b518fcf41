#include "apps/printable.h"

#include <gtest/gtest.h>

namespace gemma4::apps {
namespace {

TEST(Printable, OneLineHoldsNothingThatATerminalObeys) {
  EXPECT_EQ(one_line("18 C"), "18 C");
  EXPECT_EQ(one_line(" a\r\n\t b \n"), "a b");
  EXPECT_EQ(one_line("\033[2Jx\x7f\u009b"), "\uFFFD[2Jx\uFFFD\uFFFD");
  EXPECT_EQ(one_line("a\u202eb"), "a\uFFFDb");
  EXPECT_EQ(one_line(std::string_view("\0", 1)), "\uFFFD");
  EXPECT_EQ(one_line(""), "");
}

TEST(Printable, OneLineIsCutBetweenCharacters) {
  EXPECT_EQ(one_line("ééé", 2), "éé…");
  EXPECT_EQ(one_line("ééé", 3), "ééé");
  EXPECT_EQ(one_line("ab \n", 2), "ab…");
}

TEST(Printable, SpaceIsLeftOutAtTheFrontOnly) {
  LeadingSpace space;
  EXPECT_EQ(space.strip(" a"), " a");
  space.begin();
  EXPECT_EQ(space.strip(" \n"), "");
  EXPECT_EQ(space.strip(" a "), "a ");
  EXPECT_EQ(space.strip(" b"), " b");
}

}  // namespace
}  // namespace gemma4::apps

#include "base/duration.h"

#include <gtest/gtest.h>

namespace gemma4 {
namespace {

using std::chrono::milliseconds;

TEST(Durations, AreReadWithTheirUnitsOrAsSeconds) {
  for (const auto& [text, length] :
       std::initializer_list<std::pair<const char*, int64_t>>{{"0", 0},
                                                              {"90", 90'000},
                                                              {"1.5", 1'500},
                                                              {"10m", 600'000},
                                                              {"1h30m", 5'400'000},
                                                              {"1m0.5s", 60'500},
                                                              {"250ms", 250},
                                                              {"3000us", 3},
                                                              {"3000µs", 3},
                                                              {"2000000ns", 2},
                                                              {"-1", -1'000},
                                                              {"-5m", -300'000}})
    EXPECT_EQ(parse_duration(text), milliseconds(length)) << text;
  EXPECT_EQ(parse_duration("99999999999999999999h"), kLongestDuration);
  EXPECT_EQ(duration_of_seconds(-1e300), -kLongestDuration);
  for (const char* text : {"", "-", "m", "5 m", "5x", "5m3", "1.2.3", "inf", "nan", "1e5", "0x10",
                           "--1", "+1", "5M", " 5", "5m "})
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

}  // namespace
}  // namespace gemma4

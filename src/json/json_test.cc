#include "json/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace gemma4::json {
namespace {

using ::testing::HasSubstr;

std::string round_trip(std::string_view text) {
  auto value = parse(text);
  return value.ok() ? dump(value.value()) : value.error().message;
}

TEST(Json, KeepsOrderAndDigits) {
  for (const char* text :
       {"null", "true", "false", "0", "-7", "1.0", "1e300", "123456789012345678901234567890",
        "0.10", "\"a\\nb\\\"\"", "\"\xc3\xa9\"", "[]", "{}", "[1,[2,{}],\"\"]",
        "{\"z\":1,\"a\":{\"y\":[null],\"b\":2.50}}"})
    EXPECT_EQ(round_trip(text), text);
  EXPECT_EQ(round_trip(" [ 1 , 2 ] \n"), "[1,2]");
  EXPECT_EQ(round_trip("\"\\u00e9\\/\""), "\"\xc3\xa9/\"");
}

TEST(Json, OfEqualNamesTheLastValueCounts) {
  EXPECT_EQ(round_trip("{\"a\":1,\"b\":2,\"a\":3}"), "{\"a\":3,\"b\":2}");
}

TEST(Json, BadTextSaysWhere) {
  EXPECT_THAT(round_trip("{\"a\":}"), HasSubstr("is not JSON: byte 6"));
  EXPECT_THAT(round_trip(""), HasSubstr("is not JSON"));
  EXPECT_THAT(round_trip("1 2"), HasSubstr("is not JSON"));
  EXPECT_THAT(round_trip("[1,]"), HasSubstr("is not JSON"));
  EXPECT_THAT(round_trip("\"\xff\""), HasSubstr("is not JSON"));
  EXPECT_THAT(round_trip("NaN"), HasSubstr("is not JSON"));
  EXPECT_THAT(round_trip("1e400"), HasSubstr("is not JSON"));
}

TEST(Json, NestingIsBounded) {
  const std::string deep = std::string(600, '[') + std::string(600, ']');
  EXPECT_THAT(round_trip(deep), HasSubstr("nested more than 512 deep"));
  EXPECT_FALSE(parse("[[[]]]", {.max_depth = 2}).ok());
  EXPECT_TRUE(parse("[[[]]]", {.max_depth = 3}).ok());
}

TEST(Json, Numbers) {
  EXPECT_TRUE(Number{"12"}.is_integer());
  EXPECT_FALSE(Number{"1e2"}.is_integer());
  EXPECT_EQ(Number{"-12"}.as_int64(), -12);
  EXPECT_EQ(Number{"9223372036854775808"}.as_int64(), std::nullopt);
  EXPECT_EQ(Number{"1.5"}.as_int64(), std::nullopt);
  EXPECT_EQ(Number{"1.5e3"}.as_double(), 1500);
  EXPECT_TRUE(std::isinf(Number{"1e999"}.as_double()));
  EXPECT_EQ(Number{"1e-999"}.as_double(), 0);
}

TEST(Json, FindAndSet) {
  Value value = Value::Object{};
  value.set("a", 1);
  value.set("b", "x");
  value.set("a", Value::Array{true, nullptr});
  EXPECT_EQ(dump(value), "{\"a\":[true,null],\"b\":\"x\"}");
  EXPECT_EQ(value.find("c"), nullptr);
  EXPECT_EQ(value.find("b")->as_string(), "x");
  EXPECT_EQ(Value(3).find("a"), nullptr);
}

TEST(Json, QuoteRepairsWhatIsNotUtf8) { EXPECT_EQ(quote("a\xff\n"), "\"a\xef\xbf\xbd\\n\""); }

TEST(Json, ANulByteIsNoEnd) {
  for (const std::string_view text : {std::string_view("123\0", 4), std::string_view("{}\0x", 4),
                                      std::string_view("\0", 1), std::string_view("\"a\0\"", 4)}) {
    const auto value = parse(text);
    ASSERT_FALSE(value.ok());
    EXPECT_EQ(value.error().message.find("is not JSON: byte "), 0U) << value.error().message;
  }
}

}  // namespace
}  // namespace gemma4::json

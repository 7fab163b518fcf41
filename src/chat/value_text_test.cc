#include "chat/value_text.h"

#include <gtest/gtest.h>

#include <string>

namespace gemma4::chat {
namespace {

std::string value_of(const char* text, Keys keys = Keys::kBare) {
  PromptBuilder out;
  add_value(out, json::parse(text).value(), keys);
  return to_string(out.take());
}

TEST(ValueText, NumbersAreWrittenAsByPython) {
  const std::pair<const char*, const char*> cases[] = {
      {"0", "0"},
      {"-0", "0"},
      {"-7", "-7"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"1.0", "1.0"},
      {"1e5", "100000.0"},
      {"-0.0", "-0.0"},
      {"0.1", "0.1"},
      {"0.10000000000000000555", "0.1"},
      {"1e-4", "0.0001"},
      {"0.00001", "1e-05"},
      {"1E-7", "1e-07"},
      {"1e15", "1000000000000000.0"},
      {"9007199254740993.0", "9007199254740992.0"},
      {"1e16", "1e+16"},
      {"1.5e300", "1.5e+300"},
      {"5e-324", "5e-324"},
      {"123.25e-1", "12.325"}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(number_text({text}), expected);
  EXPECT_EQ(number_text({"-1e999"}), "-inf");
}

TEST(ValueText, MembersAreSortedWithoutRegardToCase) {
  EXPECT_EQ(value_of(R"({"b":1,"A":2,"a":3,"_":4,"B":5})"), "{_:4,A:2,a:3,b:1,B:5}");
  EXPECT_EQ(value_of(R"({"z":1,"É":2,"é":3,"ß":4,"😀":5,"￿":6})"),
            "{z:1,ß:4,É:2,é:3,￿:6,😀:5}");
}

TEST(ValueText, ValuesHaveNoSpacesAndNoEscapes) {
  EXPECT_EQ(value_of(R"({"s":"a \"b\"\n","l":[null,true,[],{}]})"),
            "{l:[null,true,[],{}],s:<|\"|>a \"b\"\n<|\"|>}");
  EXPECT_EQ(value_of(R"({"s":{"t":"x"}})", Keys::kQuoted),
            "{<|\"|>s<|\"|>:{<|\"|>t<|\"|>:<|\"|>x<|\"|>}}");
}

TEST(ValueText, OtherValuesInPlaceOfStrings) {
  const auto text = [](const char* value) {
    const json::Value parsed = json::parse(value).value();
    return python_text(&parsed);
  };
  EXPECT_EQ(python_text(nullptr), "");
  EXPECT_EQ(text("\"it's\""), "it's");
  EXPECT_EQ(text("null"), "None");
  EXPECT_EQ(text("[true,1e3,\"it's\",\"a\\n'\\\"\\u0001\"]"),
            "[True, 1000.0, \"it's\", 'a\\n\\'\"\\x01']");
  EXPECT_EQ(text(R"({"a":{},"b":[]})"), "{'a': {}, 'b': []}");
}

TEST(ValueText, TruthyAsInPython) {
  for (const char* text : {"null", "false", "0", "0.0", "-0", "\"\"", "[]", "{}"}) {
    const json::Value value = json::parse(text).value();
    EXPECT_FALSE(is_truthy(&value)) << text;
  }
  EXPECT_FALSE(is_truthy(nullptr));
  for (const char* text : {"true", "1", "-0.5", "\" \"", "[0]", "{\"a\":0}"}) {
    const json::Value value = json::parse(text).value();
    EXPECT_TRUE(is_truthy(&value)) << text;
  }
}

}  // namespace
}  // namespace gemma4::chat

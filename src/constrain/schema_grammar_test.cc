#include "constrain/schema_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "constrain/explorer.h"

namespace gemma4::constrain {
namespace {

using ::testing::HasSubstr;

// Which texts a schema's grammar accepts.
class Accepts {
 public:
  explicit Accepts(std::string_view schema, const SchemaOptions& options = {}) {
    auto parsed = json::parse(schema);
    EXPECT_TRUE(parsed.ok()) << schema;
    auto grammar = grammar_of_schema(parsed.value(), options);
    EXPECT_TRUE(grammar.ok()) << schema << ": " << grammar.error().message;
    if (grammar.ok()) explorer_ = std::make_unique<Explorer>(grammar.value());
  }
  bool operator()(std::string_view text) const {
    ConfigId config = explorer_->start();
    for (const char c : text)
      if ((config = explorer_->step(config, static_cast<uint8_t>(c))) == kDeadConfig) return false;
    return explorer_->can_end(config);
  }

 private:
  std::unique_ptr<Explorer> explorer_;
};

std::string refusal(std::string_view schema) {
  auto grammar = grammar_of_schema(json::parse(schema).value(), {});
  return grammar.ok() ? "accepted" : grammar.error().message;
}

TEST(SchemaGrammar, AnyValue) {
  const Accepts any("true");
  for (const char* text :
       {"null", "true", "false", "0", "-1.5e+10", "\"\"", "\"a\\u00e9\\n\"", "[]", "[ ]",
        "[1,[2],{}]", "{}", "{\"a\":{\"b\":[null, 1]}}", "{\n  \"a\": 1,\n  \"b\": 2\n}",
        "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""})
    EXPECT_TRUE(any(text)) << text;
  for (const char* text : {"", "nul", "01", "1.", "\"", "\"\n\"", "[1,]", "{\"a\"}", "{,}", "[1 2]",
                           "\"\\ud83d\"", "\"\xFF\"", " 1", "1 ", "[1,,2]", "{\"a\":1,}"})
    EXPECT_FALSE(any(text)) << text;
}

TEST(SchemaGrammar, PropertiesInAnyOrder) {
  const Accepts object(
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},
      "c":{"type":"boolean"}},"required":["a","b"],"additionalProperties":false})");
  EXPECT_TRUE(object(R"({"a":1,"b":"x"})"));
  EXPECT_TRUE(object(R"({"b":"x","a":1})"));
  EXPECT_TRUE(object(R"({"c":true,"b":"x","a":1})"));
  EXPECT_FALSE(object(R"({"a":1})"));
  EXPECT_FALSE(object(R"({"a":1,"b":"x","a":2})"));
  EXPECT_FALSE(object(R"({"a":1,"b":"x","d":2})"));
  EXPECT_FALSE(object(R"({"a":1,"b":2})"));
  EXPECT_FALSE(object(R"({"a":1,"b":"x",)"));
}

TEST(SchemaGrammar, Numbers) {
  const Accepts range(R"({"type":"integer","minimum":-3,"exclusiveMaximum":12})");
  for (const char* text : {"-3", "0", "7", "11", "-1"}) EXPECT_TRUE(range(text)) << text;
  for (const char* text : {"5.0", "5.", "-4", "12", "-30", "100", "1.5", "-", "00"})
    EXPECT_FALSE(range(text)) << text;
  const Accepts step(R"({"multipleOf":0.25,"maximum":1.5})");
  for (const char* text : {"0.25", "1.5", "-0.75", "0", "1", "1.50"})
    EXPECT_TRUE(step(text)) << text;
  for (const char* text : {"0.3", "1.75", "2", "1.55"}) EXPECT_FALSE(step(text)) << text;
}

TEST(SchemaGrammar, Strings) {
  const Accepts length(R"({"type":"string","minLength":2,"maxLength":3})");
  for (const char* text : {"\"ab\"", "\"abc\"", "\"\\n\\u00e9\"", "\"\xC3\xA9\xC3\xA9\""})
    EXPECT_TRUE(length(text)) << text;
  for (const char* text : {"\"a\"", "\"abcd\"", "\"\""}) EXPECT_FALSE(length(text)) << text;
  const Accepts pattern(R"({"type":"string","pattern":"^a\"b+$","maxLength":5})");
  EXPECT_TRUE(pattern(R"("a\"bb")"));
  EXPECT_FALSE(pattern(R"("a\"bbbbb")"));
  const Accepts values(R"({"enum":["x","y\n",3,null,[1],{"k":true}]})");
  for (const char* text :
       {"\"x\"", R"("y\n")", R"("y\u000a")", "3", "null", "[1]", R"({"k":true})"})
    EXPECT_TRUE(values(text)) << text;
  for (const char* text : {"\"z\"", "2", "3.0", "[]", "[1,2]", "{}", R"({"k":false})"})
    EXPECT_FALSE(values(text)) << text;
}

TEST(SchemaGrammar, ItemsDifferAsValues) {
  const Accepts texts(R"({"items":{"enum":["a","b","a"]},"uniqueItems":true})");
  EXPECT_TRUE(texts(R"(["a","b"])"));
  EXPECT_FALSE(texts(R"(["a","a"])"));
  const Accepts numbers(R"({"items":{"enum":[1,1.0,10e-1,2]},"uniqueItems":true})");
  EXPECT_TRUE(numbers("[2,1]"));
  EXPECT_FALSE(numbers("[1,1]"));
  EXPECT_FALSE(numbers("[1,1.0]"));
  const Accepts objects(
      R"({"items":{"enum":[{"a":1,"b":[2]},{"b":[2.0],"a":1},{"a":1}]},"uniqueItems":true})");
  EXPECT_TRUE(objects(R"([{"a":1,"b":[2]},{"a":1}])"));
  EXPECT_FALSE(objects(R"([{"a":1,"b":[2]},{"b":[2],"a":1}])"));
}

TEST(SchemaGrammar, FewValuesCanDiffer) {
  const Accepts atoms(R"({"items":{"type":["boolean","null"]},"uniqueItems":true})");
  EXPECT_TRUE(atoms("[true,null,false]"));
  EXPECT_FALSE(atoms("[null,null]"));
}

TEST(SchemaGrammar, NumbersEndSomewhere) {
  const std::string zeros(400, '0');
  for (const char* schema :
       {"true", R"({"type":"integer"})", R"({"enum":[0.5,10]})", R"({"minimum":3})",
        R"({"multipleOf":0.01})", R"({"multipleOf":9973})", R"({"exclusiveMaximum":1e30})"}) {
    const Accepts numbers(schema);
    EXPECT_FALSE(numbers("0.5" + zeros)) << schema;
    EXPECT_FALSE(numbers("1" + zeros)) << schema;
    EXPECT_FALSE(numbers("-9973" + zeros + ".0")) << schema;
  }
  const Accepts any("true");
  for (const char* number :
       {"18446744073709551615", "-1.7976931348623157e+30", "0.000012345678901234567", "1e-99"})
    EXPECT_TRUE(any(number)) << number;
  const Accepts large(R"({"minimum":1e300,"type":"integer"})");
  EXPECT_TRUE(large("1" + zeros.substr(0, 300)));
  EXPECT_TRUE(large("123" + zeros.substr(0, 300)));
  const Accepts small(R"({"enum":[1e-300,1e300]})");
  EXPECT_TRUE(small("1" + zeros.substr(0, 300)));
  EXPECT_TRUE(small("0." + zeros.substr(0, 299) + "1"));
  const Accepts step(R"({"multipleOf":9973})");
  EXPECT_TRUE(step("99730000000000000000"));
  EXPECT_FALSE(step("99730000000000000001"));
}

TEST(SchemaGrammar, HugeExponentsAreRefused) {
  for (const char* number :
       {"1e-9223372036854775808", "0e-9223372036854775808", "1e-1001", "0e99999999999999999999"})
    EXPECT_THAT(refusal(std::string(R"({"minimum":)") + number + "}"),
                HasSubstr("more than 1,000 digits"));
}

TEST(SchemaGrammar, MultiplesOfSeconds) {
  const Accepts days(R"({"type":"integer","multipleOf":86400})");
  for (const char* text : {"0", "86400", "-172800", "31536000"}) EXPECT_TRUE(days(text)) << text;
  for (const char* text : {"86401", "43200", "28800", "8640", "3200"})
    EXPECT_FALSE(days(text)) << text;
  const Accepts parts(R"({"multipleOf":0.075})");
  for (const char* text : {"0.075", "-0.15", "3", "0.750"}) EXPECT_TRUE(parts(text)) << text;
  for (const char* text : {"0.025", "0.01", "1", "0.0075"}) EXPECT_FALSE(parts(text)) << text;
}

TEST(SchemaGrammar, OlderDialects) {
  const Accepts draft4(
      R"({"$schema":"http://json-schema.org/draft-04/schema#","type":"integer","minimum":1,
      "exclusiveMinimum":true,"maximum":4,"exclusiveMaximum":false})");
  for (const char* text : {"2", "4"}) EXPECT_TRUE(draft4(text)) << text;
  for (const char* text : {"1", "5"}) EXPECT_FALSE(draft4(text)) << text;
  EXPECT_EQ(refusal(R"({"$schema":"https://spec.openapis.org/oas/3.1/dialect/base"})"), "accepted");
}

TEST(SchemaGrammar, NamesWhatHasNoValue) {
  EXPECT_THAT(
      refusal(
          R"({"type":"object","required":["a"],"properties":{"a":{"required":["x"],"type":"object",
          "additionalProperties":false}}})"),
      HasSubstr("no value fits the schema at '/properties/a/additionalProperties', which property "
                "'x' of the schema at '/properties/a' must fit"));
  EXPECT_THAT(refusal(R"({"type":"array","minItems":2,"prefixItems":[true,{"minLength":3,
                      "maxLength":2,"type":"string"}]})"),
              HasSubstr("the schema at '/prefixItems/1', which item 1 of the schema at '' must"));
  EXPECT_THAT(refusal(R"({"type":"object","required":["c"],"properties":{"c":{"$ref":"#"}}})"),
              HasSubstr("no value fits"));
}

TEST(SchemaGrammar, CountsThatCannotBeMet) {
  for (const char* keyword : {"minItems", "minLength", "minProperties"})
    for (const char* count : {"5e9", "1e21", "1e30"})
      EXPECT_THAT(refusal(std::string("{\"") + keyword + "\":" + count + "}"),
                  HasSubstr(std::string(keyword) + " cannot be enforced: it is above"));
  EXPECT_EQ(refusal(R"({"maxItems":5e9,"maxLength":1e30})"), "accepted");
}

TEST(SchemaGrammar, EnvelopesAreNoSchemas) {
  for (const char* envelope :
       {R"({"name":"x","strict":true,"schema":{"type":"object"}})",
        R"({"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}})"})
    EXPECT_THAT(refusal(envelope), HasSubstr("give the schema itself"));
  EXPECT_EQ(refusal(R"({"type":"object","properties":{"schema":{}},"schema":{}})"), "accepted");
}

TEST(SchemaGrammar, RefusesByName) {
  EXPECT_THAT(refusal(R"({"properties":{"a":{"uniqueItems":true}}})"),
              HasSubstr("schema at '/properties/a': uniqueItems cannot be enforced"));
  EXPECT_THAT(refusal(R"x({"pattern":"(?=a)"})x"), HasSubstr("lookaround"));
  EXPECT_THAT(refusal(R"({"$ref":"#/$defs/x"})"), HasSubstr("not in this document"));
  EXPECT_THAT(refusal(R"({"$ref":"#"})"), HasSubstr("refers to itself"));
  EXPECT_THAT(refusal("false"), HasSubstr("nothing satisfies this"));
  EXPECT_THAT(refusal(R"({"type":"strnig"})"), HasSubstr("unknown name"));
  EXPECT_THAT(refusal(R"({"uniqueItems":"yes"})"), HasSubstr("uniqueItems must be true or false"));
  for (const char* keyword : {"$schema", "$id", "$anchor", "$dynamicAnchor", "$ref", "pattern"})
    EXPECT_THAT(refusal(std::string("{\"") + keyword + "\":7}"),
                HasSubstr(std::string("schema at '': ") + keyword + " must be a string"));
  for (const char* format : {"regex", "idn-email", "idn-hostname"})
    EXPECT_THAT(refusal(std::string(R"({"format":")") + format + "\"}"),
                HasSubstr(std::string("format cannot be enforced: '") + format));
  EXPECT_EQ(refusal(R"({"format":"int32"})"), "accepted");
  std::string contains;
  for (int i = 0; i < 13; ++i) contains += (i > 0 ? "," : "") + std::string(R"({"contains":{}})");
  EXPECT_THAT(refusal(R"({"type":"array","allOf":[)" + contains + "]}"),
              HasSubstr("contains cannot be enforced: there are more than ten"));
}

}  // namespace
}  // namespace gemma4::constrain

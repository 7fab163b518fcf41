// What a grammar allows can be finished: from every text that it takes, some text ends it. And what
// grammars of calls allow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "constrain/call_grammar.h"
#include "constrain/explorer.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int32_t kQuote = 1;
constexpr char kQuoteSign = '~';  // stands for it in the texts of this test

Result<std::shared_ptr<const Grammar>> compiled(std::string_view schema) {
  return grammar_of_schema(json::parse(schema).value(), {});
}

Result<std::shared_ptr<const Grammar>> compiled_call(std::string_view parameters) {
  const json::Value schema = json::parse(parameters).value();
  ControlTokens tokens;
  tokens.quote = kQuote;
  tokens.call_begin = 2;
  tokens.call_end = 3;
  const Tool tools[] = {{"f", &schema}};
  return grammar_of_calls(tools, tokens, CallCount::kOne);
}

ConfigId step(Explorer& explorer, ConfigId config, char c) {
  if (c == kQuoteSign) return explorer.step_symbol(config, kQuote);
  return explorer.step(config, static_cast<uint8_t>(c));
}

ConfigId follow(Explorer& explorer, ConfigId config, std::string_view text) {
  for (const char c : text)
    if ((config = step(explorer, config, c)) == kDeadConfig) break;
  return config;
}

bool stuck(Explorer& explorer, ConfigId config) {
  if (explorer.can_end(config)) return false;
  for (int byte = 0; byte < 256; ++byte)
    if (explorer.step(config, static_cast<uint8_t>(byte)) != kDeadConfig) return false;
  for (const int32_t symbol : {1, 2, 3})
    if (explorer.step_symbol(config, symbol) != kDeadConfig) return false;
  return true;
}

// Random texts over a few characters; the first after which nothing may follow, or nothing.
std::string dead_end(Explorer& explorer, ConfigId start) {
  constexpr std::string_view kLetters = "\"abcxyzp:,{}[]0159.-nulltruefalse~";
  std::mt19937 random(1);
  for (int walk = 0; walk < 300; ++walk) {
    ConfigId config = start;
    std::string text;
    for (int i = 0; i < 60; ++i) {
      std::string next;
      for (const char c : kLetters)
        if (step(explorer, config, c) != kDeadConfig) next += c;
      if (next.empty()) {
        if (stuck(explorer, config)) return "stuck after " + text;
        break;
      }
      text += next[random() % next.size()];
      config = step(explorer, config, text.back());
    }
  }
  return "";
}

std::string dead_end_of(const Result<std::shared_ptr<const Grammar>>& grammar) {
  if (!grammar.ok()) return grammar.error().message;
  Explorer explorer(grammar.value());
  return dead_end(explorer, explorer.start());
}

std::string dead_end_of_call(const Result<std::shared_ptr<const Grammar>>& grammar) {
  if (!grammar.ok()) return grammar.error().message;
  Explorer explorer(grammar.value());
  const ConfigId begin = explorer.step_symbol(explorer.start(), 2);
  return dead_end(explorer, follow(explorer, begin, "call:f"));
}

bool accepts(const Result<std::shared_ptr<const Grammar>>& grammar, std::string_view text) {
  Explorer explorer(grammar.value());
  return explorer.can_end(follow(explorer, explorer.start(), text));
}

bool accepts_call(const Result<std::shared_ptr<const Grammar>>& grammar, std::string_view text) {
  Explorer explorer(grammar.value());
  ConfigId config = explorer.step_symbol(explorer.start(), 2);
  config = follow(explorer, config, "call:f");
  config = follow(explorer, config, text);
  return config != kDeadConfig && explorer.can_end(explorer.step_symbol(config, 3));
}

TEST(DeadEnds, ObligationsNeedRoom) {
  for (const char* demand :
       {R"({"propertyNames":{"pattern":"^a"}})", R"({"patternProperties":{"^b":false}})",
        R"({"additionalProperties":{"type":"integer"}})"}) {
    const auto one =
        compiled(std::string(R"({"type":"object","maxProperties":1,"not":)") + demand + "}");
    EXPECT_EQ(dead_end_of(one), "") << demand;
    EXPECT_TRUE(accepts(one, R"({"b":"x"})")) << demand;
    EXPECT_FALSE(accepts(one, R"({"a":1})")) << demand;
    EXPECT_FALSE(accepts(one, R"({"b":"x","c":1})")) << demand;
  }
}

TEST(DeadEnds, OnePropertyTakesSeveralObligations) {
  const auto both = compiled(
      R"({"type":"object","maxProperties":1,"allOf":[{"not":{"patternProperties":{"a":{"type":
      "string"}}}},{"not":{"patternProperties":{"b":{"type":"null"}}}}]})");
  EXPECT_EQ(dead_end_of(both), "");
  EXPECT_TRUE(accepts(both, R"({"ab":1})"));
  EXPECT_FALSE(accepts(both, R"({"ab":"x"})"));
  EXPECT_FALSE(accepts(both, R"({"a":1})"));
  const auto two = compiled(
      R"({"type":"object","maxProperties":2,"allOf":[{"not":{"patternProperties":{"a":{"type":
      "string"}}}},{"not":{"patternProperties":{"b":{"type":"null"}}}}]})");
  EXPECT_EQ(dead_end_of(two), "");
  EXPECT_TRUE(accepts(two, R"({"b":1,"a":1})"));
  EXPECT_TRUE(accepts(two, R"({"x":1,"ab":1})"));
  EXPECT_FALSE(accepts(two, R"({"x":1,"a":1})"));
}

TEST(DeadEnds, NamedPropertiesTakeObligations) {
  const auto closed = compiled(
      R"({"type":"object","properties":{"a":{},"b":{},"c":{"type":"integer"}},
      "additionalProperties":false,"not":{"patternProperties":{"^[bc]":{"type":"integer"}}}})");
  EXPECT_EQ(dead_end_of(closed), "");
  EXPECT_TRUE(accepts(closed, R"({"a":1,"b":"x"})"));
  EXPECT_TRUE(accepts(closed, R"({"c":1,"b":"x"})"));
  EXPECT_FALSE(accepts(closed, R"({"a":1})"));
  EXPECT_FALSE(accepts(closed, R"({"b":1})"));
  const auto contrary = compiled(
      R"({"type":"object","properties":{"p":{"type":["integer","string"]}},
      "additionalProperties":false,"allOf":[{"not":{"patternProperties":{"^p$":{"type":"integer"}}}},
      {"not":{"patternProperties":{"^p$":{"type":"string"}}}}]})");
  EXPECT_THAT(dead_end_of(contrary), StartsWith("nothing satisfies"));
}

TEST(DeadEnds, ImpossiblePropertiesDoNotCount) {
  const std::string endless =
      R"({"$defs":{"n":{"type":"array","minItems":1,"items":{"$ref":"#/$defs/n"}}},"type":"object",
      "properties":{"x":{"$ref":"#/$defs/n"},"y":{"type":"integer"}},"additionalProperties":false)";
  const auto one = compiled(endless + "}");
  EXPECT_EQ(dead_end_of(one), "");
  EXPECT_TRUE(accepts(one, R"({"y":1})"));
  EXPECT_FALSE(accepts(one, R"({"y":1,)"));
  EXPECT_THAT(dead_end_of(compiled(endless + R"(,"minProperties":2})")),
              StartsWith("nothing satisfies"));
}

TEST(DeadEnds, EndlessValuesAreNone) {
  for (const char* endless :
       {R"({"type":"object","required":["c"],"properties":{"c":{"$ref":"#"}},
           "additionalProperties":false})",
        R"({"type":"object","minProperties":1,"additionalProperties":{"$ref":"#"}})",
        R"({"type":"array","minItems":1,"items":{"$ref":"#"}})",
        R"({"type":"array","contains":{"$ref":"#"}})",
        R"({"type":"array","prefixItems":[true],"minItems":2,"items":{"$ref":"#"}})",
        R"({"$defs":{"a":{"type":"object","required":["b"],"properties":{"b":{"$ref":"#/$defs/b"}}},
           "b":{"type":"array","minItems":1,"items":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a"})"})
    EXPECT_THAT(dead_end_of(compiled(endless)), StartsWith("nothing satisfies")) << endless;
  const auto tree = compiled(
      R"({"type":"object","required":["c"],"properties":{"c":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},
      "additionalProperties":false})");
  EXPECT_EQ(dead_end_of(tree), "");
  EXPECT_TRUE(accepts(tree, R"({"c":{"c":null}})"));
}

TEST(DeadEnds, SortedArgumentsLeaveRoom) {
  const auto late = compiled_call(
      R"({"properties":{"b":{"type":"integer"}},"required":["b"],"additionalProperties":true,
      "maxProperties":1})");
  EXPECT_EQ(dead_end_of_call(late), "");
  EXPECT_TRUE(accepts_call(late, "{b:1}"));
  EXPECT_FALSE(accepts_call(late, "{a:1}"));
  const auto two = compiled_call(
      R"({"properties":{"b":{"type":"integer"},"c":{"type":"integer"}},"required":["c"],
      "additionalProperties":true,"maxProperties":2})");
  EXPECT_EQ(dead_end_of_call(two), "");
  EXPECT_TRUE(accepts_call(two, "{a:1,c:1}"));
  EXPECT_TRUE(accepts_call(two, "{b:1,c:1}"));
  EXPECT_FALSE(accepts_call(two, "{a:1,b:1,c:1}"));
}

TEST(DeadEnds, SortedArgumentsCountWhatIsPossible) {
  const auto impossible = compiled_call(
      R"({"properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":false},
      "additionalProperties":false,"minProperties":2})");
  EXPECT_EQ(dead_end_of_call(impossible), "");
  EXPECT_TRUE(accepts_call(impossible, "{a:1,b:1}"));
  EXPECT_FALSE(accepts_call(impossible, "{b:1}"));
  const auto obliged = compiled_call(
      R"({"properties":{"a":{"type":"integer"},"z":{"type":"integer"}},"required":["z"],
      "additionalProperties":false,"not":{"patternProperties":{"a":{"minimum":5}}}})");
  EXPECT_EQ(dead_end_of_call(obliged), "");
  EXPECT_TRUE(accepts_call(obliged, "{a:1,z:1}"));
  EXPECT_FALSE(accepts_call(obliged, "{z:1}"));
  EXPECT_FALSE(accepts_call(obliged, "{a:7,z:1}"));
}

TEST(DeadEnds, KeysThatCannotBeBare) {
  const auto patterns = compiled_call(
      R"({"patternProperties":{"^x:":{"type":"integer"}},"additionalProperties":false,
      "minProperties":1})");
  EXPECT_EQ(dead_end_of_call(patterns), "");
  EXPECT_TRUE(accepts_call(patterns, "{~x:~:1}"));
  EXPECT_FALSE(accepts_call(patterns, "{x::1}"));
  EXPECT_FALSE(accepts_call(patterns, "{~y:~:1}"));
}

TEST(DeadEnds, NumbersHaveRoomForTheirLastDigits) {
  for (const char* schema :
       {R"({"multipleOf":9973})", R"({"multipleOf":0.007,"minimum":3})",
        R"({"multipleOf":17,"minimum":1e25})", R"({"exclusiveMinimum":0,"maximum":1e-30})"}) {
    const auto grammar = compiled(schema);
    ASSERT_TRUE(grammar.ok());
    std::mt19937 random(3);
    for (int walk = 0; walk < 100; ++walk) {
      Explorer explorer(grammar.value());
      ConfigId config = explorer.start();
      for (int i = 0; i < 100; ++i) {
        std::string next;
        for (const char c : std::string_view("-.0123456789"))
          if (explorer.step(config, static_cast<uint8_t>(c)) != kDeadConfig) next += c;
        if (next.empty()) break;
        config = explorer.step(config, static_cast<uint8_t>(next[random() % next.size()]));
      }
      EXPECT_TRUE(explorer.can_end(config)) << schema;
      EXPECT_FALSE(explorer.can_continue(config)) << schema;
    }
  }
}

TEST(CallSchemas, NullableAndUpperCaseTypes) {
  const auto call = compiled_call(
      R"({"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true},
      "b":{"type":["Integer","null"]},"c":{"type":"string","enum":["x"],"nullable":true},
      "d":{"type":"string","nullable":false}}})");
  for (const char* text : {"{a:null}", "{a:~x~}", "{b:null}", "{b:1}", "{c:null}", "{c:~x~}"})
    EXPECT_TRUE(accepts_call(call, text)) << text;
  for (const char* text : {"{a:1}", "{b:~x~}", "{c:~y~}", "{d:null}"})
    EXPECT_FALSE(accepts_call(call, text)) << text;
  EXPECT_THAT(dead_end_of_call(compiled_call(R"({"properties":{"a":{"nullable":"yes"}}})")),
              HasSubstr("schema at '/properties/a': nullable must be true or false"));
  // Elsewhere the standard counts, which does not know them.
  EXPECT_FALSE(accepts(compiled(R"({"type":"string","nullable":true})"), "null"));
  EXPECT_THAT(dead_end_of(compiled(R"({"type":"STRING"})")), HasSubstr("unknown name"));
}

TEST(CallSchemas, BranchesMayHoldTogether) {
  const auto any = compiled_call(
      R"({"properties":{"z":{"type":"integer"}},"anyOf":[
      {"properties":{"a":{"type":"integer"}},"required":["a"]},
      {"properties":{"b":{"type":"integer"}},"required":["b"]}]})");
  for (const char* text : {"{a:1}", "{b:1}", "{a:1,b:1}", "{a:1,b:1,z:1}", "{b:1,z:1}"})
    EXPECT_TRUE(accepts_call(any, text)) << text;
  for (const char* text : {"{}", "{z:1}", "{a:1,b:~x~}", "{a:1,c:1}"})
    EXPECT_FALSE(accepts_call(any, text)) << text;
  const auto kinds = compiled_call(
      R"({"anyOf":[{"properties":{"k":{"const":"circle"},"r":{"type":"integer"}},"required":["k"]},
      {"properties":{"k":{"const":"square"},"s":{"type":"integer"}},"required":["k"]}]})");
  EXPECT_TRUE(accepts_call(kinds, "{k:~circle~,r:1}"));
  EXPECT_FALSE(accepts_call(kinds, "{k:~circle~,s:1}"));
}

TEST(CallSchemas, NullIsAbsent) {
  const auto call = compiled_call(
      R"({"type":"object","required":null,"properties":{"a":{"type":"string","format":null,
      "enum":null,"pattern":null,"items":null},"b":{"const":null}}})");
  ASSERT_TRUE(call.ok()) << call.error().message;
  for (const char* text : {"{}", "{a:~x~}", "{b:null}"})
    EXPECT_TRUE(accepts_call(call, text)) << text;
  EXPECT_FALSE(accepts_call(call, "{b:1}"));
  EXPECT_THAT(dead_end_of(compiled(R"({"enum":null})")), HasSubstr("enum must be a list"));
}

TEST(CallSchemas, ParametersAreObjects) {
  for (const char* wrong : {R"({"type":"string"})", "false", R"({"type":["null","integer"]})"})
    EXPECT_THAT(dead_end_of_call(compiled_call(wrong)),
                HasSubstr("tool 'f': parameters must be the schema of an object"));
}

// Branches that name nothing of their own are no more together than one by one.
TEST(CallSchemas, BranchesWithoutNamesDoNotMultiply) {
  std::string properties;
  for (char c = 'a'; c <= 'p'; ++c)
    properties += std::string(c > 'a' ? "," : "") + '"' + c + R"(":{"type":"integer"})";
  const auto one_of_four = [](const char* names) {
    std::string result = R"({"anyOf":[)";
    for (int i = 0; i < 4; ++i)
      result += std::string(i > 0 ? "," : "") + R"({"required":[")" + names[i] + R"("]})";
    return result + "]}";
  };
  const auto call = compiled_call(R"({"type":"object","properties":{)" + properties +
                                  R"(},"allOf":[)" + one_of_four("abcd") + "," +
                                  one_of_four("efgh") + "," + one_of_four("ijkl") + "]}");
  ASSERT_TRUE(call.ok()) << call.error().message;
  EXPECT_LT(call.value()->states.size(), 10000U);
  EXPECT_TRUE(accepts_call(call, "{a:1,b:1,f:1,l:1,p:1}"));
  EXPECT_FALSE(accepts_call(call, "{a:1,b:1,f:1,p:1}"));
}

// Four times four branches have 65,535 sets.
TEST(CallSchemas, TooManySetsOfBranchesStandAlone) {
  std::string schema;
  for (int i = 0; i < 4; ++i) {
    std::string inner;
    for (int j = 0; j < 4; ++j) {
      const std::string name = std::string(1, static_cast<char>('a' + 4 * i + j));
      inner += (j > 0 ? "," : "") + (R"({"properties":{")" + name) +
               R"(":{"type":"integer"}},"required":[")" + name + "\"]}";
    }
    schema += (i > 0 ? "," : "") + (R"({"anyOf":[)" + inner) + "]}";
  }
  const auto call = compiled_call(R"({"anyOf":[)" + schema + "]}");
  ASSERT_TRUE(call.ok()) << call.error().message;
  EXPECT_TRUE(accepts_call(call, "{a:1,b:1,d:1}"));
  EXPECT_TRUE(accepts_call(call, "{p:1}"));
  EXPECT_FALSE(accepts_call(call, "{}"));
  EXPECT_FALSE(accepts_call(call, "{q:1}"));
}

TEST(CallKeys, AreReadBackAsTheyAre) {
  const auto named = compiled_call(
      R"({"properties":{" a":{"type":"integer"},"'q'":{"type":"integer"},"b ":{"type":"integer"},
      "c d":{"type":"integer"},"\"":{"type":"integer"},"e'":{"type":"integer"}}})");
  for (const char* text : {"{~ a~:1}", "{~'q'~:1}", "{~b ~:1}", "{c d:1}", "{~\"~:1}", "{e':1}"})
    EXPECT_TRUE(accepts_call(named, text)) << text;
  for (const char* text : {"{ a:1}", "{'q':1}", "{b :1}", "{~c d~:1}", "{\":1}"})
    EXPECT_FALSE(accepts_call(named, text)) << text;
  const auto any = compiled_call("{}");
  for (const char* text : {"{a:1}", "{~ a~:1}", "{~a~:{~b,~:2}}", "{~~:1}", "{a b:1}"})
    EXPECT_TRUE(accepts_call(any, text)) << text;
  for (const char* text : {"{ a:1}", "{a :1}", "{'a':1}", "{\"a\":1}", "{:1}", "{\ta:1}"})
    EXPECT_FALSE(accepts_call(any, text)) << text;
}

}  // namespace
}  // namespace gemma4::constrain

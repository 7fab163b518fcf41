// Schemas that try to take time or memory: compiled or refused, and soon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/strings.h"
#include "constrain/matcher.h"
#include "constrain/schema_grammar.h"
#include "constrain/testing.h"

namespace gemma4::constrain {
namespace {

using ::testing::HasSubstr;

std::string repeated(int count, const std::function<std::string(int)>& item) {
  std::string result;
  for (int i = 0; i < count; ++i) result += str_cat(i > 0 ? "," : "", item(i));
  return result;
}

// Compiles `schema` and follows `text` through it; returns what came of it.
std::string outcome(const std::string& schema, std::string_view text = "") {
  const Stopwatch time;
  const auto parsed = json::parse(schema);
  EXPECT_TRUE(parsed.ok());
  const auto grammar = grammar_of_schema(parsed.value(), {});
  std::string result = grammar.ok() ? "compiled" : grammar.error().message;
  if (grammar.ok() && !text.empty()) {
    Explorer explorer(grammar.value());
    ConfigId config = explorer.start();
    for (const char c : text) config = explorer.step(config, static_cast<uint8_t>(c));
    result = explorer.can_end(config) ? "accepted" : "rejected";
  }
  const double seconds = time.seconds();
  printf("%6.3f s  %9zu bytes  %s\n", seconds, schema.size(), result.substr(0, 90).c_str());
  EXPECT_LT(seconds, 30) << schema.substr(0, 200);  // seconds, with room for sanitizers
  return result;
}

TEST(Hostile, LargeButHarmless) {
  EXPECT_EQ(
      outcome(str_cat(R"({"enum":[)",
                      repeated(50000, [](int i) { return str_cat("\"value", i, "\""); }), "]}"),
              "\"value49999\""),
      "accepted");
  EXPECT_EQ(
      outcome(str_cat(R"({"type":"object","properties":{)",
                      repeated(3000,
                               [](int i) { return str_cat("\"p", i, R"(":{"type":"integer"})"); }),
                      R"(},"required":["p7"],"additionalProperties":false})"),
              R"({"p2999":1,"p7":2})"),
      "accepted");
  EXPECT_EQ(outcome(R"({"type":"string","maxLength":1000000000})", "\"abc\""), "accepted");
  EXPECT_EQ(outcome(R"({"type":"string","minLength":1000000000})", "\"abc\""), "rejected");
  EXPECT_EQ(outcome(R"({"type":"array","minItems":3,"maxItems":4000000000})", "[1,2,3]"),
            "accepted");
  EXPECT_EQ(outcome(str_cat(R"({"anyOf":[)",
                            repeated(300,
                                     [](int i) {
                                       return str_cat(
                                           R"({"type":"object","properties":{"k":{"const":)", i,
                                           R"(}},"required":["k"]})");
                                     }),
                            "]}"),
                    R"({"k":299})"),
            "accepted");
  EXPECT_EQ(outcome(str_cat(R"({"oneOf":[)",
                            repeated(40,
                                     [](int i) {
                                       return str_cat(
                                           R"({"type":"object","properties":{"k":{"const":"v)", i,
                                           R"("}},"required":["k"]})");
                                     }),
                            "]}"),
                    R"({"k":"v39"})"),
            "accepted");
}

TEST(Hostile, TooMuchIsRefused) {
  std::string deep = "true";
  for (int i = 0; i < 240; ++i) deep = R"({"properties":{"a":)" + deep + "}}";
  EXPECT_EQ(outcome(deep), "compiled");
  std::string nots = R"({"required":["x"]})";
  for (int i = 0; i < 150; ++i) nots = R"({"not":{"anyOf":[{"required":["y"]},)" + nots + "]}}";
  EXPECT_EQ(outcome(nots), "compiled");
  EXPECT_THAT(outcome(str_cat(R"({"oneOf":[)",
                              repeated(14,
                                       [](int i) {
                                         return str_cat(R"({"properties":{"a)", i,
                                                        R"(":{"type":"string"},"b)", i,
                                                        R"(":{"minimum":3}}})");
                                       }),
                              "]}")),
              HasSubstr("too many schemas, or combinations"));
  EXPECT_THAT(
      outcome(str_cat(R"({"unevaluatedProperties":false,"anyOf":[)",
                      repeated(30, [](int i) { return str_cat(R"({"required":["k)", i, "\"]}"); }),
                      "]}")),
      HasSubstr("too many schemas, or combinations"));
  EXPECT_THAT(
      outcome(str_cat(
          R"({"allOf":[)",
          repeated(2000, [](int i) { return str_cat(R"({"pattern":"a.{)", i % 500, "}b\"}"); }),
          "]}")),
      HasSubstr("pattern: the regular expression: needs too large an automaton"));
  EXPECT_THAT(
      outcome(str_cat(R"({"patternProperties":{)",
                      repeated(40, [](int i) { return str_cat("\"k", i, "\":{}"); }), "}}")),
      HasSubstr("patternProperties cannot be enforced: the patterns overlap in too many ways"));
  EXPECT_THAT(outcome(R"({"contains":{"minimum":1},"minContains":1000000})"),
              HasSubstr("contains cannot be enforced: the counts are too large"));
  EXPECT_THAT(outcome(R"({"pattern":"^.{0,5000}x.{0,5000}$"})"),
              HasSubstr("pattern: the regular expression: needs too large an automaton"));
  EXPECT_THAT(outcome(R"({"pattern":"^(abc|de)*$","minLength":100000})"),
              HasSubstr("minLength, maxLength, pattern, format, enum: needs too large"));
  EXPECT_THAT(outcome(R"({"multipleOf":123456789})"),
              HasSubstr("multipleOf cannot be enforced: needs too large an automaton"));
  EXPECT_THAT(outcome(R"({"multipleOf":1234567891})"),
              HasSubstr("multipleOf cannot be enforced: has too many digits"));
  EXPECT_THAT(outcome(str_cat(R"({"enum":[)",
                              repeated(5000, [](int i) { return str_cat(i * 7919); }), "]}")),
              HasSubstr("minimum, maximum, multipleOf, enum: needs too large an automaton"));
}

TEST(Hostile, OddButHarmless) {
  EXPECT_EQ(outcome(str_cat(R"({"$defs":{)",
                            repeated(2000,
                                     [](int i) {
                                       return str_cat("\"d", i,
                                                      R"(":{"properties":{"n":{"$ref":"#/$defs/d)",
                                                      (i * 7 + 1) % 2000, "\"}}}");
                                     }),
                            R"(},"$ref":"#/$defs/d0"})"),
                    R"({"n":{"n":{}}})"),
            "accepted");
  EXPECT_EQ(outcome(R"({"minimum":1e300})", "1"), "rejected");
  EXPECT_EQ(outcome(R"({"minimum":1e300})", str_cat("2", std::string(300, '0'))), "accepted");
}

// References that are read deepest first, so that none of them is deep for the loader.
TEST(Hostile, LongChainsOfReferences) {
  static constexpr int kCount = 6000;
  const auto chain = [](const char* link) {
    const std::string refs = repeated(
        kCount, [](int i) { return str_cat(R"({"$ref":"#/$defs/d)", kCount - 1 - i, "\"}"); });
    const std::string defs = repeated(kCount, [&](int i) {
      return str_cat("\"d", i, "\":{", link, R"({"$ref":"#/$defs/d)", i + 1,
                     link[1] == 'a' ? "\"}]}" : "\"}}}}");
    });
    return str_cat(R"({"$defs":{"d)", kCount, R"(":{"type":"integer"},)", defs, R"(},"oneOf":[)",
                   refs, "]}");
  };
  EXPECT_THAT(outcome(chain(R"("allOf":[)")), HasSubstr("nested too deep"));
  EXPECT_THAT(outcome(chain(R"("not":{"properties":{"a":)")), HasSubstr("too"));
}

// Products whose results are small and whose making is not.
TEST(Hostile, ManyLargeProducts) {
  EXPECT_THAT(
      outcome(str_cat(
          R"({"$defs":{"p":{"pattern":"^(a{397})*b$"},"q":{"pattern":"^(a{401})*c$"}},"anyOf":[)",
          repeated(3000,
                   [](int i) {
                     return str_cat(R"({"$comment":")", i,
                                    R"(","allOf":[{"$ref":"#/$defs/p"},{"$ref":"#/$defs/q"}]})");
                   }),
          "]}")),
      HasSubstr("needs too large an automaton"));
  EXPECT_EQ(outcome(str_cat(R"({"properties":{)",
                            repeated(100,
                                     [](int i) {
                                       return str_cat("\"p", i,
                                                      R"(":{"pattern":"^a$","maxLength":)",
                                                      15000 - i, "}");
                                     }),
                            "}}"),
                    R"({"p7":"a"})"),
            "accepted");
  EXPECT_THAT(
      outcome(str_cat(
          R"({"allOf":[)",
          repeated(3000, [](int i) { return str_cat(R"({"multipleOf":)", 9001 + i, "}"); }), "]}")),
      HasSubstr("multipleOf cannot be enforced: needs too large an automaton"));
}

// The places of schemas share their names: written out, these would take 1.2 GB.
TEST(Hostile, LongNamesNestedDeep) {
  std::string schema = "{\"uniqueItems\":7}";
  for (int i = 0; i < 240; ++i)
    schema = str_cat(R"({"properties":{")", std::string(40000, 'a' + i % 26), "\":", schema, "}}");
  const std::string message = outcome(schema);
  EXPECT_THAT(message, HasSubstr("uniqueItems must be true or false"));
  EXPECT_LT(message.size(), 1000U);
}

TEST(Hostile, ManySchemas) {
  const auto of = [](int count) {
    return str_cat(
        R"({"properties":{)",
        repeated(count,
                 [](int i) { return str_cat("\"property_number_", i, R"(":{"type":"string"})"); }),
        "}}");
  };
  EXPECT_EQ(outcome(of(10000)), "compiled");
  EXPECT_NE(outcome(of(200000)).find("too"), std::string::npos);
}

}  // namespace
}  // namespace gemma4::constrain

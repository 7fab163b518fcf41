// Content of a given form: schemas, grammars, expressions, and how long the thought before it
// takes.

#include <set>

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

using Options = std::vector<std::string>;

TEST(Form, ASchemaIsSatisfiedAtAnyTemperature) {
  const TemporaryFolder folder;
  const std::string schema = folder / "schema.json";
  write_whole(schema, R"({"type": "object", "properties": {"mood": {"enum": ["good", "bad"]},
    "tired": {"type": "boolean"}}, "required": ["mood", "tired"], "additionalProperties": false})");
  for (const char* seed : {"1", "2", "3", "4"}) {
    const Outcome outcome = run_program(
        {"run", "-p", "How are you?", "--temp", "5", "--seed", seed, "--schema", schema});
    ASSERT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    const auto json = parse_json(outcome.out);
    EXPECT_THAT((std::set<std::string>{"good", "bad"}), Contains(json["mood"].get<std::string>()));
    EXPECT_TRUE(json["tired"].is_boolean());
    EXPECT_EQ(json.size(), 2U);
  }
}

TEST(Form, WhatCannotBeEnforcedIsRefusedByName) {
  const TemporaryFolder folder;
  const std::string path = folder / "schema.json";
  write_whole(path, R"({"properties": {"a": {"pattern": "(x)\\1"}}})");
  expect_failed(run_answer({"--schema", path}), "pattern");
  write_whole(path, R"({"type": "strnig"})");
  expect_failed(run_answer({"--schema", path}), "type");
  write_whole(path, "root ::= other");
  expect_failed(run_answer({"--grammar", path}), "other");
}

TEST(Form, AnEmptyValueIsNotNone) {
  for (const char* option : {"--schema", "--grammar", "--regex", "--tools"})
    expect_bad_usage(run_answer({option, ""}), std::string(option) + ": must not be empty");
  expect_bad_usage(run_answer({"--tools", "x", "--tool-exec", ""}), "--tool-exec");
}

TEST(Form, ALimitOfThoughtsNeedsThoughts) {
  expect_bad_usage(run_answer({"--think-tokens", "3"}), "--think");
}

TEST(Form, GrammarsAndExpressionsAreFollowed) {
  const TemporaryFolder folder;
  const std::string grammar = folder / "grammar.ebnf";
  write_whole(grammar, "root ::= (\"yes\" | \"no\") \"!\"");
  EXPECT_THAT(run_answer({"--temp", "9", "--grammar", grammar}).out, AnyOf("yes!\n", "no!\n"));
  EXPECT_THAT(run_answer({"--temp", "9", "--regex", "[0-9]{3}-[a-f]"}).out,
              MatchesRegex("[0-9][0-9][0-9]-[a-f]\n"));
}

TEST(Form, EffortSaysWhetherAndHowLongToThink) {
  const Options question = {"run", "-p", "What is 47 plus 38?", "--temp", "0", "--json"};
  const auto reasoning = [&](const char* effort) {
    return parse_json(run_program(question + Options{"--effort", effort}).out)
        .value("reasoning_content", "");
  };
  EXPECT_EQ(reasoning("none"), "");
  EXPECT_EQ(reasoning("high"), reasoning("low"));  // shorter than any limit
  EXPECT_GT(reasoning("minimal").size(), 20U);
  expect_bad_usage(run_answer({"--effort", "great"}), "none, minimal, low, medium or high");
  expect_bad_usage(run_answer({"--effort", "low", "--think"}), "--effort");
}

TEST(Form, AThoughtEndsAtItsLimitAndTheAnswerFollows) {
  const auto json = parse_json(
      run_answer({"--think", "--think-tokens", "2", "--temp", "0", "--json", "--max-tokens", "60"},
                 "What is 47 plus 38?")
          .out);
  EXPECT_LT(json.value("reasoning_content", "").size(), 30U);
  EXPECT_GT(json["content"].get<std::string>().size(), 0U);
  EXPECT_THAT(json["content"].get<std::string>(), Not(HasSubstr("channel")));
}

TEST(Form, TheLabelOfAThoughtIsNoReasoning) {
  const Options question = {"--think", "--temp", "0", "--json", "--max-tokens", "60"};
  const auto none =
      parse_json(run_answer(question + Options{"--think-tokens", "0"}, "What is 47 plus 38?").out);
  EXPECT_FALSE(none.contains("reasoning_content")) << none;
  EXPECT_NE(none["content"], "");
  const auto one =
      parse_json(run_answer(question + Options{"--think-tokens", "1"}, "What is 47 plus 38?").out);
  EXPECT_FALSE(std::string("thought").starts_with(one["reasoning_content"].get<std::string>()))
      << one;
  EXPECT_THAT(one["content"].get<std::string>(), Not(HasSubstr("thought")));
}

TEST(Form, RawTextHasTheFormToo) {
  const TemporaryFolder folder;
  const std::string path = folder / "form";
  const Options raw = {"--raw", "--temp", "5"};
  write_whole(path, R"({"type": "boolean"})");
  EXPECT_THAT(run_answer(raw + Options{"--schema", path}).out, AnyOf("true\n", "false\n"));
  EXPECT_THAT(run_answer(raw + Options{"--regex", "[ab]{3}"}).out, MatchesRegex("[ab][ab][ab]\n"));
  write_whole(path, "root ::= \"yes\" | \"no\"");
  EXPECT_THAT(run_answer(raw + Options{"--grammar", path}).out, AnyOf("yes\n", "no\n"));
}

TEST(Form, RawTextHasNoChat) {
  for (const Options& of_chat :
       {Options{"--tools", "x"}, Options{"--think"}, Options{"--think-tokens", "3"},
        Options{"--effort", "low"}, Options{"--system", "x"}})
    expect_bad_usage(run_answer(Options{"--raw"} + of_chat), of_chat[0]);
}

// Every bracket may belong to either kind of array, so that there are twice as many readings of the
// text with each.
std::string schema_of_many_readings() {
  std::string levels = R"("0": {"type": "integer"})";
  for (int level = 1; level <= 20; ++level) {
    const std::string items = R"("type": "array", "minItems": 1, "items": {"$ref": "#/$defs/)" +
                              std::to_string(level - 1) + "\"}}";
    levels += ", \"" + std::to_string(level) + R"(": {"anyOf": [{"maxItems": 2, )" + items +
              R"(, {"maxItems": 3, )" + items + "]}";
  }
  return R"({"$ref": "#/$defs/20", "$defs": {)" + levels + "}}";
}

TEST(Form, AnAnswerThatCannotKeepItsFormIsAnError) {
  const TemporaryFolder folder;
  const std::string schema = folder / "schema.json";
  write_whole(schema, schema_of_many_readings());
  const Outcome text = run_answer({"--schema", schema, "--max-tokens", "500"});
  EXPECT_EQ(text.exit_code, 1) << testing::PrintToString(text);
  EXPECT_THAT(text.out, StartsWith("["));  // what was written stays
  EXPECT_EQ(text.err,
            "gemma4: the answer breaks off: the schema or grammar can be read in too many ways "
            "here; a simpler one is needed\n");
  const Outcome json = run_answer({"--schema", schema, "--max-tokens", "500", "--json"});
  EXPECT_EQ(json.exit_code, 1) << testing::PrintToString(json);
  EXPECT_EQ(json.err, text.err);
  EXPECT_EQ(parse_json(json.out)["finish_reason"], "error");
  EXPECT_THAT(parse_json(json.out)["content"].get<std::string>(), StartsWith("["));
  const Outcome chat = run_program({"chat", "--seed", "1", "--schema", schema}, "Hello!\n/stats\n");
  EXPECT_EQ(chat.exit_code, 0) << testing::PrintToString(chat);  // which goes on
  EXPECT_THAT(chat.err, HasSubstr("the answer breaks off"));
  EXPECT_THAT(chat.out, HasSubstr("prompt tokens"));
}

}  // namespace
}  // namespace gemma4

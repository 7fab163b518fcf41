// Answers of a given form, as a user asks for them: tool calls, schemas, grammars, short thoughts.
// The demo model knows no tools; the constraints make it call them all the same.

#include <chrono>
#include <set>
#include <thread>

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

using Options = std::vector<std::string>;

constexpr const char* kTools = R"([{"type": "function", "function": {
  "name": "get_weather", "description": "The weather in a city",
  "parameters": {"type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"], "additionalProperties": false}}},
 {"type": "function", "function": {"name": "now",
  "parameters": {"type": "object", "properties": {}, "additionalProperties": false}}}])";

class Tools : public testing::Test {
 protected:
  void SetUp() override { write_whole(tools_, kTools); }
  // A program that runs calls.
  std::string script(const std::string& body) const {
    std::string path = folder_ / "tool.sh";
    write_whole(path, "#!/bin/sh\n" + body);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  Options call(const std::string& choice) const {
    return {"--tools", tools_, "--tool-choice", choice, "--one-call"};
  }

  TemporaryFolder folder_;
  std::string tools_ = folder_ / "tools.json";
};

TEST_F(Tools, ANamedToolIsCalledWithArgumentsOfItsSchema) {
  for (const char* seed : {"1", "2", "3", "4"}) {
    const Outcome outcome = run_program(
        Options{"run", "-p", "Hello!", "--temp", "3", "--seed", seed} + call("get_weather"));
    ASSERT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    EXPECT_THAT(outcome.out,
                MatchesRegex("\\{\"name\":\"get_weather\",\"arguments\":"
                             "\\{\"city\":\"(Oslo|Rome)\",\"days\":[1-9](\\.0+)?\\}\\}\n"));
  }
}

TEST_F(Tools, JsonHasTheMessageOfTheApi) {
  const auto json = parse_json(answer(Options{"--json"} + call("get_weather")).out);
  EXPECT_TRUE(json["content"].is_null());
  EXPECT_EQ(json["finish_reason"], "tool_calls");
  ASSERT_EQ(json["tool_calls"].size(), 1U);
  const auto& made = json["tool_calls"][0];
  EXPECT_EQ(made["id"], "call_1");
  EXPECT_EQ(made["type"], "function");
  EXPECT_EQ(made["function"]["name"], "get_weather");
  EXPECT_TRUE(parse_json(made["function"]["arguments"].get<std::string>()).contains("city"));
}

TEST_F(Tools, AProgramRunsTheCallsAndTheModelAnswers) {
  const std::string program = script("echo \"$1 $(cat)\" >> " + folder_ / "log" + "\necho 18 C\n");
  const Outcome outcome =
      answer(call("get_weather") + Options{"--tool-exec", program, "--max-tokens", "200"});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(read_whole(folder_ / "log"), HasSubstr("get_weather {\"city\":"));
  EXPECT_THAT(outcome.err, HasSubstr("= 18 C\n"));
}

TEST_F(Tools, AProgramThatFailsIsToldToTheModel) {
  const Outcome outcome = answer(
      call("now") + Options{"--tool-exec", script("echo broken; exit 3\n"), "--max-tokens", "30"});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("now({}) = error: exit code 3"));
}

TEST_F(Tools, AProgramThatIsNotThereIsAnError) {
  const Outcome outcome = answer(call("now") + Options{"--tool-exec", folder_ / "nothing"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("--tool-exec"), HasSubstr("No such file")));
}

TEST_F(Tools, AnInterruptEndsTheProgramThatRunsACall) {
  Process process(
      Options{"run", "-p", "Hello!"} + call("now") +
      Options{"--tool-exec", script("echo started > " + folder_ / "log" + "; sleep 60\n")});
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (!std::filesystem::exists(folder_ / "log") && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  process.send(SIGINT);
  const Outcome outcome = process.wait(std::chrono::seconds(10));
  EXPECT_EQ(outcome.exit_code, 1) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("interrupted"));
}

TEST_F(Tools, WhatIsWrongWithTheFileIsSaid) {
  expect_failed(answer({"--tools", folder_ / "none.json"}), "none.json");
  write_whole(tools_, "[{\"type\": \"function\"");
  expect_failed(answer({"--tools", tools_}), "is not JSON");
  write_whole(tools_, R"([{"type": "function", "function": {"name": "a b"}}])");
  expect_failed(answer({"--tools", tools_}), "name");
  write_whole(tools_, "[]");
  expect_failed(answer({"--tools", tools_}), "declares no tools");
  write_whole(tools_, kTools);
  expect_failed(answer(call("nonsense")),
                "must be auto, none, required, or one of get_weather, now");
  expect_bad_usage(answer({"--tool-choice", "required"}), "--tools");
}

TEST_F(Tools, ChatTakesResultsFromTheKeyboard) {
  const Outcome outcome =
      run_program(Options{"chat", "--max-tokens", "40", "--seed", "1"} + call("now"),
                  "What time is it?\n12:30\n");
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("now({})"), HasSubstr("(type the result of now)")));
}

// The prompt ends within a thought then, and the grammars must wait for its end.
TEST_F(Tools, AThoughtAboutResultsEndsAndTheAnswerFollows) {
  const Options question = call("now") + Options{"--tool-exec", script("echo 12:30\n"), "--json",
                                                 "--think",     "--max-tokens",         "200"};
  for (const char* most : {"0", "1", "5"}) {
    const auto json = parse_json(answer(question + Options{"--think-tokens", most}).out);
    EXPECT_THAT(json["finish_reason"], AnyOf("stop", "length")) << json;
    EXPECT_NE(json["content"], "") << json;
  }
  const std::string schema = folder_ / "schema.json";
  write_whole(schema, R"({"enum": ["half past twelve"]})");
  for (const char* most : {"0", "1", "5"}) {
    const auto json =
        parse_json(answer(question + Options{"--think-tokens", most, "--schema", schema}).out);
    EXPECT_EQ(json["content"], "\"half past twelve\"") << json;
    EXPECT_LE(json.value("reasoning_content", "").size(), 80U) << json;
    EXPECT_EQ(json["finish_reason"], "stop") << json;
  }
}

TEST_F(Tools, AThoughtAboutResultsMayTakeItsTime) {
  const Options question = call("now") + Options{"--tool-exec",  script("echo 12:30\n"),
                                                 "--json",       "--think",
                                                 "--max-tokens", "200",
                                                 "--regex",      "[a-f]{4}"};
  int answered = 0;
  for (const char* seed : {"1", "2", "3", "4"}) {
    const auto json = parse_json(
        run_program(Options{"run", "-p", "What time is it?", "--seed", seed} + question).out);
    const std::string content = json["content"];
    if (content.empty()) {  // the demo model may think on and on
      EXPECT_EQ(json["finish_reason"], "length") << json;
    } else {
      EXPECT_THAT(content, MatchesRegex("[a-f][a-f][a-f][a-f]"));
      ++answered;
    }
  }
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace gemma4

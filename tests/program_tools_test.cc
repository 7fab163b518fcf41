// Answers of a given form, as a user asks for them: tool calls, schemas, grammars, short thoughts.
// The demo model knows no tools; the constraints make it call them all the same.

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

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
  const auto json = parse_json(run_answer(Options{"--json"} + call("get_weather")).out);
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
      run_answer(call("get_weather") + Options{"--tool-exec", program, "--max-tokens", "200"});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(read_whole(folder_ / "log"), HasSubstr("get_weather {\"city\":"));
  EXPECT_THAT(outcome.err, HasSubstr("= 18 C\n"));
}

TEST_F(Tools, AProgramThatFailsIsToldToTheModel) {
  const Outcome outcome = run_answer(
      call("now") + Options{"--tool-exec", script("echo broken; exit 3\n"), "--max-tokens", "30"});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("now({})\n= error: exit code 3 broken\n"));
}

TEST_F(Tools, AResultThatIsTooLongIsCutAndToldToTheModel) {
  const auto result = [&](const std::string& body) {
    const Outcome outcome = run_answer(
        call("now") + Options{"--tool-exec", script(body), "--max-tokens", "20", "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    const auto json = parse_json(outcome.out);
    return json["messages"][1]["content"].get<std::string>();
  };
  const std::string endless = result("while :; do echo 'é é é é é é é é é é é é é é é é'; done\n");
  EXPECT_THAT(endless, StartsWith("error: the result is too long, above 1.05 MB; it begins:\né é"));
  EXPECT_LT(endless.size(), 2100U);
  const std::string long_one = result("head -c 900000 /dev/zero | tr '\\0' x\n");
  EXPECT_THAT(long_one, AllOf(StartsWith("error: the result is too long: "),
                              HasSubstr(" tokens, and there is room for "), HasSubstr("xxx")));
}

TEST_F(Tools, WhatATerminalObeysIsNotShown) {
  const std::string program = script("printf '\\033[2Jcleared\\nand\\033]0;title\\007'; exit 0\n");
  const Options options = call("now") + Options{"--tool-exec", program, "--max-tokens", "20"};
  EXPECT_THAT(run_answer(options).err, HasSubstr("= \uFFFD[2Jcleared and\uFFFD]0;title\uFFFD\n"));
  EXPECT_THAT(run_program(Options{"chat"} + options, "Hello!\n").out,
              AllOf(Not(HasSubstr("\033")), HasSubstr("= \uFFFD[2Jcleared")));
}

// Before any call: in "auto" there may be none for a long time.
TEST_F(Tools, AProgramThatCannotRunIsAnErrorFromTheStart) {
  const auto expect_refused = [&](const std::string& program, const std::string& why) {
    for (const char* command : {"run", "chat"}) {
      const Options prompt = command == std::string("run") ? Options{"-p", "x"} : Options{};
      expect_failed(run_program(Options{command} + prompt +
                                Options{"--tools", tools_, "--tool-exec", program}),
                    "--tool-exec " + program + ": " + why);
    }
  };
  expect_refused(folder_ / "nothing", "No such file");
  expect_refused(tools_, "Permission denied");
  expect_refused("/", "Permission denied");
  expect_refused("no-such-program", "there is no such program in the PATH");
}

TEST_F(Tools, AProgramIsFoundInThePath) {
  const Outcome outcome =
      run_answer(call("now") + Options{"--tool-exec", "echo", "--max-tokens", "20"});
  EXPECT_THAT(outcome.err, HasSubstr("now({})\n= now\n"));
}

TEST_F(Tools, ACallIsShownBeforeItRunsAndAnInterruptEndsItsProgram) {
  for (const char* body : {"sleep 60\n", "exec >&-; sleep 60\n", "sleep 60 & exec sleep 60\n"}) {
    Process process(Options{"run", "-p", "Hello!"} + call("now") +
                    Options{"--tool-exec", script("echo started >&2; " + std::string(body))});
    EXPECT_TRUE(process.read_until(
        [](const Outcome& so_far) { return so_far.err == "now({})\nstarted\n"; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // its output is closed by now
    process.send(SIGINT);
    const Outcome outcome = process.wait(std::chrono::seconds(10));
    EXPECT_EQ(outcome.exit_code, 1) << body << testing::PrintToString(outcome);
    EXPECT_THAT(outcome.err, HasSubstr("interrupted"));
  }
}

TEST_F(Tools, AProgramHasNoTerminalToAskOn) {
  Terminal terminal(Options{"run", "-p", "Hello!", "--max-tokens", "20"} + call("now") +
                    Options{"--tool-exec", script("read answer < /dev/tty\n")});
  terminal.expect("/dev/tty");  // the shell's complaint
  terminal.expect("= error: exit code ");
  EXPECT_EQ(terminal.wait(), 0);
}

TEST_F(Tools, JsonHasAllRounds) {
  const auto json =
      parse_json(run_answer(call("now") + Options{"--tool-exec", script("echo 12:30\n"),
                                                  "--max-tokens", "20", "--json"})
                     .out);
  const auto& messages = json["messages"];
  ASSERT_EQ(messages.size(), 3U) << json;
  EXPECT_EQ(messages[0]["tool_calls"][0]["function"]["name"], "now");
  EXPECT_EQ(messages[1]["role"], "tool");
  EXPECT_EQ(messages[1]["content"], "12:30");
  EXPECT_EQ(messages[2]["content"], json["content"]);
  const auto first = parse_json(run_answer(call("now") + Options{"--json"}).out);
  EXPECT_FALSE(first.contains("messages"));
  for (const char* count : {"prompt_tokens", "completion_tokens"})
    EXPECT_GT(json["usage"][count], first["usage"][count]);
}

TEST_F(Tools, AToolMayBeCalledLikeAChoice) {
  write_whole(tools_, R"([{"type": "function", "function": {"name": "now"}},
    {"type": "function", "function": {"name": "none", "parameters": {"additionalProperties": false}}}])");
  EXPECT_EQ(run_answer(call("name:none")).out, "{\"name\":\"none\",\"arguments\":{}}\n");
  expect_failed(run_answer(call("name:auto")), "one of now, none");
}

TEST_F(Tools, WhatIsWrongWithTheFileIsSaid) {
  expect_failed(run_answer({"--tools", folder_ / "none.json"}), "none.json");
  write_whole(tools_, "[{\"type\": \"function\"");
  expect_failed(run_answer({"--tools", tools_}), "is not JSON");
  write_whole(tools_, R"([{"type": "function", "function": {"name": "a b"}}])");
  expect_failed(run_answer({"--tools", tools_}), "name");
  write_whole(tools_, R"({"tools": []})");
  expect_failed(run_answer({"--tools", tools_}), tools_ + ": expected a list of tools");
  write_whole(tools_, "[]");
  expect_failed(run_answer({"--tools", tools_}), "declares no tools");
  write_whole(tools_, kTools);
  expect_failed(run_answer(call("nonsense")),
                "must be auto, none, required, or one of get_weather, now");
  expect_bad_usage(run_answer({"--tool-choice", "required"}), "--tools");
}

TEST_F(Tools, ChatTakesResultsFromTheKeyboard) {
  const Outcome outcome =
      run_program(Options{"chat", "--max-tokens", "40", "--seed", "1"} + call("now"),
                  "What time is it?\n12:30\n/exit\n");
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("now({})\n\n(type the result of now)"), Not(HasSubstr("\n\n\n"))));
}

TEST_F(Tools, ATypedResultForWhichThereIsNoRoomIsAskedForAgain) {
  const std::string file = folder_ / "chat.json";
  const Outcome outcome = run_program(
      Options{"chat", "--ctx", "300", "--max-tokens", "20"} + call("now"),
      "What time is it?\n" + std::string(2000, 'x') + "\n12:30\n/save " + file + "\n/exit\n");
  EXPECT_THAT(outcome.err, HasSubstr("the context holds 300"));
  const std::string request = "(type the result of now)";
  const size_t first = outcome.out.find(request);
  EXPECT_NE(outcome.out.find(request, first + 1), std::string::npos) << outcome.out;
  EXPECT_EQ(parse_json(read_whole(file))["messages"][2]["content"], "12:30");
}

// A conversation of chat, as it was saved: the roles, and the first result.
std::pair<Options, std::string> saved(const std::string& path) {
  Options roles;
  std::string result;
  const auto json = parse_json(read_whole(path));
  for (const auto& message : json["messages"]) {
    roles.push_back(message["role"]);
    if (roles.back() == "tool" && result.empty()) result = message["content"];
  }
  return {roles, result};
}

TEST_F(Tools, ALineBehindAFailedCallIsAQuestion) {
  const std::string file = folder_ / "chat.json";
  const std::string program = script("");
  write_whole(program, "no script");
  const Outcome outcome = run_program(
      Options{"chat", "--max-tokens", "20"} + call("now") + Options{"--tool-exec", program},
      "What time is it?\nHello there!\n/save " + file + "\n");
  EXPECT_THAT(outcome.err, HasSubstr("Exec format error; a script begins with a line like #!"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("type the result")));
  const auto [roles, result] = saved(file);
  // The second question is answered with a call that fails, too.
  EXPECT_THAT(roles, ElementsAre("user", "assistant", "tool", "user", "assistant", "tool"));
  EXPECT_THAT(result, StartsWith("error: --tool-exec"));
}

TEST_F(Tools, ALineBehindAnInterruptedCallIsAQuestion) {
  const std::string file = folder_ / "chat.json";
  Terminal terminal(Options{"chat", "--max-tokens", "20"} + call("now") +
                    Options{"--tool-exec", script("sleep 60\n")});
  terminal.expect_prompt();
  terminal.type("What time is it?\r");
  terminal.expect("now({})");
  terminal.type("\x03");
  terminal.expect("(stopped)");
  terminal.expect_prompt();
  terminal.type("/save " + file + "\r");
  terminal.expect("saved");
  terminal.expect_prompt();
  EXPECT_THAT(saved(file).first, ElementsAre("user", "assistant", "tool"));
  EXPECT_EQ(saved(file).second, "error: interrupted");
  terminal.type("Hello there!\r");
  terminal.expect("now({})");
  terminal.send(SIGTERM);
  EXPECT_EQ(terminal.wait(), 0);
}

// The prompt ends within a thought then, and the grammars must wait for its end.
TEST_F(Tools, AThoughtAboutResultsEndsAndTheAnswerFollows) {
  const Options question = call("now") + Options{"--tool-exec", script("echo 12:30\n"), "--json",
                                                 "--think",     "--max-tokens",         "200"};
  for (const char* most : {"0", "1", "5"}) {
    const auto json = parse_json(run_answer(question + Options{"--think-tokens", most}).out);
    EXPECT_THAT(json["finish_reason"], AnyOf("stop", "length")) << json;
    EXPECT_NE(json["content"], "") << json;
  }
  const std::string schema = folder_ / "schema.json";
  write_whole(schema, R"({"enum": ["half past twelve"]})");
  for (const char* most : {"0", "1", "5"}) {
    const auto json =
        parse_json(run_answer(question + Options{"--think-tokens", most, "--schema", schema}).out);
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

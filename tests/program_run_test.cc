// gemma4 run: one answer on stdout, from a prompt, a pipe or on a terminal.

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

TEST(Run, TheSameSeedGivesTheSameAnswer) {
  const std::vector<std::string> options = {"--temp", "1", "--max-tokens", "60"};
  const Outcome first = run_answer(options, "Tell me a story about a fox.");
  const Outcome second = run_answer(options, "Tell me a story about a fox.");
  EXPECT_EQ(first.exit_code, 0);
  EXPECT_EQ(first.out, second.out);
  EXPECT_THAT(first.out, EndsWith("\n"));
  EXPECT_GT(first.out.size(), 20U);
}

TEST(Run, EveryTypeOfTheCacheAnswers) {
  const std::vector<std::string> options = {"--temp", "0", "--max-tokens", "12"};
  const std::string exact = run_answer(options, "What is 3 plus 4?").out;
  for (const char* type : {"f32", "f16", "bf16", "q8_0"}) {
    const Outcome outcome =
        run_answer(options + std::vector<std::string>{"--kv-type", type}, "What is 3 plus 4?");
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    EXPECT_EQ(outcome.out, exact) << type;
  }
}

TEST(Run, PromptFromStandardInput) {
  const std::vector<std::string> options = {"run", "-p", "-", "--seed", "1", "--max-tokens", "8"};
  EXPECT_EQ(run_program(options, "Hello!\n").out, run_answer({"--max-tokens", "8"}).out);
}

TEST(Run, EmptyPromptIsRefused) {
  expect_failed(run_answer({}, ""), "the prompt is empty");
  expect_failed(run_answer({}, " \n"), "the prompt is empty");
  expect_failed(run_program({"run", "-p", "-"}), "standard input is empty");
}

TEST(Run, PromptThatIsNotUtf8IsRefusedWithItsByte) {
  expect_failed(run_answer({}, "abc\xff"), "the prompt is not UTF-8 text: byte 3 is wrong");
  expect_failed(run_program({"run", "-p", "-"}, "\xc3"),
                "standard input is not UTF-8 text: byte 0 is wrong");
}

TEST(Run, PromptLongerThanTheContextSaysBothNumbers) {
  std::string prompt;
  for (int i = 0; i < 200; ++i) prompt += "word ";
  const Outcome outcome = run_answer({"--ctx", "100"}, prompt);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err,
              MatchesRegex("gemma4: the prompt has [0-9]+ tokens, the context holds 100 .*\n"));
}

TEST(Run, ContextAboveTheModelsLimitSaysBothNumbers) {
  expect_failed(run_answer({"--ctx", "1000000"}),
                "--ctx 1000000: this model takes up to 4096 tokens");
  expect_failed(run_program({"info", "--ctx", "1000000"}),
                "--ctx 1000000: this model takes up to 4096 tokens");
}

TEST(Run, CutAnswerIsSaid) {
  const Outcome outcome = run_answer({"--max-tokens", "2"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("cut after 2 tokens"));
}

TEST(Run, JsonHoldsAnswerAndUsage) {
  const Outcome outcome = run_answer({"--json", "--max-tokens", "6"});
  ASSERT_EQ(outcome.exit_code, 0);
  const auto json = parse_json(outcome.out);
  EXPECT_EQ(json["content"].get<std::string>() + "\n", run_answer({"--max-tokens", "6"}).out);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["seed"], 1);
  EXPECT_EQ(json["usage"]["completion_tokens"], 6);
}

TEST(Run, StopTextEndsTheAnswerBeforeIt) {
  const std::string whole = run_answer({}).out;
  const size_t middle = whole.find(' ', whole.size() / 2);
  ASSERT_NE(middle, whole.npos);
  const std::string stop = whole.substr(middle, 4);
  EXPECT_EQ(run_answer({"--stop", stop}).out, whole.substr(0, whole.find(stop)) + "\n");
}

TEST(Run, RawContinuesTheTextAsItIs) {
  const auto raw = parse_json(run_answer({"--raw", "--json", "--max-tokens", "3"}, "One").out);
  const auto turn = parse_json(run_answer({"--json", "--max-tokens", "3"}, "One").out);
  EXPECT_EQ(raw["usage"]["prompt_tokens"], 2);  // <bos> and the word
  EXPECT_GT(turn["usage"]["prompt_tokens"], 5);
}

TEST(Run, ThoughtGoesToStandardError) {
  const std::vector<std::string> options = {"--think", "--temp", "0"};
  const std::string question = "Tell me a story about a dog.";
  const Outcome outcome = run_answer(options, question);
  const auto json =
      parse_json(run_answer(options + std::vector<std::string>{"--json"}, question).out);
  ASSERT_TRUE(json.contains("reasoning_content"));
  EXPECT_THAT(outcome.err, HasSubstr(json["reasoning_content"].get<std::string>()));
  EXPECT_EQ(outcome.out, json["content"].get<std::string>() + "\n");
  EXPECT_THAT(outcome.err, Not(HasSubstr("\033")));  // colours are for terminals
}

TEST(Run, VerboseTellsSpeedOnStandardError) {
  EXPECT_THAT(run_answer({"--verbose", "--max-tokens", "3"}).err, HasSubstr("tokens/s"));
}

TEST(Run, InterruptKeepsTheAnswerSoFar) {
  Process process(std::vector<std::string>{"run", "-p", "Hello!"} + kEndless);
  ASSERT_TRUE(process.read_until([](const Outcome& o) { return o.out.size() > 40; }));
  process.send(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.exit_code, 1) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, EndsWith("\n"));
  EXPECT_EQ(outcome.err, "gemma4: interrupted\n");
}

TEST(Run, InterruptedJsonIsStillJson) {
  Process process(std::vector<std::string>{"run", "-p", "Hello!", "--json", "--verbose"} +
                  kEndless);
  std::this_thread::sleep_for(milliseconds(700));  // nothing shows that it has begun
  process.send(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.exit_code, 1) << testing::PrintToString(outcome);
  EXPECT_EQ(parse_json(outcome.out)["finish_reason"], "cancelled");
}

TEST(RunTerminal, ThoughtIsDimmedAndNeverLeavesTheTerminalSo) {
  Terminal terminal(
      {"run", "-p", "Tell me a story about a dog.", "--think", "--temp", "0", "--max-tokens", "8"});
  terminal.expect("\033[2m");
  terminal.expect("\033[0m");
  EXPECT_EQ(terminal.wait(), 0);
}

}  // namespace
}  // namespace gemma4

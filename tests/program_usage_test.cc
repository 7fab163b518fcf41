// What all commands have in common: help, bad usage, what this build lacks, and a standard output
// that fails.

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;

const std::vector<std::string> kCommands = {"bench", "chat",  "eval",     "info",
                                            "run",   "synth", "tokenize", "verify"};

TEST(Usage, EveryCommandHasHelp) {
  const Outcome all = run_program({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  for (const std::string& command : kCommands) {
    EXPECT_THAT(all.out, HasSubstr("\n  " + command));
    const Outcome help = run_program({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.out, AllOf(HasSubstr("gemma4 " + command), HasSubstr("--help")));
    EXPECT_EQ(help.err, "") << command;
  }
  EXPECT_THAT(run_program({"--version"}).out, MatchesRegex("gemma4 [0-9.]+\n"));
}

TEST(Usage, NoOrUnknownCommandIsBadUsage) {
  expect_bad_usage(run_program({}), "no command given");
  expect_bad_usage(run_program({"dance"}), "there is no command \"dance\"");
}

TEST(Usage, UnknownOptionIsBadUsageAndPointsAtTheCommandsHelp) {
  for (const std::string& command : kCommands) {
    const Outcome outcome = run_program({command, "--no-such-option"});
    EXPECT_EQ(outcome.exit_code, 2) << command;
    EXPECT_THAT(outcome.err, HasSubstr("see 'gemma4 " + command + " --help'"));
  }
  expect_bad_usage(run_program({"run", "--foo", "-p", "x"}), "--foo");
  expect_bad_usage(run_program({"run"}), "--prompt is required");
  expect_bad_usage(run_program({"verify", "--tokenizer", "x"}), "--cases");
}

TEST(Usage, ImpossibleValuesNameOptionAndRange) {
  struct Case {
    std::string option, value, range;
  };
  const std::vector<Case> cases = {
      {"--temp", "-1", "from 0 to 100"},
      {"--temp", "nan", "from 0 to 100"},
      {"--temp", "hot", "from 0 to 100"},
      {"--top-k", "-1", "from 0 to 2147483647"},
      {"--top-k", "1.5", "a whole number"},
      {"--top-p", "0", "above 0 and at most 1"},
      {"--top-p", "1.5", "above 0 and at most 1"},
      {"--min-p", "1", "at least 0 and below 1"},
      {"--min-p", "-0.1", "at least 0 and below 1"},
      {"--repetition-penalty", "0", "above 0 and at most 100"},
      {"--presence-penalty", "inf", "from -100 to 100"},
      {"--frequency-penalty", "101", "from -100 to 100"},
      {"--max-tokens", "0", "1 or more"},
      {"--max-tokens", "99999999999999999999", "1 or more"},
      {"--seed", "-1", "0 or more"},
      {"--ctx", "1", "2 or more"},
      {"--threads", "0", "from 1 to 1024"},
      {"--threads", "2000", "from 1 to 1024"},
      {"--device", "tpu", "cpu, cuda or auto"},
      {"--kv-type", "q4_0", "f32, f16, bf16 or q8_0"},
      {"--stop", "\xff", "UTF-8 text"},
      {"--system", "\xff", "UTF-8 text"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.option + " " + c.value);
    expect_bad_usage(run_program({"run", "-p", "x", c.option, c.value}), c.option + ": must be ");
    EXPECT_THAT(run_program({"run", "-p", "x", c.option, c.value}).err, HasSubstr(c.range));
  }
}

TEST(Usage, WhatThisBuildLacksIsSaid) {
  expect_failed(run_answer({"--device", "cuda"}), "--device cuda: this build has no CUDA kernels");
  TemporaryFolder folder;
  expect_failed(
      run_program({"synth", kGoldens + "/tiny-e/config.json", folder / "x", "--type", "q4_0"}),
      "--type q4_0: checkpoint folders are bf16");
}

TEST(StandardOutput, FullDiskIsAnError) {
  const Process::Options full = {.stdout_path = "/dev/full"};
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"info"},
        {"info", "--json"},
        {"tokenize", "-p", "Hello"},
        {"run", "-p", "Hello", "--max-tokens", "3"},
        {"run", "-p", "Hello", "--json"},
        {"verify", kGoldens + "/tiny-e", "--keys", "text.greedy"},
        {"--help"}}) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    expect_failed(run_program(arguments, "", full), "cannot write to standard output");
  }
}

TEST(StandardOutput, ClosedPipeEndsTheProgram) {
  Process process(std::vector<std::string>{"run", "-p", "Hello!"} + kEndless);
  ASSERT_TRUE(process.read_until([](const Outcome& o) { return !o.out.empty(); }));
  process.close_output();
  const Outcome outcome = process.wait();
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1);
}

TEST(StandardOutput, ClosedPipeEndsChat) {
  Process process({"chat", "--max-tokens", "3"});
  ASSERT_TRUE(process.read_until([](const Outcome& o) { return !o.out.empty(); }));
  process.close_output();
  for (int i = 0; i < 3; ++i) process.write("Hello!\n");
  const Outcome outcome = process.wait();
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1);
}

}  // namespace
}  // namespace gemma4

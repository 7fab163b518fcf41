// gemma4 chat: with pipes, as a script runs it, and on a terminal, as a user at the keyboard sees
// it.

#include <algorithm>
#include <csignal>

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(Chat, ReadsQuestionsFromAPipe) {
  const Outcome outcome = run_program({"chat", "--temp", "0"},
                                      "Hello!\n\n  \n/stats\n/nonsense\n/think maybe\n/exit\n");
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, AllOf(StartsWith("The demo model ("), HasSubstr("tokens/s"),
                                 HasSubstr("unknown command /nonsense; /help lists them"),
                                 HasSubstr("/think takes on or off"), Not(HasSubstr("\033"))));
  EXPECT_EQ(outcome.err, "");
}

TEST(Chat, SavesTheConversation) {
  const TemporaryFolder folder;
  const std::string path = folder / "chat.json";
  const Outcome outcome = run_program(
      {"chat", "--temp", "0", "--max-tokens", "6"},
      "/system Be kind.\nHello!\n/save " + path + "\n/new\nWho are you?\n/save " + path + "2\n");
  EXPECT_EQ(outcome.exit_code, 0);
  const auto roles = [](const std::string& file) {
    std::vector<std::string> list;
    const auto saved = parse_json(read_whole(file));
    for (const auto& message : saved["messages"]) list.push_back(message["role"]);
    return list;
  };
  EXPECT_THAT(roles(path), ElementsAre("system", "user", "assistant"));
  EXPECT_EQ(parse_json(read_whole(path))["messages"][1]["content"], "Hello!");
  EXPECT_THAT(roles(path + "2"), ElementsAre("system", "user", "assistant"));
}

TEST(Chat, SaveOntoAFullDiskIsSaidAndLeavesNothing) {
  const TemporaryFolder folder;
  const Outcome outcome = run_program(
      {"chat", "--max-tokens", "3"},
      "Hello!\n/save " + folder / "x.json" + "\n/save\nHello again!\n", {.file_size_limit = 10});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("File too large; nothing was written"),
                                 HasSubstr("/save needs a file name")));
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(Chat, BytesThatAreNotUtf8AreSaidAndDoNotEndTheChat) {
  const TemporaryFolder folder;
  const Outcome outcome = run_program({"chat", "--max-tokens", "3"},
                                      "/system a\xff\nHello \xc3(\n/save " + folder / "x.json\n");
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, HasSubstr("not UTF-8"));
  EXPECT_EQ(parse_json(read_whole(folder / "x.json"))["messages"].size(), 3U);
}

TEST(Chat, FullContextIsSaidAndANewConversationGoesOn) {
  const Outcome outcome = run_program({"chat", "--ctx", "40", "--temp", "0"},
                                      "Tell me a story about a dog.\nAnd then?\n/new\nHello!\n");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("(cut: the context"));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the context holds 40"), HasSubstr("/new")));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 3) << outcome.err;
}

TEST(Chat, AnswersDifferWithoutASeedAndRepeatWithOne) {
  const std::string story = "Tell me a story about a dog.\n/new\n";
  const auto answers = [&](const std::vector<std::string>& options) {
    const std::string out =
        run_program(std::vector<std::string>{"chat", "--temp", "2", "--max-tokens", "40"} + options,
                    story + story)
            .out;
    const std::string divider = "new conversation\n\n";
    const size_t first = out.find(divider);
    const size_t start = out.find("\n\n") + 2;
    return std::pair(
        out.substr(start, first - start),
        out.substr(first + divider.size(), out.find(divider, first + 1) - first - divider.size()));
  };
  const auto fresh = answers({});
  EXPECT_NE(fresh.first, fresh.second);
  const auto seeded = answers({"--seed", "5"});
  EXPECT_EQ(seeded.first, seeded.second);
}

TEST(ChatTerminal, ASession) {
  const TemporaryFolder folder;
  Terminal terminal({"chat", "--temp", "0"});
  EXPECT_THAT(terminal.expect_prompt(), HasSubstr("The demo model ("));
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");  // the echo
  EXPECT_GT(terminal.expect("\r\n\r\n").size(), 10U);
  terminal.expect_prompt();
  terminal.type("/help\r");
  EXPECT_THAT(terminal.expect("Ctrl-C stops"), HasSubstr("/save FILE"));
  terminal.expect_prompt();
  terminal.type("/think\r");
  terminal.expect("thinking is on");
  terminal.expect_prompt();
  terminal.type("Tell me a story about a dog.\r");
  terminal.expect("\033[2m");  // the thought is dimmed …
  terminal.expect("\033[0m");  // … and the answer is not
  terminal.expect_prompt();
  terminal.type("/stats\r");
  terminal.expect("tokens/s");
  terminal.expect_prompt();
  terminal.type("/system Answer briefly.\r");
  terminal.expect("system text set");
  terminal.expect_prompt();
  terminal.type("/save " + folder / "chat.json" + "\r");
  terminal.expect("saved to ");
  terminal.expect_prompt();
  terminal.type("/new\r");
  terminal.expect("new conversation");
  terminal.expect_prompt();
  terminal.type("/dance\r");
  terminal.expect("unknown command /dance");
  terminal.expect_prompt();
  terminal.type("\x04");  // Ctrl-D
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
  EXPECT_EQ(parse_json(read_whole(folder / "chat.json"))["messages"].size(), 5U);
}

TEST(ChatTerminal, InterruptStopsTheAnswerAndTheNextQuestionIsAnswered) {
  Terminal terminal(std::vector<std::string>{"chat"} + kEndless);
  terminal.expect_prompt();
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");
  terminal.expect("HelloHello");  // some of the answer
  terminal.type("\x03");
  terminal.expect("(stopped)");
  terminal.expect_prompt();
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");
  terminal.expect("HelloHello");
  terminal.type("\x03");
  terminal.expect("(stopped)");
  terminal.expect_prompt();
  terminal.type("/exit\r");
  EXPECT_EQ(terminal.wait(), 0);
}

TEST(ChatTerminal, InterruptAtThePromptDropsTheLine) {
  const TemporaryFolder folder;
  Terminal terminal({"chat", "--max-tokens", "3"});
  terminal.expect_prompt();
  terminal.type("\x03");  // nothing typed
  terminal.expect("^C\r\n");
  terminal.expect_prompt();
  terminal.type("never sent");
  terminal.expect("never sent");
  terminal.type("\x03");
  terminal.expect("^C\r\n");
  terminal.expect_prompt();
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");
  terminal.expect_prompt();
  terminal.type("/save " + folder / "x.json" + "\r");
  terminal.expect("saved");
  terminal.expect_prompt();
  terminal.type("\x04");
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
  EXPECT_EQ(parse_json(read_whole(folder / "x.json"))["messages"][0]["content"], "Hello!");
}

TEST(ChatTerminal, TerminationAtThePromptRestoresTheTerminal) {
  Terminal terminal({"chat"});
  terminal.expect_prompt();
  EXPECT_FALSE(terminal.restored());
  terminal.send(SIGTERM);
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
}

TEST(ChatTerminal, TerminationDuringAnAnswerEndsTheProgram) {
  Terminal terminal(std::vector<std::string>{"chat"} + kEndless);
  terminal.expect_prompt();
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");
  terminal.expect("HelloHello");
  terminal.send(SIGTERM);
  terminal.expect("(stopped)");
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
}

TEST(ChatTerminal, CharactersBeyondAsciiCanBeTyped) {
  const TemporaryFolder folder;
  Terminal terminal({"chat", "--max-tokens", "3"});
  terminal.expect_prompt();
  terminal.type("Grüße, 世界!\r");
  terminal.expect("Grüße, 世界!\r\n");
  terminal.expect_prompt();
  terminal.type("/save " + folder / "x.json" + "\r");
  terminal.expect("saved");
  EXPECT_EQ(parse_json(read_whole(folder / "x.json"))["messages"][0]["content"], "Grüße, 世界!");
}

}  // namespace
}  // namespace gemma4

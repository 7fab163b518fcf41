#include "apps/tool_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace gemma4::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct Recorder final : CallSink {
  void call_begins(const chat::ToolCall& call) override { begun.push_back(call.name); }
  void call_ended(const std::string& result) override { results.push_back(result); }
  std::vector<std::string> begun, results;
};

class ToolLoopTest : public ::testing::Test {
 protected:
  ToolLoopTest() {
    std::ofstream(tools_) << R"([{"type":"function","function":{"name":"now",
        "parameters":{"additionalProperties":false}}}])";
    ConversationArguments arguments;
    arguments.model = std::string(GEMMA4_SOURCE_DIR) + "/models/demo";
    arguments.engine.context = 256;
    arguments.sampling.max_tokens = 20;
    arguments.answer = {.tools = tools_, .tool_choice = "required", .one_call = true};
    conversation_ = std::move(Conversation::create(arguments)).value();
    call_ = conversation_->ask("What time is it?", nullptr, nullptr).value();
  }
  ~ToolLoopTest() override { std::filesystem::remove(tools_); }

  Result<Answer> run(const ToolLoopArguments& arguments, const StopQuestion& stop = nullptr) {
    return run_calls(*conversation_, call_, arguments, recorder_, nullptr, stop);
  }
  std::string last_message() const {
    return std::get<std::string>(conversation_->messages().back().content);
  }

  const std::string tools_ = ::testing::TempDir() + "tool_loop_test_tools.json";
  std::unique_ptr<Conversation> conversation_;
  Answer call_;
  Recorder recorder_;
};

TEST_F(ToolLoopTest, ResultsAreAnsweredAndNumbersAddUp) {
  const Answer answer = run({.program = "echo"}).value();
  EXPECT_THAT(recorder_.begun, ElementsAre("now"));
  EXPECT_THAT(recorder_.results, ElementsAre("now"));
  EXPECT_THAT(conversation_->messages(), SizeIs(4));
  EXPECT_EQ(answer.stats.num_answers, 2);
  EXPECT_GT(answer.stats.prompt_tokens, 2 * call_.stats.prompt_tokens);
  EXPECT_EQ(answer.stats.prompt_seconds, call_.stats.prompt_seconds);
}

TEST_F(ToolLoopTest, WithoutAProgramCallsStayOpen) {
  EXPECT_TRUE(run({}).ok());
  EXPECT_THAT(conversation_->open_calls(), SizeIs(1));
}

TEST_F(ToolLoopTest, NoCallStaysOpenWhenThereAreTooManyRounds) {
  EXPECT_FALSE(run({.program = "echo", .max_rounds = 0}).ok());
  EXPECT_THAT(conversation_->open_calls(), IsEmpty());
  EXPECT_EQ(last_message(),
            "error: the model still calls tools after 0 rounds; raise --tool-rounds for more");
  EXPECT_TRUE(conversation_->ask("Hello!", nullptr, nullptr).ok());
}

TEST_F(ToolLoopTest, NoCallStaysOpenWhenItIsInterrupted) {
  EXPECT_EQ(run({.program = "echo"}, [] { return true; }).error().code, ErrorCode::kCancelled);
  EXPECT_THAT(recorder_.results, IsEmpty());
  EXPECT_EQ(last_message(), "error: interrupted");
}

TEST_F(ToolLoopTest, NoCallOfACutMessageRunsOrStaysOpen) {
  call_.finish = engine::FinishReason::kLength;
  EXPECT_TRUE(run({.program = "echo"}).ok());
  EXPECT_THAT(recorder_.begun, IsEmpty());
  EXPECT_EQ(last_message(), "error: the message was cut");
}

TEST_F(ToolLoopTest, ResultsForWhichThereIsNoRoomAreNotKept) {
  call_.stats.prompt_tokens = -10000;  // so that there seems to be room
  const auto answer = run({.program = "yes"});
  ASSERT_FALSE(answer.ok());
  EXPECT_THAT(answer.error().message, StartsWith("with the result of now: the prompt has "));
  EXPECT_EQ(last_message(), "error: " + answer.error().message);
  EXPECT_TRUE(conversation_->ask("Hello!", nullptr, nullptr).ok());
}

TEST_F(ToolLoopTest, AResultLeavesRoomForAnAnswer) {
  EXPECT_TRUE(run({.program = "yes"}).ok());
  ASSERT_THAT(recorder_.results, SizeIs(1));
  EXPECT_THAT(recorder_.results[0], StartsWith("error: the result is too long: "));
}

}  // namespace
}  // namespace gemma4::apps

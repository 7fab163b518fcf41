#include "apps/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace gemma4::apps {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

class ConversationTest : public ::testing::Test {
 protected:
  ConversationTest() {
    arguments_.model = std::string(GEMMA4_SOURCE_DIR) + "/models/demo";
    arguments_.engine.context = 256;
    arguments_.sampling.max_tokens = 60;
    arguments_.answer.tools = tools_;
    std::ofstream(tools_) << R"([{"type":"function","function":{"name":"now"}}])";
  }
  ~ConversationTest() override { std::filesystem::remove(tools_); }
  std::unique_ptr<Conversation> create() {
    auto conversation = Conversation::create(arguments_);
    EXPECT_TRUE(conversation.ok());
    return std::move(conversation).value();
  }

  const std::string tools_ = ::testing::TempDir() + "conversation_test_tools.json";
  ConversationArguments arguments_;
};

// Nothing shows the token where calls are not read, so that its absence cannot be seen from
// outside.
TEST_F(ConversationTest, AToolThatMustNotBeCalledHasNoTokenToBeginWith) {
  arguments_.answer.tool_choice = "none";
  const auto none = create();
  EXPECT_THAT(none->sampling().suppress_tokens,
              Contains(*none->model().tokenizer->added_token("<|tool_call>")));
  const Answer answer = none->ask("What time is it?", nullptr, nullptr).value();
  EXPECT_THAT(answer.message.tool_calls, IsEmpty());
}

TEST_F(ConversationTest, WithoutToolsNothingIsSuppressed) {
  arguments_.answer = {};
  EXPECT_THAT(create()->sampling().suppress_tokens, IsEmpty());
}

}  // namespace
}  // namespace gemma4::apps

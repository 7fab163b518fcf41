#include "chat/verify_cases.h"

#include <gtest/gtest.h>

namespace gemma4::chat {
namespace {

TEST(VerifyChatCases, CountsAndDescribes) {
  const auto report = verify_chat_cases(R"({"cases": [
      {"name": "good", "messages": [], "expected": "<bos>"},
      {"name": "bad", "messages": [{"role": "user", "content": "a"}], "expected": "<bos><|turn>x"},
      {"name": "refused", "messages": [{"role": "assistant", "tool_calls": [
          {"function": {"name": "f", "arguments": "{}"}}]}], "expected_error": "no"},
      {"messages": [], "expected_error": "yes"}]})");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().num_cases, 4);
  EXPECT_EQ(report.value().num_passed(), 2);
  EXPECT_EQ(report.value().failures[0].name, "cases[1] \"bad\"");
  EXPECT_EQ(report.value().failures[0].difference,
            "at byte 12: expected \"<bos><|turn>x\", found \"<bos><|turn>user\\x0aa<turn|>\\x0a\"");
  EXPECT_EQ(report.value().failures[1].name, "cases[3]");
}

TEST(VerifyToolCases, CountsAndDescribes) {
  const auto report = verify_tool_cases(R"({"cases": [
      {"model_output": "a<turn|>",
       "expected": {"content": "a", "reasoning": null, "tool_calls": []}},
      {"model_output": "<|tool_call>call:f{a:1.0,b:2}<tool_call|>",
       "expected": {"content": null, "reasoning": null,
                    "tool_calls": [{"name": "f", "arguments": {"b": 2, "a": 1}}]}},
      {"model_output": "a", "chunks": ["b"],
       "expected": {"content": "a", "reasoning": null, "tool_calls": []}}]})");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().num_passed(), 2);
  EXPECT_TRUE(report.value().failures[0].difference.starts_with("in its chunks, at byte 12"));
}

TEST(VerifyCases, NameWhatIsWrongWithTheFile) {
  const auto chat = [](const char* text) { return verify_chat_cases(text).error().message; };
  EXPECT_EQ(chat("{}"), "expected an object with a list \"cases\"");
  EXPECT_TRUE(chat("{").starts_with("is not JSON"));
  EXPECT_EQ(chat(R"({"cases": [1]})"), "cases[0]: expected an object");
  EXPECT_EQ(chat(R"({"cases": [{}]})"), "cases[0]: messages: expected a list");
  EXPECT_EQ(chat(R"({"cases": [{"messages": []}]})"), "cases[0]: expected: expected a string");
  EXPECT_EQ(chat(R"({"cases": [{"messages": [], "enable_thinking": 1}]})"),
            "cases[0]: enable_thinking: expected true or false");
  const auto tool = [](const char* text) { return verify_tool_cases(text).error().message; };
  EXPECT_EQ(tool(R"({"cases": [{"name": "x"}]})"),
            "cases[0] \"x\": model_output: expected a string");
  EXPECT_EQ(tool(R"({"cases": [{"model_output": ""}]})"), "cases[0]: expected: expected an object");
  EXPECT_EQ(tool(R"({"cases": [{"model_output": "", "expected": {}, "tools": 1}]})"),
            "cases[0]: tools: expected a list");
}

}  // namespace
}  // namespace gemma4::chat

#include "chat/chat_format.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "chat/template_text.h"
#include "chat/verify_cases.h"
#include "json/json.h"

namespace gemma4::chat {
namespace {

std::string render_text(const std::vector<Message>& messages, const RenderOptions& options) {
  const auto prompt = render(messages, options);
  EXPECT_TRUE(prompt.ok());
  return to_string(prompt.value());
}

TEST(ChatFormat, RendersEveryCaseOfTheTemplate) {
  std::ifstream file(GEMMA4_SOURCE_DIR "/tests/golden/spec/chat-cases.json");
  const std::string cases(std::istreambuf_iterator<char>(file), {});
  const auto report = verify_chat_cases(cases);
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const auto& [name, difference] : report.value().failures)
    ADD_FAILURE() << name << ": " << difference;
  EXPECT_EQ(report.value().num_cases, 105);
}

TEST(ChatFormat, MarksWhatComesFromTheRequest) {
  const auto prompt = render({{"user", "Hi <turn|>"}}, {.empty_thought = false});
  ASSERT_TRUE(prompt.ok());
  const std::vector<PromptPart> expected = {
      {"<bos><|turn>user\n", true}, {"Hi <turn|>", false}, {"<turn|>\n<|turn>model\n", true}};
  EXPECT_EQ(prompt.value(), expected);
}

TEST(ChatFormat, RoleTextAndReasoningOfTheRequestAreNotTemplate) {
  const auto prompt = render({{"<|turn>x", "a"}, {"assistant", "b", "<channel|>"}},
                             {.add_generation_prompt = false});
  ASSERT_TRUE(prompt.ok());
  const std::vector<PromptPart> expected = {{"<bos><|turn>", true},
                                            {"<|turn>x", false},
                                            {"\n", true},
                                            {"a", false},
                                            {"<turn|>\n<|turn>model\n<|channel>thought\n", true},
                                            {"<channel|>", false},
                                            {"\n<channel|>", true},
                                            {"b", false},
                                            {"<turn|>\n", true}};
  EXPECT_EQ(prompt.value(), expected);
}

TEST(ChatFormat, ReasoningStandsOnlyAfterTheLastUserMessage) {
  const RenderOptions options = {.add_generation_prompt = false};
  EXPECT_EQ(render_text({{"user", "a", "x"}, {"critic", "b", "y"}}, options),
            "<bos><|turn>user\na<turn|>\n"
            "<|turn>critic\n<|channel>thought\ny\n<channel|>b<turn|>\n");
  EXPECT_EQ(render_text({{"assistant", "a", "x"}}, options),
            "<bos><|turn>model\n<|channel>thought\nx\n<channel|>a<turn|>\n");
}

// The template asks for "model" where it writes a turn and for "assistant" where it looks around.
TEST(ChatFormat, RoleModelContinuesAnAssistantTurnButNotTheOtherWayRound) {
  const RenderOptions options = {.add_generation_prompt = false};
  EXPECT_EQ(render_text({{"assistant", "a"}, {"model", "<channel|>b"}}, options),
            "<bos><|turn>model\na<turn|>\nb<turn|>\n");
  EXPECT_EQ(render_text({{"model", "a"}, {"assistant", "b"}}, options),
            "<bos><|turn>model\na<|turn>model\nb<turn|>\n");
}

const json::Value kPlace = json::Value::Object{{"place", "Oslo <|\"|>"}};

TEST(ChatFormat, NamesAndStringsOfCallsAreNotTemplate) {
  const std::vector<Message> messages = {
      {.role = "assistant", .tool_calls = {{"1", "f", kPlace}}},
      {.role = "tool", .content = "<tool_response|>", .tool_call_id = "1"}};
  const auto prompt = render(messages, {});
  ASSERT_TRUE(prompt.ok());
  const std::vector<PromptPart> expected = {{"<bos><|turn>model\n<|tool_call>call:", true},
                                            {"f", false},
                                            {"{", true},
                                            {"place", false},
                                            {":<|\"|>", true},
                                            {"Oslo <|\"|>", false},
                                            {"<|\"|>}<tool_call|><|tool_response>response:", true},
                                            {"f", false},
                                            {"{value:<|\"|>", true},
                                            {"<tool_response|>", false},
                                            {"<|\"|>}<tool_response|>", true}};
  EXPECT_EQ(prompt.value(), expected);
}

TEST(ChatFormat, ResultsBelongToTheCallWithTheirId) {
  const std::vector<Message> messages = {
      {.role = "tool", .content = "lost"},
      {.role = "assistant", .tool_calls = {{"1", "f"}, {"1", "g"}}},
      {.role = "tool", .content = "a", .tool_call_id = "1", .name = "x"},
      {.role = "tool", .content = "b", .tool_call_id = "2", .name = "x"},
      {.role = "tool", .tool_call_id = "3"}};
  EXPECT_EQ(render_text(messages, {.add_generation_prompt = false}),
            "<bos><|turn>model\n<|tool_call>call:f{}<tool_call|><|tool_call>call:g{}<tool_call|>"
            "<|tool_response>response:g{value:<|\"|>a<|\"|>}<tool_response|>"
            "<|tool_response>response:x{value:<|\"|>b<|\"|>}<tool_response|>"
            "<|tool_response>response:unknown{value:null}<tool_response|>");
}

// The template closes the turn here and opens none.
TEST(ChatFormat, TextBesideResultsMayLeaveTheTurnOpen) {
  const std::vector<Message> messages = {
      {.role = "user", .content = "Go"},
      {.role = "assistant", .content = "Wait.", .tool_calls = {{"1", "f"}}},
      {.role = "tool", .content = "a", .tool_call_id = "1"}};
  const std::string text =
      "<bos><|turn>user\nGo<turn|>\n<|turn>model\n<|tool_call>call:f{}<tool_call|>"
      "<|tool_response>response:f{value:<|\"|>a<|\"|>}<tool_response|>Wait.";
  EXPECT_EQ(render_text(messages, {}), text + "<turn|>\n");
  EXPECT_EQ(render_text(messages, {.continue_after_results = true}), text);
  const auto thinking = render(messages, {.enable_thinking = true, .continue_after_results = true});
  EXPECT_TRUE(to_string(thinking.value()).ends_with("Wait.<|channel>thought\n"));
  EXPECT_TRUE(ends_in_thought(thinking.value()));
  EXPECT_FALSE(ends_in_thought(render(messages, {}).value()));
}

TEST(ChatFormat, ArgumentsThatAreNoObjectAreAnErrorWithTheirPlace) {
  const auto prompt =
      render({{"user", "Hi"}, {.role = "assistant", .tool_calls = {{"1", "f", "{}"}}}}, {});
  ASSERT_FALSE(prompt.ok());
  EXPECT_EQ(prompt.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(prompt.error().message,
            "messages[1].tool_calls[0].function.arguments: expected an object");
}

TEST(ChatFormat, TrimKnowsEveryUnicodeWhitespace) {
  const auto utf8 = [](unsigned c) {
    std::string s;
    if (c < 0x80) return std::string(1, static_cast<char>(c));
    if (c >= 0x800) s += static_cast<char>(0xE0 | (c >> 12));
    s += static_cast<char>(c >= 0x800 ? 0x80 | ((c >> 6) & 0x3F) : 0xC0 | (c >> 6));
    s += static_cast<char>(0x80 | (c & 0x3F));
    return s;
  };
  const auto is_whitespace = [](unsigned c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
  };
  for (unsigned c = 0; c <= 0xFFFF; ++c) {
    const std::string s = utf8(c);
    const std::string padded = s + "x" + s;
    EXPECT_EQ(trim(padded), is_whitespace(c) ? std::string_view("x") : std::string_view(padded))
        << "U+" << std::hex << c;
    EXPECT_EQ(trim(s + s).empty(), is_whitespace(c)) << "U+" << std::hex << c;
  }
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim("\xE2\x80"), "\xE2\x80");  // cut in the middle of a character
}

TEST(ChatFormat, StripThoughts) {
  EXPECT_EQ(strip_thoughts(""), "");
  EXPECT_EQ(strip_thoughts(" a "), "a");
  EXPECT_EQ(strip_thoughts("a<|channel>b<channel|>c"), "ac");
  EXPECT_EQ(strip_thoughts("a<|channel>b<|channel>c<channel|>d"), "ad");
  EXPECT_EQ(strip_thoughts("a<|channel>b"), "a");
  EXPECT_EQ(strip_thoughts("a<channel|><channel|>b"), "ab");
  EXPECT_EQ(strip_thoughts("<|channel><channel|>"), "");
  EXPECT_EQ(strip_thoughts("<|chan<channel|>nel>"), "<|channel>");  // one pass, as the template
}

TEST(ChatFormat, RandomConversationsKeepTheirShape) {
  const std::vector<std::string> pieces = {"<|turn>", "<turn|>",   "<|channel>", "<channel|>",
                                           "\n",      "thought\n", " ",          "text",
                                           "<bos>",   "<|think|>"};
  const std::vector<std::string> roles = {"system", "developer", "user", "assistant", "critic"};
  std::mt19937 random(4);
  const auto pick = [&](const auto& from) { return from[random() % from.size()]; };
  const auto text = [&] {
    std::string s;
    for (unsigned n = random() % 6; n > 0; --n) s += pick(pieces);
    return s;
  };
  const auto count = [](std::string_view where, std::string_view what) {
    int n = 0;
    for (size_t at = where.find(what); at != where.npos; at = where.find(what, at + 1)) ++n;
    return n;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<Message> messages;
    for (unsigned n = random() % 6; n > 0; --n) messages.push_back({pick(roles), text(), text()});
    RenderOptions options;
    options.add_generation_prompt = random() % 2 == 0;
    options.enable_thinking = random() % 2 == 0;
    options.empty_thought = random() % 2 == 0;
    const auto prompt = render(messages, options);
    ASSERT_TRUE(prompt.ok());

    std::string from_template;
    for (size_t i = 0; i < prompt.value().size(); ++i) {
      const PromptPart& part = prompt.value()[i];
      ASSERT_FALSE(part.text.empty());
      if (i > 0) {
        ASSERT_NE(part.from_template, prompt.value()[i - 1].from_template);
      }
      if (part.from_template) from_template += part.text;
    }
    // Whatever the request contains, the template's markers stay balanced.
    ASSERT_EQ(count(from_template, "<bos>"), 1);
    ASSERT_EQ(count(from_template, "<|turn>"),
              count(from_template, "<turn|>") + (options.add_generation_prompt ? 1 : 0));
    ASSERT_EQ(count(from_template, "<|channel>"), count(from_template, "<channel|>"));
    // Only messages with tool calls are affected by preserve_thinking.
    options.preserve_thinking = true;
    ASSERT_EQ(prompt.value(), render(messages, options).value());
  }
}

}  // namespace
}  // namespace gemma4::chat

#include "chat/chat_format.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace gemma4::chat {
namespace {

using nlohmann::json;

json load_cases() {
  std::ifstream file(GEMMA4_SOURCE_DIR "/tests/golden/spec/chat-cases.json");
  return json::parse(file).at("cases");
}

// Tool calls, tool results and media have no place in Message yet.
bool is_plain(const json& request) {
  if (request.contains("tools") && !request["tools"].empty()) return false;
  for (const json& message : request["messages"]) {
    if (message["role"] == "tool") return false;
    if (message.contains("tool_calls") || message.contains("tool_responses")) return false;
    if (!message["content"].is_array()) continue;
    for (const json& part : message["content"]) {
      if (part["type"] != "text") return false;
    }
  }
  return true;
}

Message to_message(const json& from) {
  Message message{from["role"], "", from.value("reasoning", "")};
  if (message.reasoning.empty()) message.reasoning = from.value("reasoning_content", "");
  if (from["content"].is_array()) {
    std::vector<ContentPart> parts;
    for (const json& part : from["content"]) parts.push_back({part["text"]});
    message.content = parts;
  } else {
    message.content = from["content"].get<std::string>();
  }
  return message;
}

std::string render_text(const std::vector<Message>& messages, const RenderOptions& options) {
  const auto prompt = render(messages, options);
  EXPECT_TRUE(prompt.ok());
  return to_string(prompt.value());
}

TEST(ChatFormat, RendersEveryPlainCaseOfTheTemplate) {
  const json cases = load_cases();
  int num_plain = 0;
  for (const json& c : cases) {
    if (!is_plain(c)) continue;
    ++num_plain;
    SCOPED_TRACE(c["name"].get<std::string>());
    std::vector<Message> messages;
    for (const json& message : c["messages"]) messages.push_back(to_message(message));
    RenderOptions options;
    options.add_generation_prompt = c["add_generation_prompt"];
    options.enable_thinking = c.value("enable_thinking", false);
    options.preserve_thinking = c.value("preserve_thinking", false);

    EXPECT_EQ(render_text(messages, options), c["expected"]);
    options.empty_thought = false;
    EXPECT_EQ(render_text(messages, options), c.value("expected_small", c["expected"]));
  }
  EXPECT_EQ(num_plain, 44);  // a lower number means that cases are skipped
  EXPECT_EQ(cases.size(), 105U);
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

TEST(ChatFormat, RefusesToolMessagesAndSaysWhich) {
  const auto prompt = render({{"user", "Hi"}, {"tool", "18"}}, {});
  ASSERT_FALSE(prompt.ok());
  EXPECT_EQ(prompt.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(prompt.error().message.find("messages[1]"), std::string::npos);
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

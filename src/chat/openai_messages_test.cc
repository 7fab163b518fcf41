#include "chat/openai_messages.h"

#include <gtest/gtest.h>

#include <string>

namespace gemma4::chat {
namespace {

std::string error_of(const std::string& message, Dialect dialect = Dialect::kOpenAi) {
  const auto parsed = parse_messages(json::parse("[" + message + "]").value(), dialect);
  return parsed.ok() ? "none" : parsed.error().message;
}

Message parse_one(const std::string& message, Dialect dialect = Dialect::kOpenAi) {
  const auto parsed = parse_messages(json::parse("[" + message + "]").value(), dialect);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.value().at(0);
}

TEST(OpenAiMessages, PicturesSayHowManySoftTokensTheyMayHave) {
  const auto tokens = [](const std::string& detail, const std::string& beside = "") {
    const Message message =
        parse_one(R"({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u")" +
                  detail + "}" + beside + "}]}");
    return std::get<std::vector<ContentPart>>(message.content).at(0).soft_tokens;
  };
  EXPECT_EQ(tokens(""), std::nullopt);
  EXPECT_EQ(tokens(R"(, "detail": "auto")"), std::nullopt);
  EXPECT_EQ(tokens(R"(, "detail": "low")"), 70);
  EXPECT_EQ(tokens(R"(, "detail": "high")"), 1120);
  EXPECT_EQ(tokens(R"(, "detail": "low")", R"(, "image_tokens": 560)"), 560);
  EXPECT_EQ(error_of(R"({"role": "user", "content": [{"type": "image_url", "image_url":
      {"url": "u", "detail": "best"}}]})"),
            "messages[0].content[0].image_url.detail: must be auto, low or high");
  EXPECT_EQ(error_of(R"({"role": "user", "content": [{"type": "image", "url": "u",
      "image_tokens": 100}]})"),
            "messages[0].content[0].image_tokens: must be 70, 140, 280, 560 or 1120");
}

TEST(OpenAiMessages, Parts) {
  const Message message = parse_one(R"({"role": "user", "content": [
      {"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"},
      {"type": "image_url", "image_url": {"url": "http://x"}},
      {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
      {"type": "video_url", "video_url": {"url": "y"}}, {"type": "image", "url": "z"},
      {"type": "audio"}]})");
  using Type = ContentPart::Type;
  const std::vector<ContentPart> expected = {{"a"},
                                             {"b"},
                                             {"", Type::kImage, "http://x"},
                                             {"", Type::kAudio, "data:audio/wav;base64,AA=="},
                                             {"", Type::kVideo, "y"},
                                             {"", Type::kImage, "z"},
                                             {"", Type::kAudio, ""}};
  EXPECT_EQ(std::get<std::vector<ContentPart>>(message.content), expected);
}

TEST(OpenAiMessages, CallsAndTheirResults) {
  const Message call = parse_one(R"({"role": "assistant", "reasoning": "", "reasoning_content": "r",
      "tool_calls": [{"id": "1", "type": "function",
                      "function": {"name": "f", "arguments": "{\"x\": 1.0}"}},
                     {"id": "2", "function": {"name": "g", "arguments": {"y": 2}}},
                     {"id": "3", "function": {"name": "h", "arguments": ""}},
                     {"id": "4", "function": {"name": "i", "arguments": "null"}}]})");
  EXPECT_EQ(call.reasoning, "r");
  EXPECT_EQ(call.content, Content());
  ASSERT_EQ(call.tool_calls.size(), 4U);
  EXPECT_EQ(json::dump(call.tool_calls[0].arguments), R"({"x":1.0})");
  EXPECT_EQ(json::dump(call.tool_calls[1].arguments), R"({"y":2})");
  EXPECT_TRUE(call.tool_calls[2].arguments.is_null());
  EXPECT_TRUE(call.tool_calls[3].arguments.is_null());
  const Message result = parse_one(R"({"role": "tool", "tool_call_id": "1", "content": "18"})");
  EXPECT_EQ(result.tool_call_id, "1");
  EXPECT_EQ(parse_one(R"({"role": "function", "name": "f", "content": "18"})").role, "tool");
}

TEST(OpenAiMessages, ErrorsNameTheField) {
  EXPECT_EQ(parse_messages(json::Value(), Dialect::kOpenAi).error().message,
            "messages: expected a list");
  EXPECT_EQ(error_of("1"), "messages[0]: expected an object with a role");
  EXPECT_EQ(error_of("{}"), "messages[0].role: expected a string");
  EXPECT_EQ(error_of(R"({"role": "user"})"),
            "messages[0].content: expected a string or a list of parts");
  EXPECT_EQ(error_of(R"({"role": "user", "content": {}})"),
            "messages[0].content: expected a string or a list of parts");
  EXPECT_EQ(error_of(R"({"role": "user", "content": ["a"]})"),
            "messages[0].content[0]: expected an object with a type");
  EXPECT_EQ(error_of(R"({"role": "user", "content": [{"type": "text"}]})"),
            "messages[0].content[0].text: expected a string");
  EXPECT_EQ(error_of(R"({"role": "user", "content": [{"type": "pdf"}]})"),
            "messages[0].content[0].type: unknown type of content part \"pdf\"; known are text, "
            "image_url, input_audio, video_url and file");
  EXPECT_EQ(error_of(R"({"role": "user", "content": [{"type": "file"}]})"),
            "messages[0].content[0].file: expected an object");
  EXPECT_EQ(error_of(R"({"role": "user", "content": [{"type": "file", "file": {}}]})"),
            "messages[0].content[0].file.file_data: expected a string");
  EXPECT_EQ(error_of(R"({"role": "user", "content": [{"type": "image_url"}]})"),
            "messages[0].content[0].image_url: expected an object");
  EXPECT_EQ(error_of(R"({"role": "tool", "content": "a"})"),
            "messages[0].tool_call_id: expected a string");
  EXPECT_EQ(error_of(R"({"role": "assistant", "reasoning": 1})"),
            "messages[0].reasoning: expected a string");
  EXPECT_EQ(error_of(R"({"role": "assistant", "tool_calls": 1})"),
            "messages[0].tool_calls: expected a list");
  EXPECT_EQ(error_of(R"({"role": "assistant", "tool_calls": [1]})"),
            "messages[0].tool_calls[0].function: expected an object");
  const auto arguments_error = [](const std::string& arguments, Dialect dialect) {
    return error_of(R"({"role": "assistant", "tool_calls": [{"function": {"name": "f",
                        "arguments": )" +
                        arguments + "}}]}",
                    dialect);
  };
  const std::string field = "messages[0].tool_calls[0].function.arguments: ";
  EXPECT_EQ(arguments_error(R"("[1]")", Dialect::kOpenAi),
            field + "expected the text of a JSON object");
  EXPECT_TRUE(arguments_error(R"("{")", Dialect::kOpenAi).starts_with(field + "is not JSON"));
  EXPECT_EQ(arguments_error("1", Dialect::kOpenAi), field + "expected an object");
  EXPECT_EQ(arguments_error(R"("{}")", Dialect::kTemplate), field + "expected an object");
}

TEST(OpenAiMessages, TheTemplatePassesOverWhatItDoesNotKnow) {
  const Message message = parse_one(
      R"({"role": "user", "content": [{"type": "file", "file": {}}]})", Dialect::kTemplate);
  const ContentPart& part = std::get<std::vector<ContentPart>>(message.content).at(0);
  EXPECT_EQ(part.type, ContentPart::Type::kOther);
  EXPECT_EQ(parse_one(R"({"role": "user"})", Dialect::kTemplate).content, Content());
}

TEST(OpenAiMessages, Tools) {
  const auto parse = [](const char* text) {
    const auto parsed = parse_tools(json::parse(text).value(), Dialect::kOpenAi);
    return parsed.ok() ? json::dump(parsed.value()) : parsed.error().message;
  };
  EXPECT_EQ(parse("null"), "[]");
  EXPECT_EQ(parse(R"([{"type": "function", "function": {"name": "f", "description": null,
                      "parameters": {"properties": {}}}}])"),
            R"([{"type":"function","function":{"name":"f","parameters":{"properties":{},)"
            R"("type":"object"}}}])");
  EXPECT_EQ(parse("{}"), "tools: expected a list");
  EXPECT_EQ(parse(R"([{"type": "web"}])"),
            "tools[0].type: expected \"function\", the only type there is");
  EXPECT_EQ(parse(R"([{"type": "function"}])"), "tools[0].function: expected an object");
  EXPECT_EQ(parse(R"([{"type": "function", "function": {"name": "a b"}}])"),
            "tools[0].function.name: expected 1 to 64 letters, digits, underscores, hyphens and "
            "dots, found \"a b\"");
  EXPECT_EQ(parse(R"([{"type": "function", "function": {"name": "f"}},
                      {"type": "function", "function": {"name": "g"}},
                      {"type": "function", "function": {"name": "f"}}])"),
            "tools[2].function.name: tools[0] is called \"f\" already");
}

TEST(OpenAiMessages, JsonAndBack) {
  for (
      const char* text :
      {R"({"role":"user","content":"a"})", R"({"role":"assistant","content":null})",
       R"({"role":"user","content":[{"type":"text","text":"a"},)"
       R"({"type":"image_url","image_url":{"url":"u"}},)"
       R"({"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},)"
       R"({"type":"audio","url":"u"},{"type":"video_url","video_url":{"url":"u"}}]})",
       R"({"role":"assistant","content":"","reasoning_content":"r","tool_calls":[{"id":"1",)"
       R"("type":"function","function":{"name":"f","arguments":"{\"x\":1.0}"}}]})",
       R"({"role":"tool","content":"a","tool_call_id":"1","name":"f"})",
       R"({"role":"assistant","content":null,"tool_responses":[{"name":"f","response":{"t":1}}]})"})
    EXPECT_EQ(json::dump(to_json(parse_one(text))), text);
}

}  // namespace
}  // namespace gemma4::chat

// /api/chat and /api/generate through the service: lines of JSON, calls, pictures' place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using ::testing::HasSubstr;

std::vector<json::Value> lines_of(const std::string& text) {
  std::vector<json::Value> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    auto value = json::parse(line);
    EXPECT_TRUE(value.ok()) << line;
    lines.push_back(value.ok() ? value.value() : json::Value());
  }
  return lines;
}

class Ollama : public ServiceTest {};

TEST_F(Ollama, StreamsLinesByDefault) {
  script->answers = {{"<|channel>thought\nHm.\n<channel|>Hello there!"}};
  const auto exchange = post(
      "/api/chat", R"({"model":"demo","think":true,"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(exchange->response.content_type, "application/x-ndjson");
  const auto lines = lines_of(exchange->response.body);
  ASSERT_GE(lines.size(), 3u);
  std::string content, thinking;
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    EXPECT_EQ(text_at(lines[i], "done"), "false");
    content += text_at(lines[i], "message.content");
    if (const json::Value message = at(lines[i], "message"); message.find("thinking") != nullptr)
      thinking += text_at(message, "thinking");
  }
  EXPECT_EQ(content, "Hello there!");
  EXPECT_EQ(thinking, "Hm.");
  EXPECT_EQ(text_at(lines.back(), "done"), "true");
  EXPECT_EQ(text_at(lines.back(), "done_reason"), "stop");
  EXPECT_EQ(text_at(lines.back(), "prompt_eval_count"),
            str_cat(script->requests.at(0).prompt.size()));
  EXPECT_EQ(exchange->num_endings, 1);
}

TEST_F(Ollama, OptionsReachTheEngine) {
  answer("/api/chat", R"({"stream":false,"messages":[{"role":"user","content":"hi"}],"options":
      {"temperature":0,"num_predict":3,"seed":4,"top_k":7,"repeat_penalty":1.25,"num_ctx":512}})");
  const engine::Request& request = script->requests.at(0);
  EXPECT_EQ(request.sampling.temperature, 0);
  EXPECT_EQ(request.max_tokens, 3);
  EXPECT_EQ(request.sampling.seed, 4u);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.25f);
  EXPECT_THAT(text_at(answer("/api/chat", R"({"messages":[{"role":"user","content":"hi"}],"options":
      {"num_ctx":513}})",
                             400),
                      "error"),
              HasSubstr("context of 512 tokens"));
}

TEST_F(Ollama, CallsHaveArgumentsAsObjectsAndResultsFindThem) {
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f","parameters":
      {"type":"object","properties":{"n":{"type":"integer"}}}}}])";
  script->answers = {{"<|tool_call>call:f{n:3}<tool_call|>"}};
  const std::string ask = str_cat(tools, R"(,"messages":[{"role":"user","content":"q"}])");
  const json::Value whole = answer("/api/chat", str_cat(R"({"stream":false,)", ask, "}"));
  EXPECT_EQ(text_at(whole, "message.tool_calls.0.function.arguments"), R"({"n":3})");
  const auto lines = lines_of(post("/api/chat", str_cat("{", ask, "}"))->response.body);
  EXPECT_EQ(text_at(lines.at(0), "message.tool_calls.0.function.name"), "f");

  answer("/api/chat", str_cat(R"({"stream":false,)", tools, R"(,"messages":[
      {"role":"user","content":"q"},
      {"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"n":3}}},
       {"function":{"name":"g","arguments":{}}}]},
      {"role":"tool","tool_name":"g","content":"of g"},{"role":"tool","tool_name":"f","content":"of f"}]})"));
  EXPECT_THAT(demo_model().tokenizer->decode(script->requests.back().prompt),
              testing::EndsWith("response:g{value:<|\"|>of g<|\"|>}<tool_response|><|tool_response>"
                                "response:f{value:<|\"|>of f<|\"|>}<tool_response|>"));
}

TEST_F(Ollama, GenerateAnswersChatsAndContinuesRawText) {
  script->answers = {{"ok"}};
  EXPECT_EQ(
      text_at(answer("/api/generate", R"({"stream":false,"prompt":"p","system":"s"})"), "response"),
      "ok");
  EXPECT_THAT(demo_model().tokenizer->decode(script->requests.at(0).prompt),
              HasSubstr("<|turn>system\ns<turn|>\n<|turn>user\np<turn|>"));
  answer("/api/generate", R"({"stream":false,"prompt":"p","raw":true})");
  EXPECT_EQ(demo_model().tokenizer->decode(script->requests.at(1).prompt), "<bos>p");
  answer("/api/generate", R"({"prompt":"p","context":[1,2]})", 400);
  answer("/api/generate", R"({"prompt":"p","suffix":"x"})", 400);
}

TEST_F(Ollama, FormatsConstrain) {
  for (const char* format : {R"("json")", R"({"type":"object"})"}) {
    answer("/api/chat",
           str_cat(R"({"stream":false,"messages":[{"role":"user","content":"x"}],"format":)",
                   format, "}"));
    EXPECT_NE(script->requests.back().constraint, nullptr);
  }
  answer("/api/chat", R"({"messages":[{"role":"user","content":"x"}],"format":"xml"})", 400);
}

}  // namespace
}  // namespace gemma4::serve

// /v1/messages through the service: the order of its stream, blocks in and out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kMessages = "/v1/messages";
constexpr const char* kTools =
    R"("tools":[{"name":"get_weather","description":"d","input_schema":{"type":"object",
    "properties":{"city":{"type":"string"}},"required":["city"]}}])";

std::string body(const std::string& members) {
  return str_cat(
      R"({"model":"demo","max_tokens":64,"messages":[{"role":"user","content":"hello"}])",
      members.empty() ? "" : ",", members, "}");
}

class Anthropic : public ServiceTest {};

TEST_F(Anthropic, AnswersWithBlocks) {
  script->answers = {
      {"<|channel>thought\nHm.\n<channel|>Look.<|tool_call>call:get_weather{city:<|\"|>"
       "Oslo<|\"|>}<tool_call|>"}};
  const json::Value answered = answer(
      kMessages,
      body(str_cat(R"("system":"Be brief.","thinking":{"type":"enabled","budget_tokens":50},)",
                   kTools)));
  EXPECT_EQ(text_at(answered, "type"), "message");
  EXPECT_THAT(text_at(answered, "id"), testing::StartsWith("msg_"));
  EXPECT_EQ(text_at(answered, "content.0.type"), "thinking");
  EXPECT_EQ(text_at(answered, "content.0.thinking"), "Hm.");
  EXPECT_EQ(text_at(answered, "content.1.text"), "Look.");
  EXPECT_EQ(text_at(answered, "content.2.type"), "tool_use");
  EXPECT_EQ(text_at(answered, "content.2.input"), R"({"city":"Oslo"})");
  EXPECT_EQ(text_at(answered, "stop_reason"), "tool_use");
  EXPECT_EQ(text_at(answered, "stop_sequence"), "null");
  EXPECT_THAT(demo_model().tokenizer->decode(script->requests.at(0).prompt),
              HasSubstr("<|think|>\nBe brief.<|tool>declaration:get_weather"));
}

TEST_F(Anthropic, StreamsInTheProtocolsOrder) {
  script->answers = {
      {"<|channel>thought\nHm.\n<channel|>Look.<|tool_call>call:get_weather{city:<|\"|>"
       "Oslo<|\"|>}<tool_call|><|tool_call>call:get_weather{city:<|\"|>Rome<|\"|>}<tool_"
       "call|>"}};
  const auto exchange = post(
      kMessages,
      body(str_cat(R"("stream":true,"thinking":{"type":"enabled","budget_tokens":50},)", kTools)));
  std::vector<std::string> order;
  std::string inputs[4];
  for (const SseEvent& event : sse_events(exchange->response.body)) {
    EXPECT_EQ(event.name, text_at(event.data, "type"));
    if (order.empty() || order.back() != event.name || event.name != "content_block_delta")
      order.push_back(event.name);
    if (event.name == "content_block_delta") {
      const json::Value delta = at(event.data, "delta");
      const auto index = static_cast<size_t>(*at(event.data, "index").as_number().as_int64());
      ASSERT_LT(index, 4u);
      for (const char* name : {"thinking", "text", "partial_json"})
        if (const json::Value* text = delta.find(name)) inputs[index] += text->as_string();
    }
  }
  const std::string start = "content_block_start", delta = "content_block_delta",
                    stop = "content_block_stop";
  EXPECT_THAT(order,
              ElementsAre("message_start", "ping", start, delta, stop, start, delta, stop, start,
                          delta, stop, start, delta, stop, "message_delta", "message_stop"));
  EXPECT_THAT(inputs, ElementsAre("Hm.", "Look.", R"({"city":"Oslo"})", R"({"city":"Rome"})"));
  EXPECT_THAT(exchange->response.body, HasSubstr(R"("stop_reason":"tool_use")"));
  EXPECT_EQ(exchange->num_endings, 1);
}

TEST_F(Anthropic, NamesTheStopSequence) {
  script->answers = {{"one two three", engine::FinishReason::kLength}};
  const json::Value answered = answer(kMessages, body(R"("stop_sequences":["x","two"])"));
  EXPECT_EQ(text_at(answered, "stop_reason"), "stop_sequence");
  EXPECT_EQ(text_at(answered, "stop_sequence"), "two");
  EXPECT_EQ(text_at(answered, "content.0.text"), "one ");
}

TEST_F(Anthropic, ResultsOfToolsAndBegunAnswersReachThePrompt) {
  answer(kMessages, str_cat(R"({"max_tokens":5,)", kTools, R"(,"messages":[
      {"role":"user","content":"q"},
      {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"get_weather","input":{"city":"Oslo"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"18 C"},{"type":"text","text":"And?"}]},
      {"role":"assistant","content":"It is"}]})"));
  EXPECT_THAT(demo_model().tokenizer->decode(script->requests.at(0).prompt),
              testing::EndsWith(
                  "<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|>}<tool_call|><|tool_response>"
                  "response:get_weather{value:<|\"|>18 C<|\"|>}<tool_response|><turn|>\n"
                  "<|turn>user\nAnd?<turn|>\n<|turn>model\nIt is"));
}

TEST_F(Anthropic, CountsTokens) {
  const json::Value counted =
      answer("/v1/messages/count_tokens",
             R"({"model":"demo","messages":[{"role":"user","content":"hello"}]})");
  answer(kMessages, body(""));
  EXPECT_EQ(text_at(counted, "input_tokens"), str_cat(script->requests.at(0).prompt.size()));
}

TEST_F(Anthropic, RefusesByName) {
  for (const auto& [members, message] : std::vector<std::pair<std::string, std::string>>{
           {R"("tools":[{"type":"web_search_20250305","name":"web_search"}])", "tools[0].type"},
           {R"("tool_choice":{"type":"any"})", "tool_choice.type"},
           {R"("top_k":-1)", "top_k"},
           {R"("mcp_servers":[{"url":"x"}])", "mcp_servers"},
           {R"("temperature":1.5)", "temperature: must be from 0 to 1"}})
    EXPECT_THAT(text_at(answer(kMessages, body(members), 400), "error.message"),
                HasSubstr(message));
  EXPECT_THAT(text_at(answer(kMessages, R"({"messages":[{"role":"user","content":"x"}]})", 400),
                      "error.message"),
              HasSubstr("max_tokens"));
}

}  // namespace
}  // namespace gemma4::serve

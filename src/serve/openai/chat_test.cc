// /v1/chat/completions and /v1/completions through the service: what is asked of the engine, and
// what is made of its tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kHello = R"("messages":[{"role":"user","content":"hello"}])";
constexpr const char* kTools =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object",
    "properties":{"city":{"type":"string"}},"required":["city"]}}}])";
constexpr const char* kCall =
    "Look.<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|>}<tool_call|>";

std::string body(const std::string& members) { return str_cat("{", kHello, ",", members, "}"); }

class OpenAiChat : public ServiceTest {};

TEST_F(OpenAiChat, AnswersWithAMessage) {
  script->answers = {{"Hello there!"}};
  const json::Value answered = answer(kChat, body(R"("model":"demo")"));
  EXPECT_EQ(text_at(answered, "object"), "chat.completion");
  EXPECT_EQ(text_at(answered, "model"), "demo");
  EXPECT_THAT(text_at(answered, "id"), testing::StartsWith("chatcmpl-"));
  EXPECT_EQ(text_at(answered, "choices.0.message.role"), "assistant");
  EXPECT_EQ(text_at(answered, "choices.0.message.content"), "Hello there!");
  EXPECT_EQ(text_at(answered, "choices.0.finish_reason"), "stop");
  EXPECT_EQ(text_at(answered, "choices.0.logprobs"), "null");
  const engine::Request& request = script->requests.at(0);
  EXPECT_EQ(demo_model().tokenizer->decode(request.prompt),
            "<bos><|turn>user\nhello<turn|>\n<|turn>model\n");
  EXPECT_EQ(text_at(answered, "usage.prompt_tokens"), str_cat(request.prompt.size()));
  const size_t ids = demo_model().tokenizer->encode("Hello there!").size();
  EXPECT_EQ(text_at(answered, "usage.completion_tokens"), str_cat(ids));
}

TEST_F(OpenAiChat, ParametersReachTheEngine) {
  answer(kChat, body(R"("temperature":0.25,"top_p":0.5,"seed":7,"presence_penalty":1,
      "frequency_penalty":-1,"logit_bias":{"12":-100},"max_completion_tokens":3,"top_k":5,
      "min_p":0.125,"repetition_penalty":1.5)"));
  const engine::Request& request = script->requests.at(0);
  EXPECT_EQ(request.max_tokens, 3);
  EXPECT_EQ(request.sampling.temperature, 0.25f);
  EXPECT_EQ(request.sampling.top_p, 0.5f);
  EXPECT_EQ(request.sampling.seed, 7u);
  EXPECT_EQ(request.sampling.presence_penalty, 1);
  EXPECT_EQ(request.sampling.frequency_penalty, -1);
  EXPECT_EQ(request.sampling.top_k, 5);
  EXPECT_EQ(request.sampling.min_p, 0.125f);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.5f);
  EXPECT_THAT(request.sampling.logit_bias, ElementsAre(testing::Pair(12, -100.0f)));
}

TEST_F(OpenAiChat, StreamsDeltasAndEndsOnce) {
  script->answers = {{"Hello there!"}};
  const auto exchange =
      post(kChat, body(R"("stream":true,"stream_options":{"include_usage":true})"));
  EXPECT_EQ(exchange->response.content_type, "text/event-stream; charset=utf-8");
  const auto events = sse_events(exchange->response.body);
  ASSERT_GE(events.size(), 5u);
  EXPECT_EQ(text_at(events[0].data, "choices.0.delta.role"), "assistant");
  std::string content;
  for (size_t i = 1; i + 3 < events.size(); ++i) {
    EXPECT_EQ(text_at(events[i].data, "object"), "chat.completion.chunk");
    EXPECT_EQ(text_at(events[i].data, "id"), text_at(events[0].data, "id"));
    EXPECT_EQ(text_at(events[i].data, "choices.0.finish_reason"), "null");
    content += text_at(events[i].data, "choices.0.delta.content");
  }
  EXPECT_EQ(content, "Hello there!");
  const size_t n = events.size();
  EXPECT_EQ(text_at(events[n - 3].data, "choices.0.finish_reason"), "stop");
  EXPECT_EQ(text_at(events[n - 3].data, "choices.0.delta"), "{}");
  EXPECT_EQ(text_at(events[n - 2].data, "choices"), "[]");
  EXPECT_NE(text_at(events[n - 2].data, "usage.completion_tokens"), "0");
  EXPECT_EQ(events[n - 1].data, json::Value("[DONE]"));
  EXPECT_EQ(exchange->num_endings, 1);
}

TEST_F(OpenAiChat, CallsComeWhole) {
  script->answers = {{kCall}};
  const json::Value answered = answer(kChat, body(kTools));
  EXPECT_EQ(text_at(answered, "choices.0.finish_reason"), "tool_calls");
  EXPECT_EQ(text_at(answered, "choices.0.message.content"), "Look.");
  EXPECT_EQ(text_at(answered, "choices.0.message.tool_calls.0.type"), "function");
  EXPECT_THAT(text_at(answered, "choices.0.message.tool_calls.0.id"),
              testing::MatchesRegex("call_[0-9A-Za-z]+"));
  EXPECT_EQ(text_at(answered, "choices.0.message.tool_calls.0.function.name"), "get_weather");
  EXPECT_EQ(text_at(answered, "choices.0.message.tool_calls.0.function.arguments"),
            R"({"city":"Oslo"})");
  EXPECT_NE(script->requests.at(0).constraint, nullptr);
}

TEST_F(OpenAiChat, CallsAreStreamedAsDeltas) {
  script->answers = {
      {str_cat(kCall, "<|tool_call>call:get_weather{city:<|\"|>Rome<|\"|>}<tool_call|>")}};
  const auto events =
      sse_events(post(kChat, body(str_cat(kTools, R"(,"stream":true)")))->response.body);
  std::vector<std::string> names, ids;
  std::vector<std::string> arguments(2);
  for (const SseEvent& event : events) {
    if (!event.data.is_object()) continue;
    const json::Value delta = at(event.data, "choices.0.delta");
    if (delta.find("tool_calls") == nullptr) continue;
    const json::Value call = at(delta, "tool_calls.0");
    const auto index = static_cast<size_t>(*at(call, "index").as_number().as_int64());
    ASSERT_LT(index, 2u);
    if (call.find("id") != nullptr) {
      ids.push_back(text_at(call, "id"));
      names.push_back(text_at(call, "function.name"));
    }
    arguments[index] += text_at(call, "function.arguments");
  }
  EXPECT_THAT(names, ElementsAre("get_weather", "get_weather"));
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_THAT(arguments, ElementsAre(R"({"city":"Oslo"})", R"({"city":"Rome"})"));
  EXPECT_EQ(text_at(events[events.size() - 2].data, "choices.0.finish_reason"), "tool_calls");
}

TEST_F(OpenAiChat, WithoutToolsOrWithChoiceNoneCallsAreText) {
  script->answers = {{kCall}};
  const json::Value answered = answer(kChat, body(str_cat(kTools, R"(,"tool_choice":"none")")));
  EXPECT_EQ(text_at(answered, "choices.0.finish_reason"), "stop");
  EXPECT_THAT(text_at(answered, "choices.0.message.content"), HasSubstr("get_weather"));
  EXPECT_FALSE(script->requests.at(0).sampling.suppress_tokens.empty());
}

TEST_F(OpenAiChat, ThoughtsAreReasoning) {
  script->answers = {{"<|channel>thought\nHm. <channel|>Yes"}};
  const json::Value answered = answer(kChat, body(R"("reasoning_effort":"low")"));
  EXPECT_EQ(text_at(answered, "choices.0.message.reasoning_content"), "Hm.");
  EXPECT_EQ(text_at(answered, "choices.0.message.content"), "Yes");
  EXPECT_THAT(demo_model().tokenizer->decode(script->requests.at(0).prompt),
              HasSubstr("<|think|>"));
  EXPECT_NE(text_at(answered, "usage.completion_tokens_details.reasoning_tokens"), "0");
  EXPECT_THAT(post(kChat, body(R"("reasoning_effort":"low","stream":true)"))->response.body,
              HasSubstr(R"("reasoning_content":)"));
}

TEST_F(OpenAiChat, StopStringsEndTheAnswer) {
  script->answers = {{"one two three", engine::FinishReason::kLength}};
  const json::Value answered = answer(kChat, body(R"("stop":["two","x"])"));
  EXPECT_EQ(text_at(answered, "choices.0.message.content"), "one ");
  EXPECT_EQ(text_at(answered, "choices.0.finish_reason"), "stop");
}

TEST_F(OpenAiChat, TheLimitIsToldAsLength) {
  script->answers = {{"one two three four five six"}};
  EXPECT_EQ(text_at(answer(kChat, body(R"("max_tokens":2)")), "choices.0.finish_reason"), "length");
}

TEST_F(OpenAiChat, SeveralAnswersHaveSeedsOfTheirOwn) {
  script->answers = {{"A"}, {"B"}, {"C"}};
  const json::Value answered = answer(kChat, body(R"("n":3,"seed":40)"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(text_at(answered, str_cat("choices.", i, ".index")), str_cat(i));
    EXPECT_EQ(text_at(answered, str_cat("choices.", i, ".message.content")),
              std::string(1, static_cast<char>('A' + i)));
    EXPECT_EQ(script->requests.at(static_cast<size_t>(i)).sampling.seed,
              40u + static_cast<unsigned>(i));
  }
  const auto events = sse_events(post(kChat, body(R"("n":3,"stream":true)"))->response.body);
  int finished = 0;
  for (const SseEvent& event : events)
    if (event.data.is_object() && text_at(event.data, "choices.0.finish_reason") == "stop")
      ++finished;
  EXPECT_EQ(finished, 3);
}

TEST_F(OpenAiChat, LogprobsCoverTheContent) {
  script->answers = {{"Hello there!"}};
  const json::Value answered = answer(kChat, body(R"("logprobs":true,"top_logprobs":2)"));
  std::string joined;
  const json::Value entries = at(answered, "choices.0.logprobs.content");
  for (const json::Value& entry : entries.as_array()) {
    joined += text_at(entry, "token");
    EXPECT_EQ(text_at(entry, "logprob"), "-0.5");
    EXPECT_EQ(at(entry, "top_logprobs").as_array().size(), 2u);
  }
  EXPECT_EQ(joined, "Hello there!");
}

TEST_F(OpenAiChat, SchemasConstrain) {
  answer(kChat, body(R"("response_format":{"type":"json_schema","json_schema":{"name":"x","schema":
      {"type":"object","properties":{"a":{"type":"integer"}}}}})"));
  EXPECT_NE(script->requests.at(0).constraint, nullptr);
  answer(kChat, body(R"("response_format":{"type":"json_object"})"));
  EXPECT_NE(script->requests.at(1).constraint, nullptr);
  answer(kChat, body(R"("response_format":{"type":"text"})"));
  EXPECT_EQ(script->requests.at(2).constraint, nullptr);
}

TEST_F(OpenAiChat, FailuresAreToldInTheProtocolsShape) {
  script->answers = {
      {"half", engine::FinishReason::kStop, Error{ErrorCode::kUnavailable, "broken"}}};
  EXPECT_EQ(text_at(answer(kChat, body(R"("n":1)"), 503), "error.message"), "broken");
  const auto exchange = post(kChat, body(R"("stream":true)"));
  const auto events = sse_events(exchange->response.body);
  EXPECT_EQ(text_at(events.back().data, "error.message"), "broken");
  EXPECT_EQ(exchange->num_endings, 1);
}

TEST_F(OpenAiChat, CompletionsContinueRawText) {
  script->answers = {{" upon a time"}};
  const json::Value answered =
      answer("/v1/completions", R"({"prompt":["Once","Twice"],"echo":true,"max_tokens":9})");
  EXPECT_EQ(text_at(answered, "object"), "text_completion");
  EXPECT_EQ(text_at(answered, "choices.0.text"), "Once upon a time");
  EXPECT_EQ(text_at(answered, "choices.1.text"), "Twice upon a time");
  EXPECT_EQ(demo_model().tokenizer->decode(script->requests.at(0).prompt), "<bos>Once");
  answer("/v1/completions", R"({"prompt":[2,300,301]})");
  EXPECT_THAT(script->requests.at(2).prompt, ElementsAre(2, 300, 301));
  EXPECT_EQ(script->requests.at(2).max_tokens, 16);
}

}  // namespace
}  // namespace gemma4::serve

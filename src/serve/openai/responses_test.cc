// /v1/responses through the service: streams, items, and what is kept of responses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using json::Value;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kPath = "/v1/responses";
constexpr const char* kTools = R"("tools":[{"type":"function","name":"get_weather","parameters":
    {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}])";
constexpr const char* kCall =
    "Look.<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|>}<tool_call|>";

std::string body(const std::string& members = "") {
  return str_cat(R"({"input":"hello")", members.empty() ? "" : ",", members, "}");
}

class OpenAiResponses : public ServiceTest {
 protected:
  std::string prompt(size_t index) {
    return demo_model().tokenizer->decode(script->requests.at(index).prompt);
  }
  std::shared_ptr<FakeExchange> request(const std::string& method, const std::string& path,
                                        const std::string& query = "") {
    return send({.method = method, .path = path, .query = query});
  }
  static Value body_of(const std::shared_ptr<FakeExchange>& exchange, int status = 200) {
    EXPECT_EQ(exchange->response.status, status) << exchange->response.body;
    auto value = json::parse(exchange->response.body);
    EXPECT_TRUE(value.ok());
    return value.ok() ? value.value() : Value();
  }
};

TEST_F(OpenAiResponses, AnswersWithItems) {
  script->answers = {{"Hello there!"}};
  const Value answered =
      answer(kPath, body(R"("instructions":"Be kind.","metadata":{"a":"b"},"temperature":0.5)"));
  EXPECT_THAT(text_at(answered, "id"), testing::StartsWith("resp_"));
  EXPECT_EQ(text_at(answered, "object"), "response");
  EXPECT_EQ(text_at(answered, "status"), "completed");
  EXPECT_EQ(text_at(answered, "model"), "demo");
  EXPECT_EQ(text_at(answered, "output.0.type"), "message");
  EXPECT_EQ(text_at(answered, "output.0.role"), "assistant");
  EXPECT_EQ(text_at(answered, "output.0.status"), "completed");
  EXPECT_EQ(text_at(answered, "output.0.content.0.type"), "output_text");
  EXPECT_EQ(text_at(answered, "output.0.content.0.text"), "Hello there!");
  EXPECT_EQ(text_at(answered, "metadata"), R"({"a":"b"})");
  EXPECT_EQ(text_at(answered, "instructions"), "Be kind.");
  EXPECT_EQ(text_at(answered, "temperature"), "0.5");
  EXPECT_EQ(text_at(answered, "incomplete_details"), "null");
  const size_t ids = demo_model().tokenizer->encode("Hello there!").size();
  EXPECT_EQ(text_at(answered, "usage.output_tokens"), str_cat(ids));
  EXPECT_EQ(text_at(answered, "usage.total_tokens"),
            str_cat(ids + script->requests.at(0).prompt.size()));
  EXPECT_THAT(prompt(0), testing::StartsWith("<bos><|turn>system\nBe kind."));
}

TEST_F(OpenAiResponses, ThoughtsMessagesAndCallsAreItemsOfTheirOwn) {
  script->answers = {{str_cat("<|channel>thought\nHm. <channel|>", kCall)}};
  const Value answered = answer(kPath, body(str_cat(kTools, R"(,"reasoning":{"effort":"low"})")));
  EXPECT_EQ(text_at(answered, "output.0.type"), "reasoning");
  EXPECT_EQ(text_at(answered, "output.0.content.0.text"), "Hm.");
  EXPECT_EQ(text_at(answered, "output.0.summary"), "[]");
  EXPECT_EQ(text_at(answered, "output.1.content.0.text"), "Look.");
  EXPECT_EQ(text_at(answered, "output.2.type"), "function_call");
  EXPECT_EQ(text_at(answered, "output.2.name"), "get_weather");
  EXPECT_EQ(text_at(answered, "output.2.arguments"), R"({"city":"Oslo"})");
  EXPECT_THAT(text_at(answered, "output.2.call_id"), testing::StartsWith("call_"));
  EXPECT_EQ(text_at(answered, "reasoning.effort"), "low");
  EXPECT_NE(text_at(answered, "usage.output_tokens_details.reasoning_tokens"), "0");
}

// Every event has its place: parts within items, deltas within parts, and one ending.
TEST_F(OpenAiResponses, TheStreamIsInOrder) {
  script->answers = {{str_cat("<|channel>thought\nHm. <channel|>", kCall)}};
  const auto exchange =
      post(kPath, body(str_cat(kTools, R"(,"stream":true,"reasoning":{"effort":"low"})")));
  const auto events = sse_events(exchange->response.body);
  std::vector<std::string> order;
  std::string arguments, content, thought;
  for (size_t i = 0; i < events.size(); ++i) {
    const Value& data = events[i].data;
    EXPECT_EQ(text_at(data, "sequence_number"), str_cat(i));
    EXPECT_EQ(text_at(data, "type"), events[i].name);
    if (events[i].name == "response.function_call_arguments.delta")
      arguments += text_at(data, "delta");
    if (events[i].name == "response.output_text.delta") content += text_at(data, "delta");
    if (events[i].name == "response.reasoning_text.delta") thought += text_at(data, "delta");
    std::string name = events[i].name.substr(std::string("response.").size());
    if (data.find("output_index") != nullptr) name += text_at(data, "output_index");
    if (order.empty() || order.back() != name) order.push_back(name);
  }
  EXPECT_THAT(
      order,
      ElementsAre("created", "in_progress", "output_item.added0", "content_part.added0",
                  "reasoning_text.delta0", "reasoning_text.done0", "content_part.done0",
                  "output_item.done0", "output_item.added1", "content_part.added1",
                  "output_text.delta1", "output_text.done1", "content_part.done1",
                  "output_item.done1", "output_item.added2", "function_call_arguments.delta2",
                  "function_call_arguments.done2", "output_item.done2", "completed"));
  EXPECT_EQ(thought, "Hm.");
  EXPECT_EQ(content, "Look.");
  EXPECT_EQ(arguments, R"({"city":"Oslo"})");
  EXPECT_EQ(text_at(events.back().data, "response.output.2.arguments"), arguments);
  EXPECT_EQ(text_at(events[0].data, "response.status"), "in_progress");
  EXPECT_EQ(text_at(events[0].data, "response.output"), "[]");
  EXPECT_EQ(exchange->num_endings, 1);
}

TEST_F(OpenAiResponses, TheLimitMakesThemIncomplete) {
  script->answers = {{"one two three four five six"}};
  const Value answered = answer(kPath, body(R"("max_output_tokens":2)"));
  EXPECT_EQ(text_at(answered, "status"), "incomplete");
  EXPECT_EQ(text_at(answered, "incomplete_details.reason"), "max_output_tokens");
  EXPECT_EQ(text_at(answered, "output.0.status"), "incomplete");
  const auto events =
      sse_events(post(kPath, body(R"("max_output_tokens":2,"stream":true)"))->response.body);
  EXPECT_EQ(events.back().name, "response.incomplete");
}

TEST_F(OpenAiResponses, FailuresAreToldInTheStream) {
  script->answers = {
      {"one", engine::FinishReason::kStop, Error{ErrorCode::kUnavailable, "no device"}}};
  const auto exchange = post(kPath, body(R"("stream":true)"));
  const auto events = sse_events(exchange->response.body);
  EXPECT_EQ(events.back().name, "response.failed");
  EXPECT_EQ(text_at(events.back().data, "response.status"), "failed");
  EXPECT_EQ(text_at(events.back().data, "response.error.message"), "no device");
  EXPECT_EQ(exchange->num_endings, 1);
  const std::string id = text_at(events.back().data, "response.id");
  EXPECT_EQ(get(str_cat(kPath, "/", id))->response.status, 404);
}

TEST_F(OpenAiResponses, LogprobsComeWhenIncluded) {
  script->answers = {{"Hi there"}};
  const Value answered =
      answer(kPath, body(R"("include":["message.output_text.logprobs"],"top_logprobs":2)"));
  const size_t ids = demo_model().tokenizer->encode("Hi there").size();
  EXPECT_EQ(at(answered, "output.0.content.0.logprobs").as_array().size(), ids);
  EXPECT_EQ(at(answered, "output.0.content.0.logprobs.0.top_logprobs").as_array().size(), 2u);
}

TEST_F(OpenAiResponses, AConversationGoesOnFromAResponse) {
  script->answers = {{"Ann."}, {kCall}, {"Cold."}};
  const Value first = answer(kPath, body(R"("instructions":"Be kind.")"));
  const Value second = answer(kPath, str_cat(R"({"input":"And Oslo?","previous_response_id":")",
                                             text_at(first, "id"), "\",", kTools, "}"));
  EXPECT_THAT(prompt(1), HasSubstr("<|turn>user\nhello<turn|>\n<|turn>model\nAnn.<turn|>\n"
                                   "<|turn>user\nAnd Oslo?<turn|>\n"));
  EXPECT_THAT(prompt(1), testing::Not(HasSubstr("Be kind.")));  // as the API has it
  EXPECT_EQ(text_at(second, "previous_response_id"), text_at(first, "id"));
  const Value third =
      answer(kPath, str_cat(R"({"input":[{"type":"function_call_output","call_id":")",
                            text_at(second, "output.1.call_id"),
                            R"(","output":"4 C"}],"previous_response_id":")", text_at(second, "id"),
                            "\",", kTools, "}"));
  EXPECT_THAT(prompt(2), HasSubstr("4 C"));
  EXPECT_THAT(prompt(2), HasSubstr("get_weather"));
  EXPECT_THAT(prompt(2), HasSubstr("hello"));

  const std::string items = str_cat(kPath, "/", text_at(third, "id"), "/input_items");
  const Value all = body_of(request("GET", items, "order=asc"));
  std::vector<std::string> types;
  const Value data = at(all, "data");
  for (const Value& item : data.as_array()) types.push_back(text_at(item, "type"));
  EXPECT_THAT(types, ElementsAre("message", "message", "message", "message", "function_call",
                                 "function_call_output"));
  EXPECT_EQ(text_at(all, "data.0.content.0.text"), "hello");
  const Value page = body_of(
      request("GET", items, str_cat("order=asc&limit=2&after=", text_at(all, "data.1.id"))));
  EXPECT_EQ(text_at(page, "data.0.id"), text_at(all, "data.2.id"));
  EXPECT_EQ(text_at(page, "has_more"), "true");
  EXPECT_EQ(text_at(page, "last_id"), text_at(all, "data.3.id"));
  EXPECT_EQ(text_at(body_of(request("GET", items)), "data.0.type"), "function_call_output");
  body_of(request("GET", items, "limit=0"), 400);
  body_of(request("GET", items, "after=none"), 400);
  body_of(request("GET", items, "page=2"), 400);
}

TEST_F(OpenAiResponses, TheSameWordsMakeTheSamePrompt) {
  script->answers = {{"Ann."}, {"Bob."}};
  const Value first = answer(kPath, body());
  answer(kPath,
         str_cat(R"({"input":"And you?","previous_response_id":")", text_at(first, "id"), "\"}"));
  answer(kPath,
         R"({"input":[{"role":"user","content":"hello"},{"role":"assistant","content":"Ann."},
      {"role":"user","content":[{"type":"input_text","text":"And you?"}]}]})");
  answer("/v1/chat/completions", R"({"messages":[{"role":"user","content":"hello"},
      {"role":"assistant","content":"Ann."},{"role":"user","content":"And you?"}]})");
  EXPECT_EQ(prompt(1), prompt(2));
  EXPECT_EQ(prompt(1), prompt(3));
}

TEST_F(OpenAiResponses, StoredResponsesCanBeReadAndDeleted) {
  const auto exchange = post(kPath, body());
  const std::string id = text_at(body_of(exchange), "id");
  const std::string path = str_cat(kPath, "/", id);
  EXPECT_EQ(get(path)->response.body, exchange->response.body);
  EXPECT_THAT(body_of(request("GET", path, "stream=true"), 400).find("error"), testing::NotNull());
  body_of(request("POST", path + "/cancel"), 400);
  body_of(request("POST", path), 404);
  EXPECT_EQ(text_at(body_of(request("DELETE", path)), "deleted"), "true");
  for (const char* method : {"GET", "DELETE"}) body_of(request(method, path), 404);
  body_of(request("POST", path + "/cancel"), 404);
  EXPECT_THAT(text_at(answer(kPath, body(str_cat(R"("previous_response_id":")", id, "\"")), 400),
                      "error.message"),
              HasSubstr("there is no response"));

  const Value unstored = answer(kPath, body(R"("store":false)"));
  body_of(request("GET", str_cat(kPath, "/", text_at(unstored, "id"))), 404);
}

TEST_F(OpenAiResponses, TokensOfAnInputAreCounted) {
  const Value counted = answer("/v1/responses/input_tokens", body());
  EXPECT_TRUE(script->requests.empty());
  answer(kPath, body());
  EXPECT_EQ(text_at(counted, "input_tokens"), str_cat(script->requests.at(0).prompt.size()));
}

TEST_F(OpenAiResponses, WhatCannotBeDoneIsRefusedByName) {
  const auto param = [&](const std::string& members) {
    return text_at(answer(kPath, body(members), 400), "error.param");
  };
  EXPECT_EQ(param(R"("truncation":"auto")"), "truncation");
  EXPECT_EQ(param(R"("background":true)"), "background");
  EXPECT_EQ(param(R"("conversation":"c")"), "conversation");
  EXPECT_EQ(param(R"("prompt":{"id":"p"})"), "prompt");
  EXPECT_EQ(param(R"("n":2)"), "n");
  EXPECT_EQ(param(R"("top_logprobs":2)"), "top_logprobs");
  EXPECT_EQ(param(R"("include":["everything"])"), "include");
  EXPECT_EQ(param(R"("reasoning":{"summary":"detailed"})"), "reasoning.summary");
  EXPECT_EQ(param(R"("text":{"verbosity":"low"})"), "text.verbosity");
  EXPECT_EQ(param(R"("tools":[{"type":"web_search"}])"), "tools[0].type");
  EXPECT_EQ(param(R"("metadata":{"a":1})"), "metadata");
  EXPECT_EQ(text_at(answer(kPath, R"({"input":[{"type":"item_reference","id":"x"}]})", 400),
                    "error.param"),
            "input[0].type");
  EXPECT_EQ(text_at(answer(kPath,
                           R"({"input":[{"role":"user","content":[{"type":"input_file"}]}]})", 400),
                    "error.param"),
            "input[0].content[0].file_id");
  EXPECT_EQ(text_at(answer(kPath,
                           R"({"input":[{"role":"user","content":[{"type":"input_film"}]}]})", 400),
                    "error.param"),
            "input[0].content[0].type");
  EXPECT_EQ(text_at(answer(kPath, "{}", 400), "error.param"), "input");
}

class ResponsesOfTwoKeys : public ServiceTest {
 protected:
  static std::unique_ptr<ApiKeys> keys() {
    const std::string path = testing::TempDir() + "gemma4_response_keys";
    std::ofstream(path) << "key-a name=a\nkey-b name=b\n";
    return ApiKeys::load(path).value();
  }
  ResponsesOfTwoKeys() : ServiceTest({}, keys()) {}
  int status(const char* method, const std::string& path, const char* key,
             const std::string& body = "") {
    last = send({.method = method,
                 .path = path,
                 .headers = {{"Authorization", str_cat("Bearer ", key)}},
                 .body = body});
    return last->response.status;
  }
  std::shared_ptr<FakeExchange> last;
};

TEST_F(ResponsesOfTwoKeys, NoKeySeesAnothers) {
  ASSERT_EQ(status("POST", kPath, "key-a", body()), 200);
  const std::string id = text_at(json::parse(last->response.body).value(), "id");
  const std::string path = str_cat(kPath, "/", id);
  const std::string next = body(str_cat(R"("previous_response_id":")", id, "\""));
  EXPECT_EQ(status("GET", path, "key-b"), 404);
  EXPECT_EQ(status("GET", path + "/input_items", "key-b"), 404);
  EXPECT_EQ(status("DELETE", path, "key-b"), 404);
  EXPECT_EQ(status("POST", kPath, "key-b", next), 400);
  EXPECT_EQ(status("GET", path, "key-a"), 200);
  EXPECT_EQ(status("POST", kPath, "key-a", next), 200);
}

}  // namespace
}  // namespace gemma4::serve

// What every request may meet: routes, errors in each protocol's shape, limits, keys, clients that
// leave.
#include "serve/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A body with every field that the endpoint knows, all of them right.
struct Whole {
  const char* path;
  const char* body;
};
constexpr Whole kWhole[] = {
    {"/v1/chat/completions",
     R"({"model":"demo","messages":[{"role":"system","content":"s"},{"role":"user","content":[
         {"type":"text","text":"t"}],"name":"u"},{"role":"assistant","content":null,
         "reasoning_content":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f",
         "arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}],
         "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":
         {"type":"object","properties":{"a":{"type":"string"}}}}}],"tool_choice":"auto",
         "parallel_tool_calls":false,"response_format":{"type":"json_schema","json_schema":
         {"name":"n","strict":true,"schema":{"type":"object"}}},"reasoning_effort":"low",
         "chat_template_kwargs":{"enable_thinking":true},"stop":["x"],"seed":1,"n":2,
         "logprobs":true,"top_logprobs":1,"logit_bias":{"5":1},"presence_penalty":0.5,
         "frequency_penalty":0.5,"max_tokens":5,"max_completion_tokens":5,"temperature":0.5,
         "top_p":0.5,"stream":true,"stream_options":{"include_usage":true},"user":"me",
         "top_k":3,"min_p":0.1,"repetition_penalty":1.1,"thinking_budget":3})"},
    {"/v1/completions",
     R"({"model":"demo","prompt":"p","max_tokens":3,"temperature":0.5,"top_p":0.5,"n":2,
         "stream":true,"stream_options":{"include_usage":true},"logprobs":1,"echo":false,
         "stop":"x","presence_penalty":0.5,"frequency_penalty":0.5,"best_of":2,
         "logit_bias":{"5":1},"seed":1,"user":"me"})"},
    {"/v1/responses",
     R"({"model":"demo","instructions":"s","input":[{"role":"user","content":[{"type":"input_text",
         "text":"t"}]},{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":
         "reasoning_text","text":"r"}]},{"type":"message","role":"assistant","status":"completed",
         "content":[{"type":"output_text","text":"a","annotations":[]}]},{"type":"function_call",
         "call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c",
         "output":[{"type":"input_text","text":"x"}]}],"tools":[{"type":"function","name":"f",
         "description":"d","parameters":{"type":"object"},"strict":true}],"tool_choice":{"type":
         "function","name":"f"},"parallel_tool_calls":false,"text":{"format":{"type":"json_schema",
         "name":"n","strict":true,"schema":{"type":"object"}},"verbosity":"medium"},"reasoning":
         {"effort":"low","summary":"auto"},"max_output_tokens":5,"temperature":0.5,"top_p":0.5,
         "include":["message.output_text.logprobs","reasoning.encrypted_content"],
         "top_logprobs":1,"stream":true,"store":false,"truncation":"disabled","metadata":{"a":"b"},
         "max_tool_calls":3,"service_tier":"auto","user":"me","seed":1})"},
    {"/v1/embeddings",
     R"({"model":"demo","input":["a",[5,6]],"encoding_format":"float","dimensions":256,
         "normalize":true,"user":"me"})"},
    {"/api/embed",
     R"({"model":"demo","input":["a","b"],"truncate":true,"options":{"num_ctx":64},
         "keep_alive":"5m"})"},
    {"/api/embeddings", R"({"model":"demo","prompt":"a","options":{"seed":1}})"},
    {"/v1/messages",
     R"({"model":"demo","max_tokens":5,"system":[{"type":"text","text":"s"}],"messages":[
         {"role":"user","content":"q"},{"role":"assistant","content":[{"type":"thinking",
         "thinking":"h","signature":""},{"type":"tool_use","id":"1","name":"f","input":{}}]},
         {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[
         {"type":"text","text":"x"}]},{"type":"text","text":"t"}]}],"tools":[{"name":"f",
         "description":"d","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto",
         "disable_parallel_tool_use":true},"thinking":{"type":"enabled","budget_tokens":5},
         "temperature":0.5,"top_p":0.5,"top_k":3,"stop_sequences":["x"],"stream":true,
         "metadata":{"user_id":"me"}})"},
    {"/api/chat",
     R"({"model":"demo","messages":[{"role":"user","content":"q"},{"role":"assistant",
         "content":"","thinking":"h","tool_calls":[{"function":{"name":"f","arguments":{}}}]},
         {"role":"tool","content":"x","tool_name":"f"}],"tools":[{"type":"function","function":
         {"name":"f"}}],"format":{"type":"object"},"options":{"temperature":0.5,"top_k":3,
         "top_p":0.5,"min_p":0.1,"repeat_penalty":1.1,"seed":1,"stop":["x"],"num_predict":4,
         "num_ctx":128},"stream":true,"think":true,"keep_alive":"5m"})"},
    {"/api/generate",
     R"({"model":"demo","prompt":"p","system":"s","format":"json","options":{"seed":1},
         "stream":true,"think":false,"raw":false,"keep_alive":0})"},
    {"/v1/messages/count_tokens",
     R"({"model":"demo","system":"s","messages":[{"role":"user","content":"q"}],"tools":[
         {"name":"f","description":"d","input_schema":{"type":"object"}}]})"},
    {"/v1/responses/input_tokens", R"({"model":"demo","instructions":"s","input":"q"})"},
    {"/tokenize", R"({"model":"demo","content":"a b","add_special":true})"},
    {"/detokenize", R"({"model":"demo","tokens":[5,6]})"},
    {"/api/show", R"({"model":"demo"})"},
};

class ServiceFaults : public ServiceTest {};

TEST_F(ServiceFaults, WholeBodiesAreTaken) {
  for (const Whole& whole : kWhole) {
    const auto exchange = post(whole.path, whole.body);
    EXPECT_EQ(exchange->response.status, 200) << whole.path << exchange->response.body;
    EXPECT_EQ(exchange->num_endings, 1);
  }
}

// Calls `visit` with `value` each time one of its values, at any depth, is something else.
void with_wrong_values(json::Value& value, const std::function<void()>& visit) {
  static const json::Value wrong =
      json::parse(
          R"([null,true,-1,1e300,0.5,99999999999999999999,"","a string",[],[1,"x",null],{},{"x":1}])")
          .value();
  const json::Value right = value;
  for (const json::Value& other : wrong.as_array()) {
    value = other;
    visit();
  }
  value = right;
  if (value.is_array())
    for (json::Value& entry : value.as_array()) with_wrong_values(entry, visit);
  if (value.is_object())
    for (auto& [name, member] : value.as_object()) with_wrong_values(member, visit);
}

TEST_F(ServiceFaults, WrongValuesAreAnsweredOrRefusedByName) {
  int taken = 0, refused = 0;
  for (const Whole& whole : kWhole) {
    json::Value body = json::parse(whole.body).value();
    with_wrong_values(body, [&] {
      const auto exchange = post(whole.path, json::dump(body));
      EXPECT_EQ(exchange->num_endings, 1) << json::dump(body);
      if (exchange->response.status == 200) {
        ++taken;
        return;
      }
      ++refused;
      EXPECT_THAT(exchange->response.status, testing::AnyOf(400, 404)) << json::dump(body);
      const auto answered = json::parse(exchange->response.body);
      ASSERT_TRUE(answered.ok());
      EXPECT_NE(answered.value().find("error"), nullptr) << exchange->response.body;
    });
  }
  EXPECT_GT(taken, 100);
  EXPECT_GT(refused, 1000);
}

TEST_F(ServiceFaults, UnknownFieldsAreRefusedByName) {
  for (const Whole& whole : kWhole) {
    json::Value body = json::parse(whole.body).value();
    body.set("no_such_field", 1);
    EXPECT_THAT(post(whole.path, json::dump(body))->response.body, HasSubstr("no_such_field"))
        << whole.path;
  }
  const json::Value error = answer(
      "/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"x"}],"prediction":{"type":"content"}})", 400);
  EXPECT_EQ(text_at(error, "error.param"), "prediction");
  EXPECT_EQ(text_at(error, "error.type"), "invalid_request_error");
}

TEST_F(ServiceFaults, BadJsonIsA400InEveryProtocol) {
  for (const char* text : {"", "{", "[1,2", "nul", "{\"a\":1}x", "\xff", "[]", "7"}) {
    EXPECT_EQ(text_at(answer("/v1/chat/completions", text, 400), "error.type"),
              "invalid_request_error");
    EXPECT_EQ(text_at(answer("/v1/messages", text, 400), "error.type"), "invalid_request_error");
    EXPECT_NE(text_at(answer("/api/chat", text, 400), "error"), "");
  }
  const std::string deep(100'000, '[');
  EXPECT_THAT(text_at(answer("/v1/chat/completions", deep, 400), "error.message"),
              HasSubstr("nested more than 128 deep"));
}

TEST_F(ServiceFaults, UnknownModelsAndPathsAreA404) {
  const std::string hello = R"("messages":[{"role":"user","content":"hi"}])";
  const json::Value openai =
      answer("/v1/chat/completions", str_cat("{\"model\":\"gpt-9\",", hello, "}"), 404);
  EXPECT_EQ(text_at(openai, "error.code"), "model_not_found");
  EXPECT_THAT(text_at(openai, "error.message"), AllOf(HasSubstr("gpt-9"), HasSubstr("has demo")));
  const json::Value anthropic =
      answer("/v1/messages", str_cat("{\"model\":\"x\",\"max_tokens\":1,", hello, "}"), 404);
  EXPECT_EQ(text_at(anthropic, "error.type"), "not_found_error");
  EXPECT_EQ(get("/v1/nothing")->response.status, 404);
  EXPECT_EQ(get("/v1/models/other")->response.status, 404);
  EXPECT_EQ(get("/v1/models/demo")->response.status, 200);
  const auto wrong_method = get("/v1/chat/completions");
  EXPECT_EQ(wrong_method->response.status, 405);
  EXPECT_THAT(wrong_method->response.headers, testing::Contains(testing::Pair("Allow", "POST")));
}

// Paths are routes and nothing else: none of them is looked for on a disk.
TEST_F(ServiceFaults, PathsLeadNowhereElse) {
  for (const char* path :
       {"/../etc/passwd", "/..%2f..%2fetc/passwd", "/v1/models/../../../etc/passwd",
        "/v1/models/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/v1/models/%00", "etc/passwd", "",
        "*", "/./../", "/v1/chat/completions/../../../models"}) {
    const auto exchange = get(path);
    EXPECT_EQ(exchange->response.status, 404) << path;
    EXPECT_THAT(exchange->response.body, testing::Not(HasSubstr("root:"))) << path;
    EXPECT_EQ(exchange->num_endings, 1);
  }
}

TEST_F(ServiceFaults, BytesThatAreNotUtf8AreA400) {
  for (const char* bytes : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"})
    for (const char* path : {"/v1/chat/completions", "/v1/messages", "/api/chat", "/tokenize"})
      answer(path,
             str_cat(R"({"max_tokens":1,"content":"a)", bytes,
                     R"(b","messages":[{"role":"user","content":"a)", bytes, R"(b"}]})"),
             400);
}

TEST_F(ServiceFaults, PromptsThatAreTooLongAreToldTheNumbers) {
  std::string words;
  for (int i = 0; i < 600; ++i) words += "word ";
  const json::Value error =
      answer("/v1/chat/completions",
             str_cat(R"({"messages":[{"role":"user","content":")", words, R"("}]})"), 400);
  EXPECT_EQ(text_at(error, "error.code"), "context_length_exceeded");
  EXPECT_THAT(
      text_at(error, "error.message"),
      AllOf(HasSubstr("maximum context length is 512 tokens"), HasSubstr("the prompt has")));
  EXPECT_TRUE(script->requests.empty());
}

TEST_F(ServiceFaults, AFullQueueSaysWhenToComeBack) {
  script->waiting = 256;
  const auto exchange =
      post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(exchange->response.status, 503);
  EXPECT_THAT(exchange->response.headers, testing::Contains(testing::Pair("Retry-After", "1")));
  EXPECT_EQ(post("/v1/messages", R"({"max_tokens":1,"messages":[{"role":"user","content":"x"}]})")
                ->response.status,
            529);
}

TEST_F(ServiceFaults, WhatTheEngineRefusesIsTold) {
  script->refusal = Error{ErrorCode::kInvalidArgument, "no room"};
  const auto exchange = post("/v1/chat/completions",
                             R"({"n":2,"messages":[{"role":"user","content":"x"}],"stream":true})");
  EXPECT_EQ(exchange->response.status, 400);
  EXPECT_EQ(exchange->num_beginnings, 0);
  EXPECT_EQ(exchange->num_endings, 1);
}

TEST_F(ServiceFaults, AClientThatLeavesCancelsItsAnswers) {
  script->answers = {{"a long answer", engine::FinishReason::kLength, {}, true}};
  const auto exchange = post("/v1/chat/completions",
                             R"({"n":3,"messages":[{"role":"user","content":"x"}],"stream":true})");
  EXPECT_EQ(exchange->num_beginnings, 1);
  ASSERT_TRUE(exchange->gone);
  std::exchange(exchange->gone, nullptr)();
  EXPECT_THAT(script->cancelled, testing::UnorderedElementsAre(1u, 2u, 3u));
  exchange->run();
  EXPECT_EQ(exchange->num_endings, 0);
}

TEST_F(ServiceFaults, PicturesMustBeDataUrlsAndTheModelMustSee) {
  const auto ask = [&](const std::string& url) {
    return text_at(
        answer(
            "/v1/chat/completions",
            str_cat(
                R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":")",
                url, R"("}}]}]})"),
            400),
        "error.message");
  };
  for (const char* url : {"http://169.254.169.254/latest", "file:///etc/passwd", "/etc/passwd", ""})
    EXPECT_THAT(ask(url), AllOf(HasSubstr("messages[0].content[0]: expected a data URL")));
  EXPECT_THAT(ask("data:image/png;base64,AAAA"), HasSubstr("does not see"));
}

TEST_F(ServiceFaults, OperationsHaveTheirPages) {
  EXPECT_EQ(get("/health")->response.status, 200);
  EXPECT_EQ(get("/ready")->response.status, 200);
  EXPECT_THAT(get("/v1/models")->response.body, HasSubstr(R"("id":"demo")"));
  EXPECT_THAT(get("/api/tags")->response.body, HasSubstr(R"("name":"demo")"));
  EXPECT_THAT(get("/api/version")->response.body, HasSubstr("1.2.3"));
  EXPECT_THAT(post("/api/show", R"({"model":"demo:latest"})")->response.body,
              HasSubstr(R"("gemma4.context_length":512)"));
  post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})");
  const std::string metrics = get("/metrics")->response.body;
  for (const char* name :
       {"gemma4_time_to_first_token_seconds_bucket", "gemma4_num_requests_waiting",
        "gemma4_generation_tokens_total{model=\"demo\"} ",
        "gemma4_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1"})
    EXPECT_THAT(metrics, HasSubstr(name));
  service->begin_drain();
  EXPECT_EQ(get("/ready")->response.status, 503);
  EXPECT_EQ(get("/health")->response.status, 200);
  EXPECT_EQ(post("/v1/chat/completions", "{}")->response.status, 503);
}

TEST_F(ServiceFaults, TokensGoThereAndBack) {
  const json::Value tokens = answer("/tokenize", R"({"content":"Hello there","add_special":true})");
  const json::Value text =
      answer("/detokenize", str_cat(R"({"tokens":)", json::dump(at(tokens, "tokens")), "}"));
  EXPECT_EQ(text_at(text, "content"), "<bos>Hello there");
  EXPECT_EQ(text_at(tokens, "count"), str_cat(at(tokens, "tokens").as_array().size()));
  answer("/detokenize", R"({"tokens":[99999999]})", 400);
  answer("/tokenize", R"({})", 400);
}

class ServiceCors : public ServiceTest {
 protected:
  ServiceCors() : ServiceTest({.cors_origins = {"https://chat.example"}}) {}
};

TEST_F(ServiceCors, OnlyThePagesThatMay) {
  const auto ask = [&](const char* method, const char* origin) {
    return send({.method = method,
                 .path = "/v1/models",
                 .headers = {{"Origin", origin},
                             {"Access-Control-Request-Headers", "authorization"}}})
        ->response;
  };
  const auto allow =
      testing::Contains(testing::Pair("Access-Control-Allow-Origin", "https://chat.example"));
  EXPECT_THAT(ask("GET", "https://chat.example").headers, allow);
  EXPECT_THAT(ask("GET", "https://evil.example").headers, testing::Not(allow));
  const http::Response preflight = ask("OPTIONS", "https://chat.example");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(preflight.headers,
              testing::Contains(testing::Pair("Access-Control-Allow-Headers", "authorization")));
}

// A file of keys, for as long as this lives. Programs that test at the same time have their own.
class KeyFile {
 public:
  explicit KeyFile(const std::string& text)
      : path_(str_cat(testing::TempDir(), "gemma4_keys_", ::getpid())) {
    write(text);
  }
  ~KeyFile() { std::filesystem::remove(path_); }
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& text) const { std::ofstream(path_) << text; }

 private:
  const std::string path_;
};

// Before the service, which reads it.
struct HasKeyFile {
  KeyFile file{
      "# keys\nsecret-a name=a requests_per_minute=2\n"
      "secret-b name=b tokens_per_minute=10\n"};
};

class ServiceKeys : private HasKeyFile, public ServiceTest {
 protected:
  ServiceKeys() : ServiceTest({}, ApiKeys::load(file.path()).value()) {}
  std::shared_ptr<FakeExchange> with(const std::string& header, const std::string& value,
                                     const std::string& path = "/v1/chat/completions") {
    return send({.method = "POST",
                 .path = path,
                 .headers = {{header, value}},
                 .body = R"({"max_tokens":4,"messages":[{"role":"user","content":"x"}]})"});
  }
};

TEST_F(ServiceKeys, WantsAKeyThatItKnows) {
  EXPECT_EQ(with("X-None", "")->response.status, 401);
  EXPECT_EQ(with("Authorization", "Bearer secret-")->response.status, 401);
  EXPECT_EQ(with("Authorization", "Bearer ")->response.status, 401);
  EXPECT_EQ(with("Authorization", "secret-a")->response.status, 401);
  EXPECT_THAT(with("X-None", "", "/v1/messages")->response.body, HasSubstr("authentication_error"));
  EXPECT_EQ(with("Authorization", "Bearer secret-a")->response.status, 200);
  EXPECT_EQ(with("x-api-key", "secret-b", "/v1/messages")->response.status, 200);
  EXPECT_EQ(get("/health")->response.status, 200);
  EXPECT_EQ(get("/v1/models")->response.status, 401);
}

TEST_F(ServiceKeys, LimitsRequestsAndTokens) {
  EXPECT_EQ(with("Authorization", "Bearer secret-a")->response.status, 200);
  EXPECT_EQ(with("Authorization", "bearer secret-a")->response.status, 200);
  const auto third = with("Authorization", "Bearer secret-a");
  EXPECT_EQ(third->response.status, 429);
  EXPECT_THAT(third->response.headers, testing::Contains(testing::Key("Retry-After")));
  EXPECT_THAT(third->response.body, HasSubstr("rate_limit_exceeded"));
  EXPECT_EQ(with("Authorization", "Bearer secret-b")->response.status, 200);
  EXPECT_EQ(with("Authorization", "Bearer secret-b")->response.status, 429);  // 10 tokens are spent
}

TEST(ApiKeys, FilesAreReadAgainAndCheckedByLine) {
  const KeyFile file("one\n");
  const std::string& path = file.path();
  const auto keys = ApiKeys::load(path).value();
  using Kind = ApiKeys::Verdict::Kind;
  EXPECT_EQ(keys->check("one").kind, Kind::kAllowed);
  EXPECT_EQ(keys->check("two").kind, Kind::kUnknown);
  file.write("two name=t\n");
  std::filesystem::last_write_time(
      path, std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(keys->check("one").kind, Kind::kUnknown);
  EXPECT_EQ(keys->check("two").name, "t");
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "has no keys"},
           {"k x=1", ":1: \"x=1\""},
           {"a\nk requests_per_minute=0", ":2: "},
           {"a name=n\nb name=n", "another key has the name n"}}) {
    file.write(text);
    const auto wrong = ApiKeys::load(path);
    ASSERT_FALSE(wrong.ok()) << text;
    EXPECT_THAT(wrong.error().message, HasSubstr(message));
  }
}

// Many threads ask while the file changes under them.
TEST(ApiKeys, AreReadAgainWhileTheyAreAskedFor) {
  const KeyFile file("always name=a requests_per_minute=1000000\n");
  const auto keys = ApiKeys::load(file.path()).value();
  using Kind = ApiKeys::Verdict::Kind;
  std::atomic<bool> done = false;
  std::atomic<bool> seen = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      while (!done) {
        EXPECT_EQ(keys->check("always").kind, Kind::kAllowed);
        keys->spend_tokens("always", 1);
        if (keys->check("late").kind == Kind::kAllowed) seen = true;
        keys->take_error();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  // Replaced whole, as an editor does: a half-written file could be read.
  const std::string next = file.path() + ".next";
  std::ofstream(next) << "always name=a requests_per_minute=1000000\nlate name=l\n";
  std::filesystem::last_write_time(
      next, std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
  std::filesystem::rename(next, file.path());
  for (int i = 0; i < 100 && !seen; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace gemma4::serve

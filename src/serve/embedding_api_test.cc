// /v1/embeddings, /api/embed and /api/embeddings through the service.
#include "serve/embedding_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using json::Value;
using ::testing::HasSubstr;

class Embeddings : public ServiceTest {
 protected:
  static double number_at(const Value& value, const std::string& path) {
    return at(value, path).as_number().as_double();
  }
};

TEST_F(Embeddings, TextsAndIdsComeBackInOrder) {
  const Value answered =
      answer("/v1/embeddings", R"({"input":["hello",[7,8,9]],"normalize":false})");
  EXPECT_EQ(text_at(answered, "object"), "list");
  EXPECT_EQ(text_at(answered, "model"), "demo");
  const std::vector<int32_t>& text = script->requests.at(0).prompt;
  EXPECT_EQ(demo_model().tokenizer->decode(text), "<bos>hello");
  EXPECT_THAT(script->requests.at(1).prompt, testing::ElementsAre(7, 8, 9));
  EXPECT_EQ(number_at(answered, "data.0.embedding.1"), static_cast<double>(text.size()));
  EXPECT_EQ(text_at(answered, "data.1.index"), "1");
  EXPECT_EQ(text_at(answered, "data.1.object"), "embedding");
  EXPECT_EQ(text_at(answered, "data.1.embedding"), "[7,3]");
  EXPECT_EQ(text_at(answered, "usage.prompt_tokens"), str_cat(text.size() + 3));
  EXPECT_EQ(text_at(answered, "usage.total_tokens"), str_cat(text.size() + 3));
}

TEST_F(Embeddings, HaveLengthOneUnlessAskedOtherwise) {
  const Value answered = answer("/v1/embeddings", R"({"input":[3,1,1,1]})");
  EXPECT_NEAR(number_at(answered, "data.0.embedding.0"), 0.6, 1e-6);
  EXPECT_NEAR(number_at(answered, "data.0.embedding.1"), 0.8, 1e-6);
}

TEST_F(Embeddings, Base64IsLittleEndianFloat32) {
  // 7.0f is 00 00 e0 40, 3.0f is 00 00 40 40.
  EXPECT_EQ(text_at(answer("/v1/embeddings",
                           R"({"input":[7,8,9],"normalize":false,"encoding_format":"base64"})"),
                    "data.0.embedding"),
            "AADgQAAAQEA=");
}

TEST_F(Embeddings, OllamaHasTwoShapes) {
  const Value embed = answer("/api/embed", R"({"model":"demo","input":["a","b c"]})");
  EXPECT_EQ(at(embed, "embeddings").as_array().size(), 2u);
  const double x = number_at(embed, "embeddings.0.0"), y = number_at(embed, "embeddings.0.1");
  EXPECT_NEAR(x * x + y * y, 1, 1e-6);
  EXPECT_EQ(text_at(embed, "prompt_eval_count"),
            str_cat(script->requests.at(0).prompt.size() + script->requests.at(1).prompt.size()));
  const Value old = answer("/api/embeddings", R"({"model":"demo","prompt":"a"})");
  EXPECT_EQ(number_at(old, "embedding.1"),
            static_cast<double>(script->requests.at(2).prompt.size()));
}

TEST_F(Embeddings, WhatIsTooLongIsRefusedOrCut) {
  std::string words;
  for (int i = 0; i < 600; ++i) words += "word ";
  const std::string input = str_cat(R"("input":")", words, "\"");
  EXPECT_THAT(text_at(answer("/v1/embeddings", str_cat("{", input, "}"), 400), "error.message"),
              testing::AllOf(HasSubstr("input: text 0 has "), HasSubstr("there may be 511")));
  answer("/api/embed", str_cat("{", input, R"(,"truncate":false})"), 400);
  EXPECT_TRUE(script->requests.empty());
  answer("/api/embed", str_cat("{", input, "}"));
  EXPECT_EQ(script->requests.at(0).prompt.size(), 511u);
  answer("/api/embed", str_cat("{", input, R"(,"options":{"num_ctx":20}})"));
  EXPECT_EQ(script->requests.at(1).prompt.size(), 20u);
}

TEST_F(Embeddings, WhatCannotBeDoneIsRefusedByName) {
  const auto param = [&](const std::string& body) {
    return text_at(answer("/v1/embeddings", body, 400), "error.param");
  };
  EXPECT_EQ(param(R"({"input":"a","dimensions":3})"), "dimensions");
  EXPECT_EQ(param(R"({"input":[]})"), "input");
  EXPECT_EQ(param(R"({"input":[[]]})"), "input");
  EXPECT_EQ(param(R"({"input":[["a"]]})"), "input");
  EXPECT_EQ(param(R"({"input":{}})"), "input");
  EXPECT_EQ(param(R"({"input":"a","encoding_format":"int8"})"), "encoding_format");
  answer("/v1/embeddings", R"({"model":"other","input":"a"})", 404);
}

TEST_F(Embeddings, AClientThatLeavesCancelsThem) {
  script->hold_embeddings = true;
  const auto exchange = post("/v1/embeddings", R"({"input":["a","b"]})");
  EXPECT_EQ(exchange->num_endings, 0);
  ASSERT_TRUE(exchange->gone);
  std::exchange(exchange->gone, nullptr)();
  EXPECT_THAT(script->cancelled, testing::UnorderedElementsAre(1u, 2u));
}

TEST_F(Embeddings, TheyDoNotKeepOthersOutOfTheQueue) {
  script->waiting = script->waiting_embeddings = 300;
  answer("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})");
  script->waiting_embeddings = 8192;
  answer("/v1/embeddings", R"({"input":"a"})", 503);
}

}  // namespace
}  // namespace gemma4::serve

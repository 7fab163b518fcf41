// Which model a routed name means, and files of rules that are wrong.
#include "serve/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RoutesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  Result<Routes> load(const std::string& text) const {
    return Routes::load(write("routes.json", text));
  }
  std::string refusal(const std::string& text) const {
    const auto routes = load(text);
    EXPECT_FALSE(routes.ok()) << text;
    if (routes.ok()) return "";
    EXPECT_THAT(routes.error().message, HasSubstr("routes.json: "));
    return routes.error().message;
  }
  std::string folder_ = ::testing::TempDir() + "gemma4-routes-XXXXXX";
};

TEST_F(RoutesTest, TheFirstRuleThatFitsDecides) {
  const std::string key = write("key", "secret\n");
  const auto loaded = load(str_cat(
      R"({"auto": [{"model": "small", "max_characters": 10, "max_messages": 2, "media": false,
                    "tools": false, "schema": false, "thinking": false, "max_waiting": 3},
                   {"model": "large", "max_waiting": 0},
                   {"endpoint": "https://other.example/v1/", "model": "x", "key_file": ")",
      key, R"("}], "gpt": [{"model": "large"}]})"));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const Routes& routes = loaded.value();
  EXPECT_THAT(routes.names(), ElementsAre("auto", "gpt"));
  EXPECT_TRUE(routes.check({"small", "large"}).ok());
  int64_t waiting = 0;
  bool takes_remote = true;
  const auto chosen = [&](const RequestShape& shape) -> std::string {
    const RouteRule* const rule =
        routes.choose("auto", shape, takes_remote, [&](const std::string&) { return waiting; });
    return rule == nullptr ? "" : rule->model;
  };
  const RequestShape easy{.characters = 10, .messages = 2};
  EXPECT_EQ(chosen(easy), "small");
  EXPECT_EQ(chosen({.characters = 11, .messages = 1}), "large");
  EXPECT_EQ(chosen({.characters = 1, .messages = 3}), "large");
  EXPECT_EQ(chosen({.media = true}), "large");
  EXPECT_EQ(chosen({.tools = true}), "large");
  EXPECT_EQ(chosen({.schema = true}), "large");
  EXPECT_EQ(chosen({.thinking = true}), "large");
  waiting = 3;
  EXPECT_EQ(chosen(easy), "small");
  EXPECT_EQ(chosen({.tools = true}), "x");
  waiting = 4;
  EXPECT_EQ(chosen(easy), "x");
  const RouteRule* const remote = routes.choose("auto", easy, true, [](const auto&) { return 9; });
  EXPECT_EQ(remote->endpoint, "https://other.example/v1");
  EXPECT_EQ(remote->key, "secret");
  takes_remote = false;
  EXPECT_EQ(chosen(easy), "");
  EXPECT_EQ(routes.first_model("auto"), "small");
  EXPECT_EQ(routes.first_model("gpt"), "large");
  EXPECT_EQ(routes.first_model("none"), "");
}

TEST_F(RoutesTest, FilesThatAreWrongAreRefusedByTheirPlace) {
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"", "JSON"},
           {"[]", "expected an object"},
           {R"({"a": {}})", R"("a": expected a name and a list)"},
           {R"({"a": []})", R"("a": expected a name and a list)"},
           {R"({"": [{"model": "m"}]})", "expected a name"},
           {R"({"a": [1]})", "a[0]: expected an object"},
           {R"({"a": [{}]})", "a[0].model: is missing"},
           {R"({"a": [{"model": "m"}, {"model": "m", "max_characters": -1}]})",
            "a[1].max_characters"},
           {R"({"a": [{"model": "m", "media": "no"}]})", "a[0].media"},
           {R"({"a": [{"model": "m", "key_file": "k"}]})", "a[0].key_file: is for an endpoint"},
           {R"({"a": [{"model": "m", "endpoint": "other"}]})", "a[0].endpoint"},
           {R"({"a": [{"model": "m", "endpoint": "http://o", "max_waiting": 1}]})",
            "a[0].max_waiting"},
           {R"({"a": [{"model": "m", "max_chars": 1}]})", "max_chars"},
           {R"({"a": [{"model": "m", "endpoint": "http://o", "key_file": "/none/k"}]})", "/none/k"},
       })
    EXPECT_THAT(refusal(text), HasSubstr(part)) << text;
  const auto routes = load(R"({"a": [{"model": "m"}]})");
  EXPECT_THAT(routes.value().check({"n"}).error().message,
              HasSubstr("a rule of \"a\" is for \"m\""));
  EXPECT_THAT(routes.value().check({"m", "a"}).error().message, HasSubstr("the name of a model"));
}

TEST(RequestShapes, AreWhatTheRequestHas) {
  ChatRequest request;
  request.messages = {
      {.role = "system", .content = "four"},
      {.role = "user",
       .content = std::vector<chat::ContentPart>{
           {.text = "five!"}, {.type = chat::ContentPart::Type::kFile, .source = "upload:x"}}}};
  const RequestShape shape = shape_of(request);
  EXPECT_EQ(shape.characters, 9);
  EXPECT_EQ(shape.messages, 2);
  EXPECT_TRUE(shape.media);
  EXPECT_FALSE(shape.tools || shape.schema || shape.thinking);
  ChatRequest raw;
  raw.prompts = {std::string("abc"), std::vector<int32_t>{1, 2}};
  raw.form.regex = "a";
  raw.thinking = true;
  EXPECT_EQ(shape_of(raw).characters, 11);
  EXPECT_TRUE(shape_of(raw).schema && shape_of(raw).thinking);
  EXPECT_FALSE(shape_of(raw).media);
}

}  // namespace
}  // namespace gemma4::serve

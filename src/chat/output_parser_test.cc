#include "chat/output_parser.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "chat/answer.h"
#include "chat/chat_format.h"
#include "chat/marked_text.h"
#include "chat/template_text.h"
#include "chat/verify_cases.h"

namespace gemma4::chat {
namespace {

constexpr int32_t kTextId = 1000;

const std::map<std::string, int32_t, std::less<>>& control_ids() {
  static const std::map<std::string, int32_t, std::less<>> ids = {
      {"<pad>", 0},         {"<eos>", 1},         {"<bos>", 2},
      {"<|tool_call>", 48}, {"<tool_call|>", 49}, {"<|tool_response>", 50},
      {"<|\"|>", 52},       {"<|channel>", 100},  {"<channel|>", 101},
      {"<|turn>", 105},     {"<turn|>", 106}};
  return ids;
}

std::optional<int32_t> id_of(std::string_view token) {
  const auto found = control_ids().find(token);
  if (found == control_ids().end()) return std::nullopt;
  return found->second;
}

// One step of generation: an id and the text that the detokenizer released for it.
struct Step {
  int32_t id = kTextId;
  std::string text;
};

// Control tokens become ids without text; what stands between them becomes one step.
std::vector<Step> to_steps(std::string_view output) {
  std::vector<Step> steps;
  std::string text;
  const auto flush = [&] {
    if (!text.empty()) steps.push_back({kTextId, std::exchange(text, "")});
  };
  while (!output.empty()) {
    bool is_control = false;
    for (const auto& [token, id] : control_ids()) {
      if (!output.starts_with(token)) continue;
      flush();
      steps.push_back({id, ""});
      output.remove_prefix(token.size());
      is_control = true;
      break;
    }
    if (is_control) continue;
    text += output[0];
    output.remove_prefix(1);
  }
  flush();
  return steps;
}

struct Answer {
  std::string content;
  std::string reasoning;
  int num_ends = 0;

  bool operator==(const Answer&) const = default;
};

void PrintTo(const Answer& answer, std::ostream* out) {
  *out << testing::PrintToString(std::tie(answer.content, answer.reasoning, answer.num_ends));
}

Answer parse(const std::vector<Step>& steps,
             OutputParser::Start start = OutputParser::Start::kContent) {
  OutputParser parser(find_markers(id_of).value(), {.start = start});
  Answer answer;
  const auto take = [&](const std::vector<Event>& events) {
    for (const Event& event : events) {
      EXPECT_EQ(answer.num_ends, 0) << "an event after the end";
      EXPECT_EQ(event.text.empty(), event.kind == Event::Kind::kEnd);
      if (event.kind == Event::Kind::kContent) answer.content += event.text;
      if (event.kind == Event::Kind::kReasoning) answer.reasoning += event.text;
      if (event.kind == Event::Kind::kEnd) ++answer.num_ends;
    }
  };
  for (const Step& step : steps) take(parser.push(step.id, step.text));
  take(parser.finish());
  EXPECT_TRUE(parser.ended());
  return answer;
}

// The same steps, each text cut in two where `cut(text)` says.
template <typename Cut>
std::vector<Step> cut_texts(const std::vector<Step>& steps, Cut cut) {
  std::vector<Step> pieces;
  for (const Step& step : steps) {
    if (step.text.empty()) {
      pieces.push_back(step);
      continue;
    }
    std::string_view rest = step.text;
    while (!rest.empty()) {
      const size_t length = cut(rest);
      pieces.push_back({step.id, std::string(rest.substr(0, length))});
      rest.remove_prefix(pieces.back().text.size());
    }
  }
  return pieces;
}

// Every way of cutting that the tests try must give `expected`.
void expect_for_any_cut(const std::vector<Step>& steps, OutputParser::Start start,
                        const Answer& expected) {
  EXPECT_EQ(parse(steps, start), expected);
  EXPECT_EQ(parse(cut_texts(steps, [](auto) { return size_t{1}; }), start), expected);
  for (size_t i = 0; i < steps.size(); ++i) {
    for (size_t at = 1; at < steps[i].text.size(); ++at) {
      std::vector<Step> two = steps;
      two.insert(two.begin() + i + 1, {kTextId, steps[i].text.substr(at)});
      two[i].text.resize(at);
      EXPECT_EQ(parse(two, start), expected) << "step " << i << " cut at " << at;
    }
  }
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    const auto cut = [&](std::string_view rest) { return 1 + random() % rest.size(); };
    EXPECT_EQ(parse(cut_texts(steps, cut), start), expected);
  }
}

Message read_marked(std::string_view output, const ParserOptions& options,
                    const std::function<size_t(std::string_view rest)>& cut) {
  OutputParser parser(MarkedText::markers(), options);
  MarkedText marked;
  AnswerBuilder answer;
  while (!output.empty()) {
    const size_t length = cut(output);
    for (const auto& [id, text] : marked.push(output.substr(0, length)))
      answer.add(parser.push(id, text));
    output.remove_prefix(length);
  }
  for (const auto& [id, text] : marked.finish()) answer.add(parser.push(id, text));
  answer.add(parser.finish());
  EXPECT_TRUE(answer.ended());
  return answer.message();
}

TEST(OutputParser, ReadsEveryCaseHoweverItIsCut) {
  std::ifstream file(GEMMA4_SOURCE_DIR "/tests/golden/spec/tool-parse-cases.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto report = verify_tool_cases(text);
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const auto& [name, difference] : report.value().failures)
    ADD_FAILURE() << name << ": " << difference;
  EXPECT_EQ(report.value().num_cases, 74);

  const json::Value root = json::parse(text).value();
  std::mt19937 random(5);
  for (const json::Value& c : root.find("cases")->as_array()) {
    ParserOptions options{.tool_calls = ToolCalls::kRead};
    if (const json::Value* tools = c.find("tools")) options.tools = tools->as_array();
    const std::string& output = c.find("model_output")->as_string();
    const auto whole = [](std::string_view rest) { return rest.size(); };
    const auto at_random = [&](std::string_view rest) { return 1 + random() % rest.size(); };
    const Message expected = read_marked(output, options, whole);
    for (int round = 0; round < 100; ++round)
      ASSERT_EQ(read_marked(output, options, at_random), expected) << output;
  }
}

std::vector<Event> read_calls(const std::string& output, const json::Value::Array& tools = {}) {
  OutputParser parser(find_markers(id_of).value(),
                      {.tool_calls = ToolCalls::kRead, .tools = tools});
  std::vector<Event> events;
  const auto take = [&](const std::vector<Event>& more) {
    events.insert(events.end(), more.begin(), more.end());
  };
  for (const Step& step : to_steps(output)) take(parser.push(step.id, step.text));
  take(parser.finish());
  return events;
}

TEST(OutputParser, CallsComeAsEvents) {
  using Kind = Event::Kind;
  const std::vector<Event> expected = {{Kind::kReasoning, "why"},
                                       {Kind::kContent, "Look:"},
                                       {Kind::kCallStarted, "f", 0},
                                       {Kind::kArguments, R"({"a":"x"})", 0},
                                       {Kind::kCallFinished, "", 0},
                                       {Kind::kCallStarted, "g", 1},
                                       {Kind::kArguments, "{}", 1},
                                       {Kind::kCallFinished, "", 1},
                                       {Kind::kEnd, "", 0, EndReason::kStopToken}};
  EXPECT_EQ(read_calls("<|channel>thought\nwhy\n<channel|>Look:\n"
                       "<|tool_call>call:f{a:<|\"|>x<|\"|>}<tool_call|>"
                       "<|tool_call>call:g<tool_call|> <|tool_response>"),
            expected);
}

TEST(OutputParser, ACallStartsAsSoonAsItsNameIsKnown) {
  OutputParser parser(find_markers(id_of).value(), {.tool_calls = ToolCalls::kRead});
  EXPECT_TRUE(parser.push(48, "").empty());
  EXPECT_TRUE(parser.push(kTextId, "call:get_weather").empty());
  const std::vector<Event> started = {{Event::Kind::kCallStarted, "get_weather", 0}};
  EXPECT_EQ(parser.push(kTextId, "{city"), started);
  EXPECT_EQ(parser.num_calls(), 1);
  EXPECT_FALSE(parser.ended());
}

TEST(OutputParser, WhatOnlyLooksLikeACallIsContent) {
  using Kind = Event::Kind;
  const Event cut_off{Kind::kEnd, "", 0, EndReason::kCutOff};
  const auto expect_content = [&](const std::string& output, const std::string& content) {
    EXPECT_EQ(read_calls(output), (std::vector<Event>{{Kind::kContent, content}, cut_off}))
        << output;
  };
  expect_content("<|tool_call>call:f", "call:f");
  expect_content("<|tool_call>f{a:<|\"|>x<|\"|>}<tool_call|>", "f{a:<|\"|>x<|\"|>}");
  expect_content("<|tool_call>call:<|\"|>f<|\"|>{}<tool_call|>", "call:<|\"|>f<|\"|>{}");
  expect_content("<|tool_call>call:{}<tool_call|>", "call:{}");
  expect_content("<|tool_call>callf:g{}<tool_call|>", "callf:g{}");
  // The whitespace before it was none before a call.
  OutputParser parser(find_markers(id_of).value(), {.tool_calls = ToolCalls::kRead});
  std::vector<Event> events = parser.push(kTextId, "a \n");
  EXPECT_EQ(events, (std::vector<Event>{{Kind::kContent, "a"}}));
  parser.push(48, "");
  parser.push(kTextId, "b");
  events = parser.push(49, "");
  EXPECT_EQ(events, (std::vector<Event>{{Kind::kContent, " \nb"}}));
}

TEST(OutputParser, EdgesOfTheRules) {
  struct Case {
    const char* output;
    const char* content;
    const char* reasoning;
  };
  const Case cases[] = {
      {"", "", ""},
      {"<|channel>", "", ""},
      {"<|channel>thought", "", ""},
      {"<|channel>thou", "", "thou"},  // cut off inside the label: kept, nothing is lost
      {"<|channel>thou<turn|>", "", "thou"},
      {"<|channel>thought\n \n<channel|>x", "x", ""},
      {"<|channel> thought\na<channel|>x", "x", " thought\na"},
      {"<|channel>thought\na \n<channel|>x<|channel>thought\n\tb\n<channel|>", "x", "a \n\tb"},
      {"<|channel>thought\na<|channel>b<channel|>", "", "ab"},
      {"a<|turn>b<bos>c<pad>d", "abcd", ""},
      {"say <|\"|>x<|\"|>", "say <|\"|>x<|\"|>", ""},
      {"<|channel>thought\n\n<|\"|> \n<channel|>x", "x", "\n<|\"|>"},
      {"a<turn|>b<|channel>c<turn|>", "a", ""},
      {"a<|tool_response>", "a", ""},
      {" \n ", " \n ", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.output);
    expect_for_any_cut(to_steps(c.output), OutputParser::Start::kContent,
                       {c.content, c.reasoning, 1});
  }
}

TEST(OutputParser, MarkersAreIdsNotText) {
  const std::vector<Step> steps = {{kTextId, "<|channel>thought\nno<channel|><turn|>"}};
  EXPECT_EQ(parse(steps), (Answer{"<|channel>thought\nno<channel|><turn|>", "", 1}));
}

TEST(OutputParser, TextThatComesWithAMarkerIsOlderThanIt) {
  const std::vector<Step> steps = {{100, ""},      {kTextId, "thought\nwhy"}, {101, "?"},
                                   {kTextId, "4"}, {106, "\xEF\xBF\xBD"},     {kTextId, "lost"}};
  EXPECT_EQ(parse(steps), (Answer{"4\xEF\xBF\xBD", "why?", 1}));
}

TEST(OutputParser, ContentIsReleasedAtOnce) {
  OutputParser parser(find_markers(id_of).value());
  EXPECT_EQ(parser.push(kTextId, "a \n"), (std::vector<Event>{{Event::Kind::kContent, "a \n"}}));
  EXPECT_EQ(parser.push(106, ""), (std::vector<Event>{{Event::Kind::kEnd, ""}}));
  EXPECT_TRUE(parser.push(kTextId, "b").empty());
  EXPECT_TRUE(parser.finish().empty());
}

TEST(OutputParser, FindMarkersNamesTheMissingToken) {
  const auto markers = find_markers([](std::string_view token) -> std::optional<int32_t> {
    if (token == "<channel|>") return std::nullopt;
    return 7;
  });
  ASSERT_FALSE(markers.ok());
  EXPECT_EQ(markers.error().code, ErrorCode::kInvalidData);
  EXPECT_NE(markers.error().message.find("<channel|>"), std::string::npos);
}

TEST(OutputParser, OptionalMarkersMayBeAbsent) {
  const auto markers = find_markers([](std::string_view token) -> std::optional<int32_t> {
    if (token == "<|\"|>" || token == "<|tool_response>" || token == "<eos>") return std::nullopt;
    return id_of(token);
  });
  ASSERT_TRUE(markers.ok());
  EXPECT_FALSE(markers.value().quote.has_value());
  EXPECT_EQ(markers.value().stops, std::vector<int32_t>{106});
}

// What the template writes for an answer with a thought is read back as that answer.
TEST(OutputParser, ReadsBackWhatTheTemplateRenders) {
  const std::vector<std::string> pieces = {"a", "b", " ", "\n", "\t", "thought", "<", "\xC3\xA4"};
  std::mt19937 random(11);
  const auto text = [&] {
    std::string s;
    for (unsigned n = random() % 8; n > 0; --n) s += pieces[random() % pieces.size()];
    return s;
  };
  const std::string before = "<bos><|turn>user\nHi<turn|>\n<|turn>model\n";
  for (int round = 0; round < 2000; ++round) {
    const Message answer{"assistant", text(), text()};
    const auto prompt = render({{"user", "Hi"}, answer}, {.add_generation_prompt = false});
    ASSERT_TRUE(prompt.ok());
    const std::string rendered = to_string(prompt.value());
    ASSERT_TRUE(rendered.starts_with(before));

    std::string reasoning = answer.reasoning;
    reasoning.erase(reasoning.find_last_not_of(" \t\n") + 1);
    const Answer expected{strip_thoughts(std::get<std::string>(answer.content)), reasoning, 1};
    ASSERT_EQ(parse(to_steps(rendered.substr(before.size()))), expected) << rendered;
  }
}

}  // namespace
}  // namespace gemma4::chat

// Any stream of ids and texts as an answer: one end, no marker in the content, arguments that are
// JSON, and the same events however the texts are cut.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "chat/answer.h"
#include "chat/marked_text.h"
#include "chat/output_parser.h"
#include "json/json.h"

namespace {

using namespace gemma4;
using namespace gemma4::chat;

struct Step {
  int32_t id;
  std::string text;
};

// Bytes below 0x20 that no text needs are control tokens, the others text.
std::vector<Step> to_steps(std::string_view bytes) {
  constexpr int32_t kNumIds = 12;  // the markers of MarkedText and some that mean nothing
  std::vector<Step> steps;
  for (const char byte : bytes) {
    const auto value = static_cast<uint8_t>(byte);
    if (value >= 0x10 && value < 0x10 + kNumIds) {
      steps.push_back({value - 0x10, ""});
    } else if (steps.empty() || steps.back().id != MarkedText::kText) {
      steps.push_back({MarkedText::kText, std::string(1, byte)});
    } else {
      steps.back().text += byte;
    }
  }
  return steps;
}

// Events of the same kind and call that follow each other as one.
std::vector<Event> read(const std::vector<Step>& steps, const ParserOptions& options,
                        size_t piece_bytes) {
  OutputParser parser(MarkedText::markers(), options);
  std::vector<Event> joined;
  int num_ends = 0;
  const auto take = [&](const std::vector<Event>& events) {
    for (const Event& event : events) {
      G4_CHECK_EQ(num_ends, 0);
      num_ends += event.kind == Event::Kind::kEnd ? 1 : 0;
      if (!joined.empty() && joined.back().kind == event.kind &&
          joined.back().call_idx == event.call_idx) {
        joined.back().text += event.text;
      } else {
        joined.push_back(event);
      }
    }
  };
  for (const Step& step : steps) {
    std::string_view rest = step.text;
    while (rest.size() > piece_bytes) {
      take(parser.push(MarkedText::kText, rest.substr(0, piece_bytes)));
      rest.remove_prefix(piece_bytes);
    }
    take(parser.push(step.id, rest));
  }
  take(parser.finish());
  take(parser.finish());
  G4_CHECK(parser.ended());
  G4_CHECK_EQ(num_ends, 1);
  return joined;
}

void check_calls(const std::vector<Event>& events) {
  int num_started = 0, num_finished = 0;
  for (const Event& event : events) {
    if (event.kind == Event::Kind::kCallStarted) {
      G4_CHECK(!event.text.empty());
      G4_CHECK_EQ(event.call_idx, num_started++);
    } else if (event.kind == Event::Kind::kArguments) {
      const auto arguments = json::parse(event.text);
      G4_CHECK(arguments.ok() && arguments.value().is_object());
      // Names are unique, numbers as written; only for the integer -0 JSON's reader gives 0.
      G4_CHECK(json::dump(arguments.value()) == event.text ||
               event.text.find("-0") != event.text.npos);
    } else if (event.kind == Event::Kind::kCallFinished) {
      G4_CHECK_EQ(event.call_idx, num_finished++);
    }
  }
  G4_CHECK_EQ(num_started, num_finished);
}

const json::Value::Array& tools() {
  static const json::Value::Array declared = json::parse(R"([{"function": {"name": "f",
      "parameters": {"properties": {"a": {"type": "string"}, "b": {"type": ["integer", "null"]},
      "c": {"type": "array", "items": {"type": "number"}}, "d": {"type": "boolean"},
      "e": {"anyOf": [{"type": "object"}, {"type": "array"}], "properties": {"a": {}}}}}}}])")
                                                 .value()
                                                 .as_array();
  return declared;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  ParserOptions options{.tools = tools()};
  options.tool_calls = (data[0] & 1) != 0 ? ToolCalls::kRead : ToolCalls::kIgnore;
  if ((data[0] & 2) != 0) options.start = ParserOptions::Start::kReasoning;

  const std::vector<Step> steps = to_steps(bytes);
  const std::vector<Event> whole = read(steps, options, size);
  check_calls(whole);
  for (const size_t piece_bytes : {size_t{1}, size_t{1} + (data[0] >> 2) % 8})
    G4_CHECK(read(steps, options, piece_bytes) == whole);

  // A marker that came as an id leaves no text: without "<" in the texts there is none at all,
  // but for the quote, which is one.
  if (bytes.find('<') == bytes.npos)
    for (const Event& event : whole)
      for (size_t at = event.text.find('<'); at != event.text.npos;
           at = event.text.find('<', at + 1))
        G4_CHECK(std::string_view(event.text).substr(at).starts_with("<|\"|>") ||
                 std::string_view(event.text).substr(at).starts_with("<|\\\"|>"));

  // The same bytes as text alone, cut or not.
  AnswerBuilder at_once, bytewise;
  for (AnswerBuilder* answer : {&at_once, &bytewise}) {
    OutputParser parser(MarkedText::markers(), options);
    MarkedText marked;
    const size_t length = answer == &at_once ? size : 1;
    for (size_t at = 0; at < bytes.size(); at += length)
      for (const auto& [id, text] : marked.push(bytes.substr(at, length)))
        answer->add(parser.push(id, text));
    for (const auto& [id, text] : marked.finish()) answer->add(parser.push(id, text));
    answer->add(parser.finish());
  }
  G4_CHECK(at_once.message() == bytewise.message());
  return 0;
}

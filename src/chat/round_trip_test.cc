// What the template writes for an answer is read back as that answer, whatever is in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "chat/answer.h"
#include "chat/chat_format.h"
#include "chat/marked_text.h"
#include "chat/openai_messages.h"
#include "chat/template_text.h"
#include "chat/value_text.h"

namespace gemma4::chat {
namespace {

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  size_t below(size_t end) { return random_() % end; }

  // Any text, with a taste for what could be mistaken for something else.
  std::string text() {
    static const std::vector<std::string> kPieces = {"<|\"|>",
                                                     "<|tool_call>",
                                                     "<tool_call|>",
                                                     "<|tool_response>",
                                                     "<|channel>",
                                                     "<channel|>",
                                                     "<turn|>",
                                                     "thought\n",
                                                     "call:f{",
                                                     "\"",
                                                     "'",
                                                     "\\",
                                                     "{",
                                                     "}",
                                                     "[",
                                                     "]",
                                                     ",",
                                                     ":",
                                                     "\n",
                                                     " ",
                                                     "\t",
                                                     "null",
                                                     "1",
                                                     "a",
                                                     "\xC3\x9F",
                                                     "\xE6\x90\x9C",
                                                     "\xF0\x9F\x98\x80",
                                                     "\xEF\xBF\xBD",
                                                     std::string(1, '\0')};
    std::string s;
    for (size_t n = below(8); n > 0; --n) s += below(3) == 0 ? character() : kPieces[below(29)];
    return s;
  }

  // A name that needs no delimiters; "key:" is read up to the colon and trimmed.
  std::string key() {
    std::string s;
    for (size_t n = 1 + below(4); n > 0; --n) s += "abzAZ09_.-$"[below(11)];
    if (below(4) == 0) s += character();
    return s;
  }

  json::Value value(int depth) {
    switch (below(depth > 0 ? 8 : 6)) {
      case 0:
        return nullptr;
      case 1:
        return below(2) == 0;
      case 2:
        return static_cast<int>(below(2000)) - 1000;
      case 3:
        return json::Number{below(2) == 0 ? "0.25" : "-1e+22"};
      case 4:
      case 5:
        return text();
      case 6: {
        json::Value::Array list;
        for (size_t n = below(4); n > 0; --n) list.push_back(value(depth - 1));
        return list;
      }
      default:
        return object(depth - 1);
    }
  }

  json::Value object(int depth) {
    json::Value members = json::Value::Object();
    for (size_t n = below(4); n > 0; --n) members.set(key(), value(depth));
    return members;
  }

 private:
  std::string character() {
    char32_t c = 0;
    do {
      c = static_cast<char32_t>(below(2) == 0 ? below(0x3000) : below(0x110000));
    } while (c < 0x80 || (c >= 0xD800 && c < 0xE000) || !trim(utf8(c)).size());
    return utf8(c);
  }
  static std::string utf8(char32_t c) {
    std::string s;
    if (c < 0x80) return std::string(1, static_cast<char>(c));
    if (c >= 0x10000) s += static_cast<char>(0xF0 | c >> 18);
    if (c >= 0x800) {
      s += static_cast<char>(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3F) : 0xE0 | c >> 12);
      s += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    } else {
      s += static_cast<char>(0xC0 | c >> 6);
    }
    s += static_cast<char>(0x80 | (c & 0x3F));
    return s;
  }

  std::mt19937 random_;
};

// The prompt as ids and texts, without its first `before` bytes.
std::vector<MarkedText::Piece> pieces_of(const std::vector<PromptPart>& parts, size_t before) {
  std::vector<MarkedText::Piece> pieces;
  for (const PromptPart& part : parts) {
    const size_t cut = std::min(before, part.text.size());
    before -= cut;
    const std::string text = part.text.substr(cut);
    if (text.empty()) continue;
    if (!part.from_template) {
      pieces.push_back({MarkedText::kText, text});
      continue;
    }
    MarkedText marked;
    for (const auto& piece : marked.push(text)) pieces.push_back(piece);
    for (const auto& piece : marked.finish()) pieces.push_back(piece);
  }
  return pieces;
}

// `value` with all members in the order of the template.
json::Value sorted(const json::Value& value) {
  if (value.is_array()) {
    json::Value::Array list;
    for (const json::Value& element : value.as_array()) list.push_back(sorted(element));
    return list;
  }
  if (!value.is_object()) return value;
  json::Value::Object members;
  for (const json::Value::Member* member : sorted_members(value))
    members.emplace_back(member->first, sorted(member->second));
  return members;
}

// Renders `answer` after a question and reads the turn back, in pieces cut at random.
Message there_and_back(const Message& answer, Generator& random) {
  const std::vector<Message> question = {{"user", "Hi"}};
  std::vector<Message> both = question;
  both.push_back(answer);
  const RenderOptions options{.add_generation_prompt = false};
  const size_t before =
      to_string(render(question, options).value()).size() + std::string("<|turn>model\n").size();
  OutputParser parser(MarkedText::markers(), {.tool_calls = ToolCalls::kRead});
  AnswerBuilder read;
  for (const auto& [id, text] : pieces_of(render(both, options).value(), before)) {
    std::string_view rest = text;
    while (rest.size() > 1) {
      const size_t length = 1 + random.below(rest.size());
      read.add(parser.push(MarkedText::kText, rest.substr(0, length)));
      rest.remove_prefix(length);
    }
    read.add(parser.push(id, rest));
  }
  read.add(parser.finish());
  EXPECT_EQ(read.end_reason(), EndReason::kStopToken);
  return read.message();
}

TEST(RoundTrip, AnswersComeBack) {
  Generator random(13);
  for (int round = 0; round < 5000; ++round) {
    Message answer{.role = "assistant", .content = random.text()};
    if (random.below(2) == 0) answer.reasoning = random.text();
    for (size_t n = random.below(3); n > 0; --n)
      answer.tool_calls.push_back({.name = "f" + random.key(), .arguments = random.object(3)});

    Message expected = answer;
    // The template writes members in its order and strips what surrounds text and thoughts.
    for (ToolCall& call : expected.tool_calls) call.arguments = sorted(call.arguments);
    std::string& reasoning = expected.reasoning;
    reasoning.erase(reasoning.find_last_not_of(" \t\r\n") + 1);
    const std::string content = strip_thoughts(std::get<std::string>(answer.content));
    expected.content = content;
    if (content.empty() && !answer.tool_calls.empty()) expected.content = Content();
    const Message found = there_and_back(answer, random);
    ASSERT_EQ(found, expected) << json::dump(to_json(found)) << "\n"
                               << json::dump(to_json(expected));
  }
}

}  // namespace
}  // namespace gemma4::chat

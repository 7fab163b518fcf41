// What a conversation is made of: messages with text, media, thoughts, tool calls and their
// results.
//
//   Message question{.role = "user", .content = "How warm is it in Oslo?"};
//   Message call{.role = "assistant", .tool_calls = {{"1", "get_weather", arguments}}};
//   Message result{.role = "tool", .content = "18 C", .tool_call_id = "1"};
//
// The field names are those of the OpenAI API; JSON of that API is read and written by
// openai_messages.h. Plain values: nothing here renders or checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "json/json.h"

namespace gemma4::chat {

// One element of a content list.
struct ContentPart {
  enum class Type {
    kText,
    kImage,
    kAudio,
    kVideo,
    kFile,   // a picture, sound or film: which one, `source` decides when it is opened
    kOther,  // a type that the template does not know and passes over
  };
  std::string text = {};  // of a text part
  Type type = Type::kText;
  std::string source = {};  // of media: a URL, "data:" included; not rendered, not read here
  // That a picture may have; 0: as many as fit it. Not set: the default.
  std::optional<int64_t> soft_tokens = {};

  bool operator==(const ContentPart&) const = default;
};

// Null (the first), a string, or a list of parts. A string and a list with one text are rendered
// differently in the system turn, null and "" differently as the result of a tool.
using Content = std::variant<std::monostate, std::string, std::vector<ContentPart>>;

// The source of a medium that was uploaded before: "upload:" and its id.
inline constexpr std::string_view kUploaded = "upload:";
inline std::string uploaded(std::string_view id) { return std::string(kUploaded).append(id); }

struct ToolCall {
  std::string id = {};  // which tool messages name; may be empty
  std::string name = {};
  json::Value arguments = {};  // an object; null stands for an empty one

  bool operator==(const ToolCall&) const = default;
};

// Gemma's own way to give a result, inside the message that called. OpenAI's are tool messages.
struct ToolResponse {
  std::string name = {};
  json::Value response = {};  // an object becomes members, anything else one value

  bool operator==(const ToolResponse&) const = default;
};

struct Message {
  std::string role = {};  // "system", "developer", "user", "assistant", "tool"; others pass through
  Content content = {};
  std::string reasoning = {};  // thoughts before this message, without markers; empty: none
  std::vector<ToolCall> tool_calls = {};  // of an assistant
  std::vector<ToolResponse> tool_responses = {};
  std::string tool_call_id = {};  // of a tool message: the call that it answers
  std::string name = {};          // of a tool message: the function, if no call has that id

  bool operator==(const Message&) const = default;
};

}  // namespace gemma4::chat

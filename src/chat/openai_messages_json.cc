// The way from a message to JSON; openai_messages.cc has the way back.
#include <string_view>
#include <utility>

#include "chat/openai_messages.h"

namespace gemma4::chat {
namespace {

using json::Value;

Value to_json(const ContentPart& part) {
  const Value source(part.source);
  switch (part.type) {
    case ContentPart::Type::kText:
      return Value::Object{{"type", "text"}, {"text", part.text}};
    case ContentPart::Type::kImage:
      return Value::Object{{"type", "image_url"}, {"image_url", Value::Object{{"url", source}}}};
    case ContentPart::Type::kVideo:
      return Value::Object{{"type", "video_url"}, {"video_url", Value::Object{{"url", source}}}};
    case ContentPart::Type::kFile:
      return Value::Object{{"type", "file"}, {"file", Value::Object{{"file_data", source}}}};
    case ContentPart::Type::kOther:
      return Value::Object{{"type", source}};
    case ContentPart::Type::kAudio:
      break;
  }
  const std::string_view url = part.source;
  constexpr std::string_view kPrefix = "data:audio/", kMiddle = ";base64,";
  const size_t middle = url.find(kMiddle);
  if (!url.starts_with(kPrefix) || middle == url.npos)
    return Value::Object{{"type", "audio"}, {"url", source}};
  return Value::Object{
      {"type", "input_audio"},
      {"input_audio",
       Value::Object{{"data", url.substr(middle + kMiddle.size())},
                     {"format", url.substr(kPrefix.size(), middle - kPrefix.size())}}}};
}

Value to_json(const Content& content) {
  if (const auto* text = std::get_if<std::string>(&content)) return *text;
  const auto* parts = std::get_if<std::vector<ContentPart>>(&content);
  if (parts == nullptr) return nullptr;
  Value::Array list;
  for (const ContentPart& part : *parts) list.push_back(to_json(part));
  return list;
}

}  // namespace

Value to_json(const Message& message) {
  Value out = Value::Object{{"role", message.role}, {"content", to_json(message.content)}};
  if (!message.reasoning.empty()) out.set("reasoning_content", message.reasoning);
  if (!message.tool_calls.empty()) {
    Value::Array calls;
    for (const ToolCall& call : message.tool_calls) {
      const Value arguments = call.arguments.is_null() ? Value(Value::Object()) : call.arguments;
      calls.push_back(Value::Object{
          {"id", call.id},
          {"type", "function"},
          {"function", Value::Object{{"name", call.name}, {"arguments", json::dump(arguments)}}}});
    }
    out.set("tool_calls", std::move(calls));
  }
  if (!message.tool_responses.empty()) {
    Value::Array responses;
    for (const ToolResponse& response : message.tool_responses)
      responses.push_back(Value::Object{{"name", response.name}, {"response", response.response}});
    out.set("tool_responses", std::move(responses));
  }
  if (!message.tool_call_id.empty()) out.set("tool_call_id", message.tool_call_id);
  if (!message.name.empty()) out.set("name", message.name);
  return out;
}

}  // namespace gemma4::chat

#include "chat/openai_messages.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"

namespace gemma4::chat {
namespace {

using json::Value;

Error bad_field(std::string_view field, std::string_view problem) {
  return {ErrorCode::kInvalidArgument, str_cat(field, ": ", problem)};
}

const Value* find_set(const Value& object, std::string_view name) {
  const Value* value = object.find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

// A member that may be missing or null; then empty.
Result<std::string> optional_text(const Value& object, std::string_view name,
                                  const std::string& path) {
  const Value* value = find_set(object, name);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return bad_field(str_cat(path, ".", name), "expected a string");
  return value->as_string();
}

Result<std::string> required_text(const Value& object, std::string_view name,
                                  const std::string& path) {
  const Value* value = object.find(name);
  if (value == nullptr || !value->is_string())
    return bad_field(str_cat(path, ".", name), "expected a string");
  return value->as_string();
}

// The URL of {type: "image_url", image_url: {url}}; also {type: "image", url}.
Result<std::string> media_source(const Value& part, const std::string& type, Dialect dialect,
                                 const std::string& path) {
  const Value* body = find_set(part, type);
  if (body != nullptr && body->is_string()) return body->as_string();
  if (body == nullptr || !body->is_object()) {
    if (dialect == Dialect::kOpenAi && (type.ends_with("_url") || type.starts_with("input_")))
      return bad_field(str_cat(path, ".", type), "expected an object");
    return optional_text(part, "url", path);
  }
  const std::string body_path = str_cat(path, ".", type);
  if (type != "input_audio") return required_text(*body, "url", body_path);
  G4_ASSIGN_OR_RETURN(const std::string data, required_text(*body, "data", body_path));
  G4_ASSIGN_OR_RETURN(const std::string format, required_text(*body, "format", body_path));
  return str_cat("data:audio/", format, ";base64,", data);
}

// {type: "file", file: {file_id}}, or with the file itself as a data URL in file_data.
Result<std::string> file_source(const Value& part, const std::string& path) {
  const Value* file = find_set(part, "file");
  if (file == nullptr || !file->is_object()) return bad_field(path + ".file", "expected an object");
  if (find_set(*file, "file_id") == nullptr)
    return required_text(*file, "file_data", path + ".file");
  G4_ASSIGN_OR_RETURN(const std::string id, required_text(*file, "file_id", path + ".file"));
  return uploaded(id);
}

// Soft tokens of a picture: `image_tokens` beside its URL, or what `detail` within it means.
Result<std::optional<int64_t>> image_tokens(const Value& part, const std::string& type,
                                            const std::string& path) {
  if (const Value* count = find_set(part, "image_tokens")) {
    const auto number = count->is_number() ? count->as_number().as_int64() : std::nullopt;
    for (const int64_t allowed : {70, 140, 280, 560, 1120})
      if (number == allowed) return number;
    return bad_field(path + ".image_tokens", "must be 70, 140, 280, 560 or 1120");
  }
  const Value* body = find_set(part, type);
  const Value* detail = body == nullptr ? nullptr : find_set(*body, "detail");
  if (detail == nullptr || *detail == Value("auto")) return std::optional<int64_t>();
  if (*detail == Value("low")) return std::optional<int64_t>(70);
  if (*detail == Value("high")) return std::optional<int64_t>(1120);
  return bad_field(str_cat(path, ".", type, ".detail"), "must be auto, low or high");
}

Result<ContentPart> parse_part(const Value& part, Dialect dialect, const std::string& path) {
  if (!part.is_object()) return bad_field(path, "expected an object with a type");
  G4_ASSIGN_OR_RETURN(const std::string type, required_text(part, "type", path));
  ContentPart parsed;
  if (type == "text" || (type == "refusal" && dialect == Dialect::kOpenAi)) {
    G4_ASSIGN_OR_RETURN(parsed.text, required_text(part, type, path));
    return parsed;
  }
  if (type == "image" || type == "image_url") {
    parsed.type = ContentPart::Type::kImage;
  } else if (type == "audio" || type == "input_audio") {
    parsed.type = ContentPart::Type::kAudio;
  } else if (type == "video" || (type == "video_url" && dialect == Dialect::kOpenAi)) {
    parsed.type = ContentPart::Type::kVideo;
  } else if (type == "file" && dialect == Dialect::kOpenAi) {
    parsed.type = ContentPart::Type::kFile;
    G4_ASSIGN_OR_RETURN(parsed.source, file_source(part, path));
    return parsed;
  } else if (dialect == Dialect::kTemplate) {
    parsed.type = ContentPart::Type::kOther;
    G4_ASSIGN_OR_RETURN(parsed.text, optional_text(part, "text", path));
    parsed.source = type;
    return parsed;
  } else {
    return bad_field(str_cat(path, ".type"),
                     str_cat("unknown type of content part ", quote(type),
                             "; known are text, image_url, input_audio, video_url and file"));
  }
  G4_ASSIGN_OR_RETURN(parsed.source, media_source(part, type, dialect, path));
  if (parsed.type == ContentPart::Type::kImage) {
    G4_ASSIGN_OR_RETURN(parsed.soft_tokens, image_tokens(part, type, path));
  }
  return parsed;
}

Result<Content> parse_content(const Value& message, std::string_view role, Dialect dialect,
                              const std::string& path) {
  const Value* content = find_set(message, "content");
  if (content == nullptr) {
    if (dialect == Dialect::kOpenAi && role != "assistant")
      return bad_field(path + ".content", "expected a string or a list of parts");
    return Content();
  }
  if (content->is_string()) return Content(content->as_string());
  if (!content->is_array())
    return bad_field(path + ".content", "expected a string or a list of parts");
  std::vector<ContentPart> parts;
  for (const Value& part : content->as_array()) {
    G4_ASSIGN_OR_RETURN(ContentPart parsed,
                        parse_part(part, dialect, str_cat(path, ".content[", parts.size(), "]")));
    parts.push_back(std::move(parsed));
  }
  return Content(std::move(parts));
}

Result<Value> parse_arguments(const Value& function, Dialect dialect, const std::string& path) {
  const Value* arguments = find_set(function, "arguments");
  if (arguments == nullptr) return Value();
  if (arguments->is_object()) return *arguments;
  const std::string field = path + ".arguments";
  if (dialect == Dialect::kTemplate || !arguments->is_string())
    return bad_field(field, "expected an object");
  if (arguments->as_string().empty()) return Value();
  auto parsed = json::parse(arguments->as_string());
  if (!parsed.ok()) return bad_field(field, parsed.error().message);
  if (parsed.value().is_null()) return Value();
  if (!parsed.value().is_object()) return bad_field(field, "expected the text of a JSON object");
  return parsed;
}

// The list `name` of a message; empty if missing or null.
Result<Value::Array> optional_list(const Value& message, std::string_view name,
                                   const std::string& path) {
  const Value* list = find_set(message, name);
  if (list == nullptr) return Value::Array();
  if (!list->is_array()) return bad_field(str_cat(path, ".", name), "expected a list");
  return list->as_array();
}

Result<std::vector<ToolCall>> parse_calls(const Value& message, Dialect dialect,
                                          const std::string& path) {
  G4_ASSIGN_OR_RETURN(const Value::Array list, optional_list(message, "tool_calls", path));
  std::vector<ToolCall> calls;
  for (const Value& call : list) {
    const std::string call_path = str_cat(path, ".tool_calls[", calls.size(), "]");
    const Value* function = call.find("function");
    if (function == nullptr || !function->is_object())
      return bad_field(call_path + ".function", "expected an object");
    ToolCall parsed;
    G4_ASSIGN_OR_RETURN(parsed.id, optional_text(call, "id", call_path));
    G4_ASSIGN_OR_RETURN(parsed.name, required_text(*function, "name", call_path + ".function"));
    G4_ASSIGN_OR_RETURN(parsed.arguments,
                        parse_arguments(*function, dialect, call_path + ".function"));
    calls.push_back(std::move(parsed));
  }
  return calls;
}

Result<std::vector<ToolResponse>> parse_responses(const Value& message, const std::string& path) {
  G4_ASSIGN_OR_RETURN(const Value::Array list, optional_list(message, "tool_responses", path));
  std::vector<ToolResponse> responses;
  for (const Value& response : list) {
    const std::string response_path = str_cat(path, ".tool_responses[", responses.size(), "]");
    if (!response.is_object()) return bad_field(response_path, "expected an object");
    ToolResponse parsed;
    G4_ASSIGN_OR_RETURN(parsed.name, optional_text(response, "name", response_path));
    if (const Value* body = response.find("response")) parsed.response = *body;
    responses.push_back(std::move(parsed));
  }
  return responses;
}

Result<Message> parse_message(const Value& from, Dialect dialect, const std::string& path) {
  if (!from.is_object()) return bad_field(path, "expected an object with a role");
  Message message;
  G4_ASSIGN_OR_RETURN(message.role, required_text(from, "role", path));
  if (dialect == Dialect::kOpenAi && message.role == "function") {
    message.role = "tool";
  } else if (dialect == Dialect::kOpenAi && message.role == "tool") {
    G4_RETURN_IF_ERROR(required_text(from, "tool_call_id", path));
  }
  G4_ASSIGN_OR_RETURN(message.content, parse_content(from, message.role, dialect, path));
  G4_ASSIGN_OR_RETURN(message.reasoning, optional_text(from, "reasoning", path));
  if (message.reasoning.empty()) {
    G4_ASSIGN_OR_RETURN(message.reasoning, optional_text(from, "reasoning_content", path));
  }
  G4_ASSIGN_OR_RETURN(message.tool_calls, parse_calls(from, dialect, path));
  G4_ASSIGN_OR_RETURN(message.tool_responses, parse_responses(from, path));
  G4_ASSIGN_OR_RETURN(message.tool_call_id, optional_text(from, "tool_call_id", path));
  G4_ASSIGN_OR_RETURN(message.name, optional_text(from, "name", path));
  return message;
}

bool is_function_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), is_allowed);
}

Result<Value> parse_tool(const Value& from, const std::string& path) {
  const Value* type = from.find("type");
  if (type == nullptr || *type != Value("function"))
    return bad_field(path + ".type", "expected \"function\", the only type there is");
  const Value* function = from.find("function");
  if (function == nullptr || !function->is_object())
    return bad_field(path + ".function", "expected an object");
  G4_ASSIGN_OR_RETURN(const std::string name, required_text(*function, "name", path + ".function"));
  if (!is_function_name(name))
    return bad_field(
        path + ".function.name",
        "expected 1 to 64 letters, digits, underscores, hyphens and dots, found " + quote(name));
  G4_RETURN_IF_ERROR(optional_text(*function, "description", path + ".function"));
  Value tool = from;
  for (auto& [key, value] : tool.as_object()) {
    if (key != "function") continue;
    std::erase_if(value.as_object(), [](const Value::Member& m) { return m.second.is_null(); });
    for (auto& [name_of, parameters] : value.as_object())
      if (name_of == "parameters" && parameters.is_object() && parameters.find("type") == nullptr)
        parameters.set("type", "object");
  }
  return tool;
}

const std::string& name_of(const Value& tool) {
  return tool.find("function")->find("name")->as_string();
}

}  // namespace

Result<std::vector<Message>> parse_messages(const Value& messages, Dialect dialect) {
  if (!messages.is_array()) return bad_field("messages", "expected a list");
  std::vector<Message> parsed;
  for (const Value& from : messages.as_array()) {
    G4_ASSIGN_OR_RETURN(Message message,
                        parse_message(from, dialect, str_cat("messages[", parsed.size(), "]")));
    parsed.push_back(std::move(message));
  }
  return parsed;
}

Result<Value::Array> parse_tools(const Value& tools, Dialect dialect) {
  if (tools.is_null()) return Value::Array();
  if (!tools.is_array()) return bad_field("tools", "expected a list");
  if (dialect == Dialect::kTemplate) return tools.as_array();
  Value::Array parsed;
  std::map<std::string, size_t> places;  // of names
  for (const Value& from : tools.as_array()) {
    const std::string path = str_cat("tools[", parsed.size(), "]");
    G4_ASSIGN_OR_RETURN(Value tool, parse_tool(from, path));
    const std::string& name = name_of(tool);
    const auto [earlier, is_new] = places.emplace(name, parsed.size());
    if (!is_new)
      return bad_field(path + ".function.name",
                       str_cat("tools[", earlier->second, "] is called ", quote(name), " already"));
    parsed.push_back(std::move(tool));
  }
  return parsed;
}

}  // namespace gemma4::chat

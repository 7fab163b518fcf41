#include "serve/anthropic/content.h"

#include <utility>

#include "base/strings.h"
#include "chat/openai_messages.h"

namespace gemma4::serve::anthropic {

using answer::ToolChoice;
using chat::ContentPart;
using chat::Message;
using json::Value;

namespace {

Error bad(const std::string& path, std::string_view problem) {
  return {ErrorCode::kInvalidArgument, str_cat(path, ": ", problem)};
}

Result<std::string> text_in(const Value& block, std::string_view name, const std::string& path) {
  const Value* value = block.find(name);
  if (value == nullptr || !value->is_string())
    return bad(str_cat(path, ".", name), "expected a string");
  return value->as_string();
}

// {type: "image", source: {type: "base64", media_type, data}}, {type: "url", url} or {type: "file",
// file_id} as its source
Result<ContentPart> image_of(const Value& block, const std::string& path) {
  const Value* source = block.find("source");
  if (source == nullptr || !source->is_object()) return bad(path + ".source", "expected an object");
  const std::string place = path + ".source";
  G4_ASSIGN_OR_RETURN(const std::string type, text_in(*source, "type", place));
  ContentPart part{.type = ContentPart::Type::kImage};
  if (type == "url") {
    G4_ASSIGN_OR_RETURN(part.source, text_in(*source, "url", place));
    return part;
  }
  if (type == "file") {
    G4_ASSIGN_OR_RETURN(const std::string id, text_in(*source, "file_id", place));
    part.source = chat::uploaded(id);
    return part;
  }
  if (type != "base64")
    return bad(place + ".type", str_cat("must be base64, url or file, got ", quote(type)));
  G4_ASSIGN_OR_RETURN(const std::string media_type, text_in(*source, "media_type", place));
  G4_ASSIGN_OR_RETURN(const std::string data, text_in(*source, "data", place));
  part.source = str_cat("data:", media_type, ";base64,", data);
  return part;
}

// The content of a tool's result: text, or blocks of text and images.
Result<chat::Content> result_content(const Value& block, const std::string& path) {
  const Value* content = block.find("content");
  if (content == nullptr || content->is_null()) return chat::Content(std::string());
  if (content->is_string()) return chat::Content(content->as_string());
  if (!content->is_array()) return bad(path + ".content", "expected a string or a list of blocks");
  std::vector<ContentPart> parts;
  for (const Value& inner : content->as_array()) {
    const std::string place = str_cat(path, ".content[", parts.size(), "]");
    G4_ASSIGN_OR_RETURN(const std::string type, text_in(inner, "type", place));
    if (type == "text") {
      ContentPart part;
      G4_ASSIGN_OR_RETURN(part.text, text_in(inner, "text", place));
      parts.push_back(std::move(part));
    } else if (type == "image") {
      G4_ASSIGN_OR_RETURN(ContentPart part, image_of(inner, place));
      parts.push_back(std::move(part));
    } else {
      return bad(place + ".type", str_cat("must be text or image, got ", quote(type)));
    }
  }
  return chat::Content(std::move(parts));
}

// One message of the API as one or several of ours: results of tools are messages of their own.
class MessageReader {
 public:
  MessageReader(std::string role, std::string path)
      : path_(std::move(path)), message_{.role = std::move(role)} {}

  Status read(const Value& content) {
    if (content.is_string()) {
      parts_.push_back({.text = content.as_string()});
      return {};
    }
    if (!content.is_array())
      return bad(path_ + ".content", "expected a string or a list of blocks");
    size_t index = 0;
    for (const Value& block : content.as_array()) {
      const std::string place = str_cat(path_, ".content[", index++, "]");
      G4_ASSIGN_OR_RETURN(const std::string type, text_in(block, "type", place));
      G4_RETURN_IF_ERROR(read_block(type, block, place));
    }
    return {};
  }

  // Results first: they belong to the calls right before this message.
  void take(std::vector<Message>& messages) {
    for (Message& result : results_) messages.push_back(std::move(result));
    if (parts_.empty() && message_.tool_calls.empty() && message_.reasoning.empty()) return;
    if (parts_.size() == 1 && parts_[0].type == ContentPart::Type::kText) {
      message_.content = std::move(parts_[0].text);
    } else if (!parts_.empty()) {
      message_.content = std::move(parts_);
    }
    messages.push_back(std::move(message_));
  }

 private:
  Status read_block(const std::string& type, const Value& block, const std::string& place) {
    const bool by_user = message_.role == "user";
    if (type == "text") {
      ContentPart part;
      G4_ASSIGN_OR_RETURN(part.text, text_in(block, "text", place));
      parts_.push_back(std::move(part));
    } else if (type == "image" && by_user) {
      G4_ASSIGN_OR_RETURN(ContentPart part, image_of(block, place));
      parts_.push_back(std::move(part));
    } else if (type == "thinking" && !by_user) {
      G4_ASSIGN_OR_RETURN(const std::string thought, text_in(block, "thinking", place));
      message_.reasoning += thought;
    } else if (type == "redacted_thinking" && !by_user) {
      return {};  // of another server; nobody can read it
    } else if (type == "tool_use" && !by_user) {
      chat::ToolCall call;
      G4_ASSIGN_OR_RETURN(call.id, text_in(block, "id", place));
      G4_ASSIGN_OR_RETURN(call.name, text_in(block, "name", place));
      const Value* input = block.find("input");
      if (input == nullptr || !input->is_object())
        return bad(place + ".input", "expected an object");
      call.arguments = *input;
      message_.tool_calls.push_back(std::move(call));
    } else if (type == "tool_result" && by_user) {
      Message result{.role = "tool"};
      G4_ASSIGN_OR_RETURN(result.tool_call_id, text_in(block, "tool_use_id", place));
      G4_ASSIGN_OR_RETURN(result.content, result_content(block, place));
      results_.push_back(std::move(result));
    } else {
      return bad(place + ".type", str_cat("a message of role ", message_.role,
                                          " has no blocks of type ", quote(type), " here"));
    }
    return {};
  }

  std::string path_;
  Message message_;
  std::vector<ContentPart> parts_;
  std::vector<Message> results_;
};

// A string, or blocks of text.
Result<std::string> system_text(const Value& system) {
  if (system.is_string()) return system.as_string();
  if (!system.is_array()) return bad("system", "expected a string or a list of text blocks");
  std::string text;
  size_t index = 0;
  for (const Value& block : system.as_array()) {
    const std::string place = str_cat("system[", index++, "]");
    G4_ASSIGN_OR_RETURN(const std::string type, text_in(block, "type", place));
    if (type != "text") return bad(place + ".type", "expected text");
    G4_ASSIGN_OR_RETURN(const std::string piece, text_in(block, "text", place));
    text += (text.empty() ? "" : "\n") + piece;
  }
  return text;
}

Status read_message(const Value& from, const std::string& path, std::vector<Message>& messages) {
  if (!from.is_object()) return bad(path, "expected an object with role and content");
  G4_ASSIGN_OR_RETURN(const std::string role, text_in(from, "role", path));
  if (role != "user" && role != "assistant")
    return bad(path + ".role", str_cat("must be user or assistant, got ", quote(role)));
  const Value* content = from.find("content");
  if (content == nullptr) return bad(path + ".content", "is missing");
  MessageReader reader(role, path);
  G4_RETURN_IF_ERROR(reader.read(*content));
  reader.take(messages);
  return {};
}

// A tool of the API as the chat format declares it.
Result<Value> tool_of(const Value& from, const std::string& path) {
  if (!from.is_object()) return bad(path, "expected an object");
  Fields fields(from, path);
  const auto type = fields.text("type");
  const auto name = fields.text("name");
  const auto description = fields.text("description");
  const Value* schema = fields.object("input_schema");
  fields.ignore({"cache_control", "strict", "input_examples"});
  if (type && *type != "custom")
    return bad(path + ".type", str_cat("this server runs no tools of its own, such as ",
                                       quote(*type), "; declare one with an input_schema"));
  if (!name) fields.fail("name", "is missing");
  if (schema == nullptr) fields.fail("input_schema", "is missing");
  G4_RETURN_IF_ERROR(fields.finish());
  Value function = Value::Object{{"name", *name}};
  if (description) function.set("description", *description);
  function.set("parameters", *schema);
  return Value(Value::Object{{"type", "function"}, {"function", std::move(function)}});
}

}  // namespace

void read_messages(Fields& fields, ChatRequest& request) {
  if (const Value* system = fields.any("system")) {
    const auto text = system_text(*system);
    if (!text.ok()) return fields.fail(text.error());
    if (!text.value().empty())
      request.messages.push_back({.role = "system", .content = text.value()});
  }
  const Value* messages = fields.list("messages");
  if (!fields.ok()) return;
  if (messages == nullptr || messages->as_array().empty())
    return fields.fail("messages", "expected a list with at least one message");
  size_t index = 0;
  for (const Value& from : messages->as_array()) {
    const Status status = read_message(from, str_cat("messages[", index++, "]"), request.messages);
    if (!status.ok()) return fields.fail(status.error());
  }
  // An answer that has been begun is continued.
  request.continue_last = !request.messages.empty() &&
                          request.messages.back().role == "assistant" &&
                          request.messages.back().tool_calls.empty();
}

void read_tools(Fields& fields, ChatRequest& request) {
  if (const Value* tools = fields.list("tools")) {
    Value::Array declared;
    for (const Value& from : tools->as_array()) {
      auto tool = tool_of(from, str_cat("tools[", declared.size(), "]"));
      if (!tool.ok()) return fields.fail(tool.error());
      declared.push_back(std::move(tool).value());
    }
    auto parsed = chat::parse_tools(declared, chat::Dialect::kOpenAi);
    if (!parsed.ok()) return fields.fail(parsed.error());
    request.form.tools = std::move(parsed).value();
  }
  const Value* choice = fields.object("tool_choice");
  if (choice == nullptr) return;
  Fields inner(*choice, "tool_choice");
  const auto type = inner.word("type", {"auto", "any", "tool", "none"});
  const auto name = inner.text("name");
  if (inner.boolean("disable_parallel_tool_use").value_or(false))
    request.form.call_count = constrain::CallCount::kOne;
  if (!type) inner.fail("type", "is missing");
  if (type == "any") request.form.choice.kind = ToolChoice::Kind::kRequired;
  if (type == "none") request.form.choice.kind = ToolChoice::Kind::kNone;
  if (type == "tool") {
    if (!name) inner.fail("name", "is missing");
    request.form.choice = {ToolChoice::Kind::kNamed, name.value_or("")};
  }
  if ((type == "any" || type == "tool") && request.form.tools.empty())
    inner.fail("type", "asks for a call, and there are no tools");
  if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
}

}  // namespace gemma4::serve::anthropic

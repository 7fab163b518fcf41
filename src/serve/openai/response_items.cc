#include "serve/openai/response_items.h"

#include <utility>

#include "base/strings.h"
#include "chat/openai_messages.h"
#include "serve/fields.h"

namespace gemma4::serve::openai {

using chat::Message;
using json::Value;

namespace {

Error bad(const std::string& path, std::string_view problem) {
  return {ErrorCode::kInvalidArgument, str_cat(path, ": ", problem)};
}

std::string type_of(const Value& item) {
  const Value* type = item.find("type");
  if (type == nullptr && item.find("role") != nullptr) return "message";
  return type != nullptr && type->is_string() ? type->as_string() : "";
}

// A part as chat/completions has it, which chat::parse_messages reads.
Result<Value> chat_part(const Value& part, const std::string& path) {
  const std::string type = type_of(part);
  Fields fields(part, path);
  fields.ignore({"type", "prompt_cache_breakpoint"});
  Value out;
  if (type == "input_text" || type == "output_text" || type == "text") {
    const auto text = fields.text("text");
    fields.ignore({"annotations", "logprobs", "parsed"});  // the last is the npm client's own
    if (!text) fields.fail("text", "is missing");
    out = Value::Object{{"type", "text"}, {"text", text.value_or("")}};
  } else if (type == "refusal") {
    const auto text = fields.text("refusal");
    if (!text) fields.fail("refusal", "is missing");
    out = Value::Object{{"type", "refusal"}, {"refusal", text.value_or("")}};
  } else if (type == "input_image") {
    auto url = fields.text("image_url");
    const auto id = fields.text("file_id");
    const auto detail = fields.word("detail", {"auto", "low", "high"});
    const Value* tokens = fields.any("image_tokens");
    if (!url && id) url = chat::uploaded(*id);
    if (!url) fields.fail("image_url", "is missing, and so is file_id");
    out = Value::Object{{"type", "image_url"},
                        {"image_url", Value::Object{{"url", url.value_or("")},
                                                    {"detail", detail.value_or("auto")}}}};
    if (tokens != nullptr) out.set("image_tokens", *tokens);
  } else if (type == "input_audio") {
    const Value* audio = fields.object("input_audio");
    if (audio == nullptr) fields.fail("input_audio", "is missing");
    if (audio != nullptr) out = Value::Object{{"type", "input_audio"}, {"input_audio", *audio}};
  } else if (type == "input_file") {
    Value file = Value::Object();
    for (const char* name : {"file_id", "file_data"})
      if (const auto text = fields.text(name)) file.set(name, *text);
    if (const auto url = fields.text("file_url")) file.set("file_data", *url);
    fields.ignore({"filename", "detail"});
    if (file.as_object().empty()) fields.fail("file_id", "is missing");
    out = Value::Object{{"type", "file"}, {"file", std::move(file)}};
  } else {
    return bad(path + ".type", str_cat("unknown type of content ", quote(type),
                                       "; known are input_text, input_image, input_audio, "
                                       "input_file, output_text and refusal"));
  }
  G4_RETURN_IF_ERROR(fields.finish());
  return out;
}

// `content` is a string or a list of parts.
Result<chat::Content> content_of(const Value* content, const std::string& role,
                                 const std::string& path) {
  if (content != nullptr && content->is_string()) return chat::Content(content->as_string());
  if (content == nullptr || !content->is_array())
    return bad(path, "expected a string or a list of parts");
  Value::Array parts;
  for (const Value& part : content->as_array()) {
    G4_ASSIGN_OR_RETURN(Value read, chat_part(part, str_cat(path, "[", parts.size(), "]")));
    parts.push_back(std::move(read));
  }
  if (parts.size() == 1 && type_of(parts[0]) == "text")
    return chat::Content(parts[0].find("text")->as_string());
  const Value message = Value::Object{{"role", role}, {"content", std::move(parts)}};
  auto parsed = chat::parse_messages(Value::Array{message}, chat::Dialect::kOpenAi);
  if (!parsed.ok()) {  // it calls this "messages[0].content"
    std::string text = parsed.error().message;
    constexpr std::string_view kPlace = "messages[0].content";
    if (text.starts_with(kPlace)) text = path + text.substr(kPlace.size());
    return Error{parsed.error().code, text};
  }
  return std::move(parsed.value()[0].content);
}

class ItemReader {
 public:
  explicit ItemReader(std::vector<Message>& messages) : messages_(messages) {}

  Status read(const Value& item, const std::string& path) {
    if (!item.is_object()) return bad(path, "expected an object");
    const std::string type = type_of(item);
    Fields fields(item, path);
    fields.ignore({"type", "id", "status"});
    if (type == "message") return read_message(fields, path);
    if (type == "reasoning") return read_reasoning(fields, path);
    if (type == "function_call") return read_call(fields, path);
    if (type == "function_call_output") return read_output(fields, path);
    return bad(path + ".type",
               str_cat("unknown type of item ", quote(type),
                       "; known are message, reasoning, function_call and function_call_output"));
  }

 private:
  // The assistant's message that goes on; a new one where it has come further than this.
  Message& assistant(bool is_new) {
    if (!is_open_ || is_new) messages_.push_back({.role = "assistant"});
    is_open_ = true;
    return messages_.back();
  }
  bool has_content() const {
    return is_open_ && !std::holds_alternative<std::monostate>(messages_.back().content);
  }
  bool has_calls() const { return is_open_ && !messages_.back().tool_calls.empty(); }

  Status read_message(Fields& fields, const std::string& path) {
    const auto role = fields.word("role", {"user", "assistant", "system", "developer"});
    const Value* content = fields.any("content");
    fields.ignore({"phase"});
    if (!role) fields.fail("role", "is missing");
    G4_RETURN_IF_ERROR(fields.finish());
    G4_ASSIGN_OR_RETURN(chat::Content read, content_of(content, *role, path + ".content"));
    if (*role == "assistant") {
      assistant(has_content() || has_calls()).content = std::move(read);
    } else {
      is_open_ = false;
      messages_.push_back(
          {.role = *role == "developer" ? "system" : *role, .content = std::move(read)});
    }
    return {};
  }

  // Its text, or what a client has kept of it. What another server has encrypted nobody can read.
  Status read_reasoning(Fields& fields, const std::string& path) {
    std::string text;
    for (const char* name : {"content", "summary"}) {
      const Value* list = fields.list(name);
      if (list == nullptr || !text.empty()) continue;
      for (const Value& part : list->as_array()) {
        const Value* piece = part.find("text");
        if (piece == nullptr || !piece->is_string())
          return bad(str_cat(path, ".", name), "expected a list of objects with a text");
        text += (text.empty() ? "" : "\n") + piece->as_string();
      }
    }
    fields.ignore({"encrypted_content"});
    G4_RETURN_IF_ERROR(fields.finish());
    assistant(has_content() || has_calls()).reasoning += text;
    return {};
  }

  Status read_call(Fields& fields, const std::string& path) {
    chat::ToolCall call;
    const auto id = fields.text("call_id"), name = fields.text("name");
    const auto arguments = fields.text("arguments");
    if (!id) fields.fail("call_id", "is missing");
    if (!name) fields.fail("name", "is missing");
    if (!arguments) fields.fail("arguments", "is missing");
    fields.ignore({"parsed_arguments"});  // which the npm client adds to what it got
    fields.refuse({"namespace", "async", "caller"});
    G4_RETURN_IF_ERROR(fields.finish());
    if (!arguments->empty()) {
      auto parsed = json::parse(*arguments);
      if (!parsed.ok()) return bad(path + ".arguments", parsed.error().message);
      if (!parsed.value().is_object())
        return bad(path + ".arguments", "expected the text of a JSON object");
      call.arguments = std::move(parsed).value();
    }
    call.id = *id;
    call.name = *name;
    assistant(false).tool_calls.push_back(std::move(call));
    return {};
  }

  Status read_output(Fields& fields, const std::string& path) {
    const auto id = fields.text("call_id");
    const Value* output = fields.any("output");
    fields.ignore({"name"});
    if (!id) fields.fail("call_id", "is missing");
    G4_RETURN_IF_ERROR(fields.finish());
    Message message{.role = "tool", .tool_call_id = *id};
    G4_ASSIGN_OR_RETURN(message.content, content_of(output, "user", path + ".output"));
    is_open_ = false;
    messages_.push_back(std::move(message));
    return {};
  }

  std::vector<Message>& messages_;
  bool is_open_ = false;  // the last message is an assistant's, which the next item may go on with
};

Value whole_content(const Value& item) {
  const Value* content = item.find("content");
  if (content == nullptr || !content->is_string()) return content == nullptr ? Value() : *content;
  const Value* role = item.find("role");
  const bool is_assistant = role != nullptr && *role == Value("assistant");
  Value part = Value::Object{{"type", is_assistant ? "output_text" : "input_text"},
                             {"text", content->as_string()}};
  if (is_assistant) part.set("annotations", Value::Array());
  return Value::Array{std::move(part)};
}

}  // namespace

Result<Value::Array> whole_items(const Value& input, const std::string& id) {
  Value::Array items;
  if (input.is_string()) {
    items.push_back(Value::Object{{"role", "user"}, {"content", input}});
  } else if (input.is_array()) {
    items = input.as_array();
  } else {
    return Error{ErrorCode::kInvalidArgument, "input: expected a string or a list of items"};
  }
  for (size_t i = 0; i < items.size(); ++i) {
    Value& item = items[i];
    if (!item.is_object()) return bad(str_cat("input[", i, "]"), "expected an object");
    const std::string type = type_of(item);
    item.set("type", type);
    if (const Value* own = item.find("id"); own == nullptr || !own->is_string())
      item.set("id", str_cat(type == "message" ? "msg_" : "item_", id, "_in", i));
    if (type == "message") {
      item.set("content", whole_content(item));
      if (item.find("status") == nullptr) item.set("status", "completed");
    }
  }
  return items;
}

Status append_messages(const Value::Array& items, const std::string& path,
                       std::vector<Message>& messages) {
  ItemReader reader(messages);
  size_t index = 0;
  for (const Value& item : items)
    G4_RETURN_IF_ERROR(reader.read(item, str_cat(path, "[", index++, "]")));
  return {};
}

}  // namespace gemma4::serve::openai

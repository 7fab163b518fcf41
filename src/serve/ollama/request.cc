#include "serve/ollama/request.h"

#include <deque>
#include <utility>

#include "base/strings.h"
#include "chat/effort.h"
#include "chat/openai_messages.h"
#include "serve/fields.h"
#include "serve/keep_alive.h"

namespace gemma4::serve::ollama {

using chat::ContentPart;
using chat::Message;
using json::Value;

namespace {

void read_options(Fields& fields, ChatRequest& request) {
  const Value* options = fields.object("options");
  if (options == nullptr) return;
  Fields inner(*options, "options");
  SamplingChoice& sampling = request.sampling;
  sampling.temperature = inner.number("temperature", engine::kTemperatureRange);
  if (const auto top_k = inner.integer("top_k", 0, 1 << 30))
    sampling.top_k = static_cast<int32_t>(*top_k);
  sampling.top_p = inner.number("top_p", engine::kTopPRange);
  sampling.min_p = inner.number("min_p", engine::kMinPRange);
  sampling.repetition_penalty = inner.number("repeat_penalty", engine::kRepetitionPenaltyRange);
  sampling.presence_penalty = inner.number("presence_penalty", engine::kPenaltyRange);
  sampling.frequency_penalty = inner.number("frequency_penalty", engine::kPenaltyRange);
  if (const auto seed = inner.integer("seed")) sampling.seed = static_cast<uint64_t>(*seed);
  request.stop = inner.texts("stop");
  // Below nothing: as many as there is room for.
  if (const auto limit = inner.integer("num_predict", -2); limit && *limit > 0)
    request.max_tokens = *limit;
  else if (limit && *limit == 0)
    inner.fail("num_predict", "must not be 0");
  request.min_context = inner.integer("num_ctx", 1);
  // How the machine is used is decided at the server's start.
  inner.ignore({"num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap",
                "use_mlock", "numa", "low_vram", "f16_kv", "vocab_only"});
  inner.refuse({"mirostat", "mirostat_tau", "mirostat_eta", "tfs_z", "typical_p", "repeat_last_n",
                "penalize_newline"});
  if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
}

void read_think(Fields& fields, ChatRequest& request) {
  const Value* think = fields.any("think");
  if (think == nullptr) return;
  if (think->is_bool()) {
    request.thinking = think->as_bool();
    return;
  }
  const auto effort = think->is_string() ? chat::effort_of(think->as_string()) : std::nullopt;
  if (!effort) return fields.fail("think", "must be true, false, low, medium or high");
  request.thinking = effort->thinking;
  if (effort->thinking_budget < std::numeric_limits<int64_t>::max())
    request.form.thinking_budget = effort->thinking_budget;
}

// "json", or a schema.
void read_format(Fields& fields, ChatRequest& request) {
  const Value* format = fields.any("format");
  if (format == nullptr || *format == Value("")) return;
  if (*format == Value("json")) {
    request.form.schema = Value::Object{{"type", "object"}};
  } else if (format->is_object()) {
    request.form.schema = *format;
  } else {
    fields.fail("format", "must be \"json\" or a JSON schema");
  }
}

void read_shared(Fields& fields, ChatRequest& request) {
  request.names.schema = "format";
  request.model = fields.text("model").value_or("");
  request.stream = fields.boolean("stream").value_or(true);
  read_options(fields, request);
  read_think(fields, request);
  read_format(fields, request);
  if (fields.boolean("logprobs").value_or(false) || fields.integer("top_logprobs", 0).value_or(0))
    fields.fail("logprobs", "not in this protocol here; /v1/chat/completions has them");
  request.keep_alive = read_keep_alive(fields);
}

// Base64 without anything that says what it is: the decoders look for themselves.
Result<std::vector<ContentPart>> images_of(const Value* images, const std::string& path) {
  std::vector<ContentPart> parts;
  if (images == nullptr || images->is_null()) return parts;
  const Error wrong{ErrorCode::kInvalidArgument,
                    str_cat(path, ": expected a list of pictures in base64")};
  if (!images->is_array()) return wrong;
  for (const Value& image : images->as_array()) {
    if (!image.is_string()) return wrong;
    const bool is_url = image.as_string().starts_with("data:");
    parts.push_back({.type = ContentPart::Type::kImage,
                     .source = (is_url ? "" : "data:image/unknown;base64,") + image.as_string()});
  }
  return parts;
}

chat::Content content_of(std::vector<ContentPart> images, std::string text) {
  if (images.empty()) return text;
  images.push_back({.text = std::move(text)});
  return images;
}

// Calls here have no ids; results name the function, or come in the order of the calls.
class CallIds {
 public:
  void called(Message& message) {
    open_.clear();
    for (chat::ToolCall& call : message.tool_calls) {
      if (call.id.empty()) call.id = str_cat("call_", ++count_);
      open_.push_back({call.id, call.name});
    }
  }
  void answered(Message& message) {
    if (!message.tool_call_id.empty()) return;
    auto found = open_.begin();
    while (found != open_.end() && !message.name.empty() && found->second != message.name) ++found;
    if (found == open_.end()) return;
    message.tool_call_id = found->first;
    open_.erase(found);
  }

 private:
  int count_ = 0;
  std::deque<std::pair<std::string, std::string>> open_;  // ids and names of calls without results
};

Result<Message> read_message(const Value& from, const std::string& path) {
  if (!from.is_object())
    return Error{ErrorCode::kInvalidArgument, path + ": expected an object with role and content"};
  Fields fields(from, path);
  Message message;
  const auto role = fields.word("role", {"system", "user", "assistant", "tool"});
  if (!role) fields.fail("role", "is missing");
  message.role = role.value_or("");
  std::string text = fields.text("content").value_or("");
  message.reasoning = fields.text("thinking").value_or("");
  message.name = fields.text("tool_name").value_or("");
  if (const auto name = fields.text("name"); name && message.name.empty()) message.name = *name;
  message.tool_call_id = fields.text("tool_call_id").value_or("");
  const Value* images = fields.list("images");
  const Value* calls = fields.list("tool_calls");
  G4_RETURN_IF_ERROR(fields.finish());
  G4_ASSIGN_OR_RETURN(auto parts, images_of(images, path + ".images"));
  message.content = content_of(std::move(parts), std::move(text));
  if (calls != nullptr) {
    // As in a message of OpenAI, whose reader checks them.
    const Value list = Value::Array{Value::Object{{"role", "assistant"}, {"tool_calls", *calls}}};
    auto parsed = chat::parse_messages(list, chat::Dialect::kOpenAi);
    if (!parsed.ok())
      return Error{ErrorCode::kInvalidArgument,
                   str_cat(path, parsed.error().message.substr(std::string("messages[0]").size()))};
    message.tool_calls = std::move(parsed.value()[0].tool_calls);
  }
  return message;
}

// Who asks nothing means a model, or has forgotten something.
void check_model_is_named(Fields& fields, const ChatRequest& request) {
  if (request.model.empty()) fields.fail("model", "is missing, and so is anything to answer");
}

void read_messages(Fields& fields, ChatRequest& request) {
  const Value* messages = fields.list("messages");
  if (!fields.ok()) return;
  if (messages == nullptr) return fields.fail("messages", "expected a list of messages");
  request.only_loads = messages->as_array().empty();
  if (request.only_loads) return check_model_is_named(fields, request);
  CallIds ids;
  for (const Value& from : messages->as_array()) {
    auto message = read_message(from, str_cat("messages[", request.messages.size(), "]"));
    if (!message.ok()) return fields.fail(message.error());
    if (message.value().role == "tool") {
      ids.answered(message.value());
    } else {
      ids.called(message.value());
    }
    request.messages.push_back(std::move(message).value());
  }
}

}  // namespace

Result<ChatRequest> parse_chat(const Value& body) {
  Fields fields(body);
  ChatRequest request;
  read_shared(fields, request);
  read_messages(fields, request);
  if (const Value* tools = fields.list("tools")) {
    auto parsed = chat::parse_tools(*tools, chat::Dialect::kOpenAi);
    if (parsed.ok()) {
      request.form.tools = std::move(parsed).value();
    } else {
      fields.fail(parsed.error());
    }
  }
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

Result<ChatRequest> parse_generate(const Value& body) {
  Fields fields(body);
  ChatRequest request;
  read_shared(fields, request);
  const std::string prompt = fields.text("prompt").value_or("");
  const std::string system = fields.text("system").value_or("");
  const bool raw = fields.boolean("raw").value_or(false);
  auto images = images_of(fields.list("images"), "images");
  if (!images.ok()) fields.fail(images.error());
  request.only_loads = prompt.empty();
  if (request.only_loads) check_model_is_named(fields, request);
  fields.refuse({"suffix", "template", "context"});
  if (raw && (!system.empty() || request.thinking || (images.ok() && !images.value().empty())))
    fields.fail("raw", "not together with system, images or think");
  G4_RETURN_IF_ERROR(fields.finish());
  if (request.only_loads) return request;
  if (raw) {
    request.prompts.emplace_back(prompt);
    return request;
  }
  if (!system.empty()) request.messages.push_back({.role = "system", .content = system});
  request.messages.push_back(
      {.role = "user", .content = content_of(std::move(images).value(), prompt)});
  return request;
}

}  // namespace gemma4::serve::ollama

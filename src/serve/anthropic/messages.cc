#include "serve/anthropic/messages.h"

#include <utility>

#include "base/strings.h"
#include "serve/anthropic/content.h"
#include "serve/fields.h"

namespace gemma4::serve::anthropic {

using json::Value;
using Kind = AnswerEvent::Kind;

namespace {

constexpr engine::Range kTemperature{"from 0 to 1", [](double v) { return v >= 0 && v <= 1; }};

void read_thinking(Fields& fields, ChatRequest& request) {
  const Value* thinking = fields.object("thinking");
  if (thinking == nullptr) return;
  Fields inner(*thinking, "thinking");
  const auto type = inner.word("type", {"enabled", "disabled", "adaptive"});
  const auto budget = inner.integer("budget_tokens", 1);
  inner.ignore({"display"});
  if (!type) inner.fail("type", "is missing");
  request.thinking = type == "enabled" || type == "adaptive";
  if (budget && request.thinking) request.form.thinking_budget = *budget;
  if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
}

// output_config: {format: {type: "json_schema", schema}}
void read_output(Fields& fields, ChatRequest& request) {
  const Value* config = fields.object("output_config");
  if (config == nullptr) return;
  Fields outer(*config, "output_config");
  const Value* format = outer.object("format");
  outer.ignore({"effort"});
  if (const Status status = outer.finish(); !status.ok()) fields.fail(status.error());
  if (format == nullptr) return;
  Fields inner(*format, "output_config.format");
  const auto type = inner.word("type", {"json_schema"});
  const Value* schema = inner.any("schema");
  if (!type || schema == nullptr) inner.fail("schema", "is missing");
  if (const Status status = inner.finish(); !status.ok()) return fields.fail(status.error());
  request.form.schema = *schema;
}

void read_shared(Fields& fields, ChatRequest& request) {
  request.names.schema = "output_config.format.schema";
  request.model = fields.text("model").value_or("");
  read_messages(fields, request);
  read_tools(fields, request);
  read_thinking(fields, request);
  read_output(fields, request);
  fields.ignore({"metadata", "service_tier", "cache_control"});
  fields.refuse({"mcp_servers", "container", "context_management", "betas"});
}

Result<ChatRequest> parse(const Value& body) {
  Fields fields(body);
  ChatRequest request;
  read_shared(fields, request);
  request.max_tokens = fields.integer("max_tokens", 1);
  if (!request.max_tokens) fields.fail("max_tokens", "is missing; it is required");
  request.sampling.temperature = fields.number("temperature", kTemperature);
  request.sampling.top_p = fields.number("top_p", engine::kTopPRange);
  if (const auto top_k = fields.integer("top_k", 0, 1 << 30))
    request.sampling.top_k = static_cast<int32_t>(*top_k);
  request.stop = fields.texts("stop_sequences");
  request.stream = fields.boolean("stream").value_or(false);
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

const char* stop_reason(Finish finish) {
  switch (finish) {
    case Finish::kStopText:
      return "stop_sequence";
    case Finish::kLength:
      return "max_tokens";
    case Finish::kToolCalls:
      return "tool_use";
    case Finish::kStop:
      break;
  }
  return "end_turn";
}

Value usage_of(int64_t prompt, int64_t cached, int64_t completion) {
  return Value::Object{{"input_tokens", prompt - cached},
                       {"cache_creation_input_tokens", 0},
                       {"cache_read_input_tokens", cached},
                       {"output_tokens", completion}};
}

Value stop_text_of(const std::string& text) { return text.empty() ? Value() : Value(text); }

// Blocks are opened as their first text comes and closed by what follows: one is open at a time.
class MessageStream final : public StreamWriter {
 public:
  explicit MessageStream(AnswerHead head) : head_(std::move(head)) {}

  std::string begin() override {
    const Value message =
        Value::Object{{"id", "msg_" + head_.id},   {"type", "message"},
                      {"role", "assistant"},       {"model", head_.model},
                      {"content", Value::Array()}, {"stop_reason", nullptr},
                      {"stop_sequence", nullptr},  {"usage", usage_of(head_.prompt_tokens, 0, 0)}};
    return event("message_start", {{"message", message}}) + event("ping", {});
  }

  std::string write(const AnswerEvent& from) override {
    switch (from.kind) {
      case Kind::kReasoning:
        return open_and(Block::kThinking, "thinking_delta", "thinking", from.text);
      case Kind::kContent:
        return open_and(Block::kText, "text_delta", "text", from.text);
      case Kind::kCallStarted:
        return open_call(from);
      case Kind::kArguments:
        return delta("input_json_delta", "partial_json", from.text);
      case Kind::kCallFinished:
        return close();
      case Kind::kFinished:
        break;
    }
    reason_ = stop_reason(from.finish);
    stop_text_ = from.stop_text;
    return close();
  }

  std::string end(const Usage& usage) override {
    return event("message_delta",
                 {{"delta", Value::Object{{"stop_reason", reason_},
                                          {"stop_sequence", stop_text_of(stop_text_)}}},
                  {"usage",
                   usage_of(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)}}) +
           event("message_stop", {});
  }

  std::string fail(const Error& error) override {
    return sse(error_body(Protocol::kAnthropic, {500, error.message}), "error");
  }

 private:
  enum class Block { kNone, kThinking, kText, kCall };

  static std::string event(const std::string& type, const Value::Object& members) {
    Value::Object body{{"type", type}};
    body.insert(body.end(), members.begin(), members.end());
    return sse(body, type);
  }
  std::string start_block(Block block, Value content) {
    std::string text = close();
    open_ = block;
    return text + event("content_block_start",
                        {{"index", ++index_}, {"content_block", std::move(content)}});
  }
  std::string open(Block block) {
    if (open_ == block) return "";
    if (block == Block::kText)
      return start_block(block, Value::Object{{"type", "text"}, {"text", ""}});
    return start_block(block,
                       Value::Object{{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
  }
  std::string open_and(Block block, const char* type, const char* name, const std::string& piece) {
    std::string text = open(block);  // before the delta, which has its index
    text += delta(type, name, piece);
    return text;
  }
  std::string open_call(const AnswerEvent& from) {
    return start_block(Block::kCall, Value::Object{{"type", "tool_use"},
                                                   {"id", "toolu_" + from.call_id},
                                                   {"name", from.text},
                                                   {"input", Value::Object()}});
  }
  std::string delta(const char* type, const char* name, const std::string& text) const {
    return event("content_block_delta",
                 {{"index", index_}, {"delta", Value::Object{{"type", type}, {name, text}}}});
  }
  std::string close() {
    if (open_ == Block::kNone) return "";
    open_ = Block::kNone;
    return event("content_block_stop", {{"index", index_}});
  }

  AnswerHead head_;
  Block open_ = Block::kNone;
  int index_ = -1;  // of the block that is open, or was last
  const char* reason_ = "end_turn";
  std::string stop_text_;
};

Value whole(const AnswerHead& head, const ChatRequest&, std::vector<WholeAnswer> answers,
            const Usage& usage) {
  const WholeAnswer& answer = answers.front();
  Value::Array content;
  if (!answer.reasoning.empty())
    content.push_back(
        Value::Object{{"type", "thinking"}, {"thinking", answer.reasoning}, {"signature", ""}});
  if (!answer.content.empty())
    content.push_back(Value::Object{{"type", "text"}, {"text", answer.content}});
  for (const WholeCall& call : answer.calls) {
    auto input = json::parse(call.arguments);
    content.push_back(
        Value::Object{{"type", "tool_use"},
                      {"id", "toolu_" + call.id},
                      {"name", call.name},
                      {"input", input.ok() ? std::move(input).value() : Value(Value::Object())}});
  }
  return Value::Object{
      {"id", "msg_" + head.id},
      {"type", "message"},
      {"role", "assistant"},
      {"model", head.model},
      {"content", std::move(content)},
      {"stop_reason", stop_reason(answer.finish)},
      {"stop_sequence", stop_text_of(answer.stop_text)},
      {"usage", usage_of(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)}};
}

}  // namespace

Result<ChatRequest> parse_count_tokens(const Value& body) {
  Fields fields(body);
  ChatRequest request;
  read_shared(fields, request);
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

Endpoint messages_endpoint() {
  return {.protocol = Protocol::kAnthropic,
          .parse = parse,
          .stream = [](const AnswerHead& head,
                       const ChatRequest&) { return std::make_unique<MessageStream>(head); },
          .whole = whole};
}

}  // namespace gemma4::serve::anthropic

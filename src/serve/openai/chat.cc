#include "serve/openai/chat.h"

#include <utility>

#include "base/strings.h"
#include "chat/effort.h"
#include "chat/openai_messages.h"
#include "serve/openai/common.h"

namespace gemma4::serve::openai {

using json::Value;
using Kind = AnswerEvent::Kind;
using answer::ToolChoice;

namespace {

void read_messages(Fields& fields, ChatRequest& request) {
  const Value* messages = fields.list("messages");
  if (!fields.ok()) return;
  if (messages == nullptr || messages->as_array().empty())
    return fields.fail("messages", "expected a list with at least one message");
  auto parsed = chat::parse_messages(*messages, chat::Dialect::kOpenAi);
  if (!parsed.ok()) return fields.fail(parsed.error());
  request.messages = std::move(parsed).value();
  for (chat::Message& message : request.messages)
    if (message.role == "developer") message.role = "system";
}

void read_tool_choice(Fields& fields, ChatRequest& request) {
  const Value* value = fields.any("tool_choice");
  ToolChoice& choice = request.form.choice;
  if (value == nullptr) return;
  if (value->is_object()) {
    const Value* type = value->find("type");
    const Value* function = value->find("function");
    const Value* name = function == nullptr ? nullptr : function->find("name");
    if (type == nullptr || *type != Value("function") || name == nullptr || !name->is_string())
      return fields.fail("tool_choice",
                         "an object must be {\"type\":\"function\",\"function\":{\"name\":...}}");
    choice = {ToolChoice::Kind::kNamed, name->as_string()};
  } else {
    const auto word = fields.word("tool_choice", {"auto", "none", "required"});
    if (word == "none") choice.kind = ToolChoice::Kind::kNone;
    if (word == "required") choice.kind = ToolChoice::Kind::kRequired;
  }
  const bool must_call =
      choice.kind == ToolChoice::Kind::kNamed || choice.kind == ToolChoice::Kind::kRequired;
  if (must_call && request.form.tools.empty())
    fields.fail("tool_choice", "asks for a call, and there are no tools");
}

void read_tools(Fields& fields, ChatRequest& request) {
  if (const Value* tools = fields.list("tools")) {
    auto parsed = chat::parse_tools(*tools, chat::Dialect::kOpenAi);
    if (!parsed.ok()) return fields.fail(parsed.error());
    request.form.tools = std::move(parsed).value();
  }
  read_tool_choice(fields, request);
  if (!fields.boolean("parallel_tool_calls").value_or(true))
    request.form.call_count = constrain::CallCount::kOne;
}

void read_response_format(Fields& fields, ChatRequest& request) {
  const Value* format = fields.object("response_format");
  if (format == nullptr) return;
  Fields inner(*format, "response_format");
  const auto type = inner.word("type", {"text", "json_object", "json_schema"});
  const Value* body = inner.object("json_schema");
  if (type == "json_object") {
    request.form.schema = Value::Object{{"type", "object"}};
  } else if (type == "json_schema" && body != nullptr) {
    Fields named(*body, "response_format.json_schema");
    named.ignore({"name", "description", "strict"});
    if (const Value* schema = named.any("schema")) request.form.schema = *schema;
    if (!request.form.schema) named.fail("schema", "is missing");
    if (const Status status = named.finish(); !status.ok()) inner.fail(status.error());
  } else if (type == "json_schema") {
    inner.fail("json_schema", "is missing");
  } else if (!type) {
    inner.fail("type", "is missing");
  }
  if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
}

void read_effort(Fields& fields, ChatRequest& request) {
  std::optional<std::string> level = fields.text("reasoning_effort");
  if (const Value* reasoning = fields.object("reasoning")) {
    Fields inner(*reasoning, "reasoning");
    level = inner.text("effort");
    inner.ignore({"summary"});
    if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
  }
  if (level) {
    const auto effort = chat::effort_of(*level == "xhigh" ? "high" : *level);
    if (!effort)
      return fields.fail(
          "reasoning_effort",
          str_cat("must be none, minimal, low, medium, high or xhigh; got ", quote(*level)));
    request.thinking = effort->thinking;
    if (effort->thinking_budget < std::numeric_limits<int64_t>::max())
      request.form.thinking_budget = effort->thinking_budget;
  }
  if (const Value* kwargs = fields.object("chat_template_kwargs")) {
    Fields inner(*kwargs, "chat_template_kwargs");
    if (const auto on = inner.boolean("enable_thinking")) request.thinking = *on;
    request.preserve_thinking = inner.boolean("preserve_thinking").value_or(false);
    if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
  }
  if (const auto budget = fields.integer("thinking_budget", 0)) {
    request.form.thinking_budget = *budget;
    request.thinking = *budget > 0;
  }
}

void read_limits(Fields& fields, ChatRequest& request) {
  const auto max_tokens = fields.integer("max_tokens", 1);
  const auto max_completion = fields.integer("max_completion_tokens", 1);
  request.max_tokens = max_completion ? max_completion : max_tokens;
  const bool logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, 20);
  if (top && !logprobs) fields.fail("top_logprobs", "only with logprobs: true");
  if (logprobs) request.num_logprobs = static_cast<int>(top.value_or(0));
}

Result<ChatRequest> parse(const Value& body) {
  Fields fields(body);
  ChatRequest request;
  request.names.schema = "response_format.json_schema.schema";
  read_common(fields, request);
  read_messages(fields, request);
  read_tools(fields, request);
  read_response_format(fields, request);
  read_effort(fields, request);
  read_limits(fields, request);
  request.continue_last = fields.boolean("continue_final_message").value_or(false);
  fields.ignore({"add_generation_prompt"});  // there is one unless the last message is continued
  if (request.continue_last && fields.ok() && request.messages.back().role != "assistant")
    fields.fail("continue_final_message", "the last message is not an assistant's");
  if (const Value* modalities = fields.list("modalities"))
    if (*modalities != Value(Value::Array{"text"}))
      fields.fail("modalities", "this server answers in text only");
  fields.refuse({"audio", "prediction", "web_search_options", "functions", "moderation"});
  fields.refuse({"function_call"}, "none");
  fields.refuse({"verbosity"}, "medium");
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

Value call_delta(const AnswerEvent& event) {
  Value::Object call{{"index", event.call}};
  if (event.kind == Kind::kCallStarted) {
    call.emplace_back("id", "call_" + event.call_id);
    call.emplace_back("type", "function");
    call.emplace_back("function", Value::Object{{"name", event.text}, {"arguments", ""}});
  } else {
    call.emplace_back("function", Value::Object{{"arguments", event.text}});
  }
  return Value::Object{{"tool_calls", Value::Array{std::move(call)}}};
}

class ChatStream final : public StreamWriter {
 public:
  ChatStream(AnswerHead head, const ChatRequest& request)
      : head_(std::move(head)),
        num_choices_(request.n),
        include_usage_(request.include_usage),
        logprobs_(request.num_logprobs.has_value()) {}

  std::string begin() override {
    std::string text;
    for (int i = 0; i < num_choices_; ++i)
      text += chunk(i, Value::Object{{"role", "assistant"}, {"content", ""}}, {}, nullptr);
    return text;
  }

  std::string write(const AnswerEvent& event) override {
    switch (event.kind) {
      case Kind::kReasoning:
        return chunk(event.choice, Value::Object{{"reasoning_content", event.text}}, {}, nullptr);
      case Kind::kContent:
        return chunk(event.choice, Value::Object{{"content", event.text}}, event.logprobs, nullptr);
      case Kind::kCallStarted:
      case Kind::kArguments:
        return chunk(event.choice, call_delta(event), {}, nullptr);
      case Kind::kCallFinished:
        return "";
      case Kind::kFinished:
        break;
    }
    return chunk(event.choice, Value::Object(), event.logprobs, finish_reason(event.finish));
  }

  std::string end(const Usage& usage) override {
    std::string text;
    if (include_usage_) {
      Value last = base();
      last.set("choices", Value::Array());
      last.set("usage", usage_of(usage));
      text = sse(last);
    }
    return text + "data: [DONE]\n\n";
  }

  std::string fail(const Error& error) override { return stream_error(error); }

 private:
  Value base() const {
    return Value::Object{{"id", "chatcmpl-" + head_.id},
                         {"object", "chat.completion.chunk"},
                         {"created", head_.created},
                         {"model", head_.model}};
  }
  std::string chunk(int index, Value delta, const std::vector<TokenLogprobs>& logprobs,
                    const char* reason) const {
    Value::Object choice{{"index", index}, {"delta", std::move(delta)}};
    choice.emplace_back("logprobs", logprobs_ && !logprobs.empty()
                                        ? Value(Value::Object{{"content", logprobs_of(logprobs)},
                                                              {"refusal", nullptr}})
                                        : Value());
    choice.emplace_back("finish_reason", reason == nullptr ? Value() : Value(reason));
    Value out = base();
    out.set("choices", Value::Array{std::move(choice)});
    if (include_usage_) out.set("usage", nullptr);
    return sse(out);
  }

  AnswerHead head_;
  int num_choices_;
  bool include_usage_, logprobs_;
};

Value message_of(const WholeAnswer& answer) {
  Value::Object message{{"role", "assistant"}};
  const bool calls_only = !answer.calls.empty() && answer.content.empty();
  message.emplace_back("content", calls_only ? Value() : Value(answer.content));
  message.emplace_back("refusal", nullptr);
  if (!answer.reasoning.empty()) message.emplace_back("reasoning_content", answer.reasoning);
  Value::Array calls;
  for (const WholeCall& call : answer.calls)
    calls.push_back(Value::Object{
        {"id", "call_" + call.id},
        {"type", "function"},
        {"function", Value::Object{{"name", call.name}, {"arguments", call.arguments}}}});
  if (!calls.empty()) message.emplace_back("tool_calls", std::move(calls));
  return message;
}

Value whole(const AnswerHead& head, const ChatRequest& request,
            const std::vector<WholeAnswer>& answers, const Usage& usage) {
  Value::Array choices;
  for (const WholeAnswer& answer : answers) {
    Value::Object choice{{"index", static_cast<int64_t>(choices.size())},
                         {"message", message_of(answer)}};
    choice.emplace_back(
        "logprobs",
        request.num_logprobs
            ? Value(Value::Object{{"content", logprobs_of(answer.logprobs)}, {"refusal", nullptr}})
            : Value());
    choice.emplace_back("finish_reason", finish_reason(answer.finish));
    choices.push_back(std::move(choice));
  }
  return Value::Object{{"id", "chatcmpl-" + head.id},   {"object", "chat.completion"},
                       {"created", head.created},       {"model", head.model},
                       {"choices", std::move(choices)}, {"usage", usage_of(usage)}};
}

}  // namespace

Endpoint chat_endpoint() {
  return {.protocol = Protocol::kOpenAi,
          .parse = parse,
          .stream =
              [](const AnswerHead& head, const ChatRequest& request) {
                return std::make_unique<ChatStream>(head, request);
              },
          .whole = whole,
          .relay_path = "/chat/completions"};
}

}  // namespace gemma4::serve::openai

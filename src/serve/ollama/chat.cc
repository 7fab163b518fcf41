#include "serve/ollama/chat.h"

#include <chrono>
#include <ctime>
#include <utility>

#include "base/strings.h"
#include "serve/ollama/request.h"

namespace gemma4::serve::ollama {

using json::Value;
using Kind = AnswerEvent::Kind;

namespace {

const char* done_reason(Finish finish) { return finish == Finish::kLength ? "length" : "stop"; }

Value nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

Value call_of(const std::string& name, const std::string& arguments) {
  auto parsed = json::parse(arguments);
  return Value::Object{
      {"function", Value::Object{{"name", name},
                                 {"arguments", parsed.ok() ? std::move(parsed).value()
                                                           : Value(Value::Object())}}}};
}

// What both endpoints write around their text.
enum class Shape { kMessage, kResponse };

Value text_of(Shape shape, const std::string& content, const std::string& thinking,
              Value::Array calls) {
  const bool is_chat = shape == Shape::kMessage;
  Value::Object text;
  if (is_chat) text.emplace_back("role", "assistant");
  text.emplace_back(is_chat ? "content" : "response", content);
  if (!thinking.empty()) text.emplace_back("thinking", thinking);
  if (!calls.empty()) text.emplace_back("tool_calls", std::move(calls));
  if (is_chat) return Value::Object{{"message", std::move(text)}};
  return text;
}

Value line_of(const AnswerHead& head, Value text, bool done) {
  Value line = Value::Object{{"model", head.model}, {"created_at", time_text(head.created)}};
  for (auto& [name, value] : text.as_object()) line.set(name, std::move(value));
  line.set("done", done);
  return line;
}

void add_end(Value& line, const char* reason, const Usage& usage) {
  line.set("done_reason", reason);
  line.set("total_duration",
           nanoseconds(usage.load_seconds + usage.prompt_seconds + usage.generate_seconds));
  line.set("load_duration", nanoseconds(usage.load_seconds));
  line.set("prompt_eval_count", usage.prompt_tokens);
  line.set("prompt_eval_duration", nanoseconds(usage.prompt_seconds));
  line.set("eval_count", usage.completion_tokens);
  line.set("eval_duration", nanoseconds(usage.generate_seconds));
}

class LineStream final : public StreamWriter {
 public:
  LineStream(Shape shape, AnswerHead head) : shape_(shape), head_(std::move(head)) {}

  std::string begin() override { return ""; }
  std::string write(const AnswerEvent& event) override {
    switch (event.kind) {
      case Kind::kReasoning:
        return line("", event.text, {});
      case Kind::kContent:
        return line(event.text, "", {});
      case Kind::kCallStarted:
        call_ = event.text;
        arguments_.clear();
        return "";
      case Kind::kArguments:
        arguments_ += event.text;
        return "";
      case Kind::kCallFinished:
        return line("", "", {call_of(call_, arguments_)});
      case Kind::kFinished:
        break;
    }
    reason_ = done_reason(event.finish);
    return "";
  }
  std::string end(const Usage& usage) override {
    Value last = line_of(head_, text_of(shape_, "", "", {}), true);
    add_end(last, reason_, usage);
    return json::dump(last) + "\n";
  }
  std::string fail(const Error& error) override {
    return json::dump(error_body(Protocol::kOllama, {500, error.message})) + "\n";
  }

 private:
  std::string line(const std::string& content, const std::string& thinking,
                   Value::Array calls) const {
    return json::dump(line_of(head_, text_of(shape_, content, thinking, std::move(calls)), false)) +
           "\n";
  }

  Shape shape_;
  AnswerHead head_;
  std::string call_, arguments_;  // the open one
  const char* reason_ = "stop";
};

Endpoint endpoint_of(Shape shape, Result<ChatRequest> (*parse)(const Value&)) {
  return {
      .protocol = Protocol::kOllama,
      .parse = parse,
      .stream = [shape](const AnswerHead& head,
                        const ChatRequest&) { return std::make_unique<LineStream>(shape, head); },
      .whole =
          [shape](const AnswerHead& head, const ChatRequest&, std::vector<WholeAnswer> answers,
                  const Usage& usage) {
            const WholeAnswer& answer = answers.front();
            Value::Array calls;
            for (const WholeCall& call : answer.calls)
              calls.push_back(call_of(call.name, call.arguments));
            Value body = line_of(
                head, text_of(shape, answer.content, answer.reasoning, std::move(calls)), true);
            add_end(body, done_reason(answer.finish), usage);
            return body;
          },
      .loaded =
          [shape](const AnswerHead& head, bool is_loaded) {
            Value body = line_of(head, text_of(shape, "", "", {}), true);
            body.set("done_reason", is_loaded ? "load" : "unload");
            return body;
          },
      .stream_type = "application/x-ndjson"};
}

}  // namespace

Endpoint chat_endpoint() { return endpoint_of(Shape::kMessage, parse_chat); }
Endpoint generate_endpoint() { return endpoint_of(Shape::kResponse, parse_generate); }

}  // namespace gemma4::serve::ollama

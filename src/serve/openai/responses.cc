#include "serve/openai/responses.h"

#include <optional>
#include <utility>

#include "base/strings.h"
#include "serve/openai/common.h"
#include "serve/openai/response_items.h"
#include "serve/openai/response_request.h"

namespace gemma4::serve::openai {

using json::Value;
using Kind = AnswerEvent::Kind;

namespace {

Value usage_value(const Usage& usage) {
  return Value::Object{
      {"input_tokens", usage.prompt_tokens},
      {"input_tokens_details", Value::Object{{"cached_tokens", usage.cached_tokens}}},
      {"output_tokens", usage.completion_tokens},
      {"output_tokens_details", Value::Object{{"reasoning_tokens", usage.reasoning_tokens}}},
      {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

// Writes the stream, and puts together the response on the way.
class ResponseStream final : public StreamWriter {
 public:
  ResponseStream(AnswerHead head, std::shared_ptr<const ResponseDraft> draft, ResponseMemory memory)
      : head_(std::move(head)), draft_(std::move(draft)), memory_(std::move(memory)) {}

  std::string begin() override {
    std::string text = lifecycle("response.created", "in_progress");
    text += lifecycle("response.in_progress", "in_progress");
    return text;
  }

  std::string write(const AnswerEvent& event) override {
    std::string text;  // each piece depends on what the one before it did
    switch (event.kind) {
      case Kind::kReasoning:
        text = open(Item::kReasoning, event);
        return text += delta("response.reasoning_text.delta", event);
      case Kind::kContent:
        text = open(Item::kMessage, event);
        return text += delta("response.output_text.delta", event);
      case Kind::kCallStarted:
        return open(Item::kCall, event);
      case Kind::kArguments:
        return delta("response.function_call_arguments.delta", event);
      case Kind::kCallFinished:
        return close("completed");
      case Kind::kFinished:
        break;
    }
    return finish(event);
  }

  std::string end(const Usage& usage) override {
    usage_ = usage_value(usage);
    const char* status = is_incomplete_ ? "incomplete" : "completed";
    std::string text = lifecycle(str_cat("response.", status), status);
    keep();
    return text;
  }

  std::string fail(const Error& error) override {
    error_ = Value::Object{{"code", "server_error"}, {"message", error.message}};
    std::string text = close("incomplete");
    return text += lifecycle("response.failed", "failed");
  }

  Value take_response() { return std::move(response_); }

 private:
  enum class Item { kNone, kReasoning, kMessage, kCall };

  std::string emit(const std::string& type, const Value::Object& members) {
    Value event = Value::Object{{"type", type}, {"sequence_number", sequence_++}};
    for (const auto& [name, value] : members) event.set(name, value);
    return sse(event, type);
  }

  std::string lifecycle(const std::string& type, const char* status) {
    response_ = Value::Object{
        {"id", "resp_" + head_.id},
        {"object", "response"},
        {"created_at", head_.created},
        {"status", status},
        {"background", false},
        {"error", error_},
        {"incomplete_details",
         is_incomplete_ ? Value(Value::Object{{"reason", "max_output_tokens"}}) : Value()},
        {"model", head_.model},
        {"output", output_},
        {"usage", usage_}};
    for (const auto& [name, value] : draft_->echo.as_object()) response_.set(name, value);
    return emit(type, {{"response", response_}});
  }

  // Where in the output an event belongs.
  Value::Object place() const {
    return {{"item_id", id_}, {"output_index", static_cast<int64_t>(output_.size())}};
  }
  Value::Object place_in_content() const {
    Value::Object members = place();
    members.emplace_back("content_index", 0);
    return members;
  }

  Value part() const {
    if (item_ == Item::kReasoning)
      return Value::Object{{"type", "reasoning_text"}, {"text", text_}};
    return Value::Object{{"type", "output_text"},
                         {"text", text_},
                         {"annotations", Value::Array()},
                         {"logprobs", logprobs_}};
  }

  Value item(const char* status, bool has_part) const {
    Value::Array content;
    if (has_part) content.push_back(part());
    switch (item_) {
      case Item::kReasoning:
        return Value::Object{{"id", id_},
                             {"type", "reasoning"},
                             {"summary", Value::Array()},
                             {"content", std::move(content)},
                             {"status", status}};
      case Item::kCall:
        return Value::Object{{"id", id_},        {"type", "function_call"},
                             {"status", status}, {"call_id", "call_" + call_id_},
                             {"name", name_},    {"arguments", text_}};
      case Item::kMessage:
      case Item::kNone:
        break;
    }
    return Value::Object{{"id", id_},
                         {"type", "message"},
                         {"status", status},
                         {"role", "assistant"},
                         {"content", std::move(content)}};
  }

  // Goes on with an item of that kind, or begins one after closing what is open.
  std::string open(Item kind, const AnswerEvent& event) {
    if (item_ == kind && kind != Item::kCall) return "";
    std::string text = close("completed");
    item_ = kind;
    text_.clear();
    logprobs_.clear();
    const char* prefix = kind == Item::kMessage ? "msg_" : kind == Item::kCall ? "fc_" : "rs_";
    id_ = str_cat(prefix, head_.id, "_", output_.size());
    if (kind == Item::kCall) {
      name_ = event.text;
      call_id_ = event.call_id;
    }
    text +=
        emit("response.output_item.added", {{"output_index", static_cast<int64_t>(output_.size())},
                                            {"item", item("in_progress", false)}});
    if (kind == Item::kCall) return text;
    Value::Object members = place_in_content();
    members.emplace_back("part", part());
    return text + emit("response.content_part.added", members);
  }

  std::string delta(const std::string& type, const AnswerEvent& event) {
    if (item_ == Item::kNone) return "";
    text_ += event.text;
    Value::Object members = item_ == Item::kCall ? place() : place_in_content();
    members.emplace_back("delta", event.text);
    if (item_ == Item::kMessage) {
      Value::Array entries = logprobs_of(event.logprobs);
      logprobs_.insert(logprobs_.end(), entries.begin(), entries.end());
      members.emplace_back("logprobs", std::move(entries));
    }
    return emit(type, members);
  }

  std::string close_content() {
    const bool is_message = item_ == Item::kMessage;
    Value::Object members = place_in_content();
    members.emplace_back("text", text_);
    if (is_message) members.emplace_back("logprobs", logprobs_);
    std::string text =
        emit(is_message ? "response.output_text.done" : "response.reasoning_text.done", members);
    members = place_in_content();
    members.emplace_back("part", part());
    return text + emit("response.content_part.done", members);
  }

  std::string close(const char* status) {
    if (item_ == Item::kNone) return "";
    std::string text;
    if (item_ == Item::kCall) {
      Value::Object members = place();
      members.emplace_back("name", name_);
      members.emplace_back("arguments", text_);
      text = emit("response.function_call_arguments.done", members);
    } else {
      text = close_content();
    }
    Value whole = item(status, true);
    text += emit("response.output_item.done",
                 {{"output_index", static_cast<int64_t>(output_.size())}, {"item", whole}});
    output_.push_back(std::move(whole));
    item_ = Item::kNone;
    return text;
  }

  std::string finish(const AnswerEvent& event) {
    is_incomplete_ = event.finish == Finish::kLength;
    std::string text;
    if (output_.empty() && item_ == Item::kNone) text = open(Item::kMessage, event);
    if (item_ == Item::kMessage && !event.logprobs.empty())
      text += delta("response.output_text.delta", event);
    return text += close(is_incomplete_ ? "incomplete" : "completed");
  }

  void keep() {
    if (!draft_->store) return;
    const auto input = whole_items(draft_->input, head_.id);
    if (!input.ok()) return;  // it was read before
    const std::string id = "resp_" + head_.id;
    memory_.keep(id, {.body = json::dump(response_),
                      .turn = std::make_shared<ResponseTurn>(
                          json::dump(input.value()), json::dump(output_), draft_->previous)});
  }

  const AnswerHead head_;
  const std::shared_ptr<const ResponseDraft> draft_;
  const ResponseMemory memory_;
  int64_t sequence_ = 0;
  Value::Array output_;  // items that are complete
  Item item_ = Item::kNone;
  std::string id_, text_, name_, call_id_;  // of the item that is open
  Value::Array logprobs_;
  bool is_incomplete_ = false;
  Value usage_, error_, response_;
};

// A whole answer is its stream's last event.
Value whole_response(ResponseStream& stream, const WholeAnswer& answer, const Usage& usage) {
  if (!answer.reasoning.empty()) stream.write({.kind = Kind::kReasoning, .text = answer.reasoning});
  if (!answer.content.empty())
    stream.write({.kind = Kind::kContent, .text = answer.content, .logprobs = answer.logprobs});
  for (const WholeCall& call : answer.calls) {
    stream.write({.kind = Kind::kCallStarted, .text = call.name, .call_id = call.id});
    stream.write({.kind = Kind::kArguments, .text = call.arguments, .call_id = call.id});
    const bool is_cut = answer.finish == Finish::kLength && &call == &answer.calls.back();
    if (!is_cut) stream.write({.kind = Kind::kCallFinished});
  }
  stream.write({.kind = Kind::kFinished, .finish = answer.finish});
  stream.end(usage);
  return stream.take_response();
}

}  // namespace

Endpoint responses_endpoint(const ResponseMemory& memory) {
  const auto draft = std::make_shared<ResponseDraft>();
  return {.protocol = Protocol::kOpenAi,
          .parse = [draft, memory](
                       const Value& body) { return parse_response_request(body, memory, *draft); },
          .stream =
              [draft, memory](const AnswerHead& head, const ChatRequest&) {
                return std::make_unique<ResponseStream>(head, draft, memory);
              },
          .whole =
              [draft, memory](const AnswerHead& head, const ChatRequest&,
                              const std::vector<WholeAnswer>& answers, const Usage& usage) {
                ResponseStream stream(head, draft, memory);
                stream.begin();
                return whole_response(stream, answers.front(), usage);
              }};
}

}  // namespace gemma4::serve::openai

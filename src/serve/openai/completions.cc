#include "serve/openai/completions.h"

#include <utility>

#include "serve/openai/common.h"

namespace gemma4::serve::openai {

using json::Value;
using Kind = AnswerEvent::Kind;

namespace {

// A list of ids; nothing if it is none.
std::optional<std::vector<int32_t>> ids_of(const Value& list) {
  std::vector<int32_t> ids;
  for (const Value& entry : list.as_array()) {
    const auto id = entry.is_number() ? entry.as_number().as_int64() : std::nullopt;
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) return std::nullopt;
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

void read_prompts(Fields& fields, ChatRequest& request) {
  const Value* prompt = fields.any("prompt");
  if (!fields.ok()) return;
  constexpr const char* kExpected =
      "expected a string, a list of strings, a list of token ids, or a list of such lists";
  if (prompt == nullptr) return fields.fail("prompt", kExpected);
  if (prompt->is_string()) {
    request.prompts.emplace_back(prompt->as_string());
    return;
  }
  if (!prompt->is_array() || prompt->as_array().empty()) return fields.fail("prompt", kExpected);
  const Value::Array& list = prompt->as_array();
  if (list.size() > 128 && !list.front().is_number())
    return fields.fail("prompt", "more than 128 prompts");
  if (list.front().is_number()) {
    auto ids = ids_of(*prompt);
    if (!ids) return fields.fail("prompt", kExpected);
    request.prompts.emplace_back(*std::move(ids));
    return;
  }
  for (const Value& entry : list) {
    if (entry.is_string()) {
      request.prompts.emplace_back(entry.as_string());
      continue;
    }
    auto ids = entry.is_array() ? ids_of(entry) : std::nullopt;
    if (!ids || ids->empty()) return fields.fail("prompt", kExpected);
    request.prompts.emplace_back(*std::move(ids));
  }
}

Result<ChatRequest> parse(const Value& body) {
  Fields fields(body);
  ChatRequest request;
  read_common(fields, request);
  read_prompts(fields, request);
  request.max_tokens = fields.integer("max_tokens", 1).value_or(16);  // the API's default
  request.echo = fields.boolean("echo").value_or(false);
  if (const auto logprobs = fields.integer("logprobs", 0, 20))
    request.num_logprobs = static_cast<int>(*logprobs);
  if (request.echo && request.num_logprobs)
    fields.fail("echo", "not together with logprobs: those of a prompt are not computed");
  if (fields.integer("best_of", 1, 128).value_or(request.n) != request.n)
    fields.fail("best_of", "this server gives all answers that it makes; ask for n");
  fields.refuse({"suffix"});
  G4_RETURN_IF_ERROR(fields.finish());
  if (request.n * static_cast<int64_t>(request.prompts.size()) > 128)
    return Error{ErrorCode::kInvalidArgument, "n: prompts and n make more than 128 answers"};
  return request;
}

Value logprobs_value(const std::vector<TokenLogprobs>& logprobs, int64_t& offset) {
  Value::Array tokens, values, tops, offsets;
  const Value::Array entries = logprobs_of(logprobs);
  for (size_t i = 0; i < entries.size(); ++i) {
    tokens.push_back(*entries[i].find("token"));
    values.push_back(*entries[i].find("logprob"));
    Value top = Value::Object();
    for (const Value& other : entries[i].find("top_logprobs")->as_array())
      top.set(other.find("token")->as_string(), *other.find("logprob"));
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    offset += static_cast<int64_t>(logprobs[i].text.size());
  }
  return Value::Object{{"tokens", std::move(tokens)},
                       {"token_logprobs", std::move(values)},
                       {"top_logprobs", std::move(tops)},
                       {"text_offset", std::move(offsets)}};
}

Value choice_of(int64_t index, const std::string& text, Value logprobs, const char* reason) {
  return Value::Object{{"text", text},
                       {"index", index},
                       {"logprobs", std::move(logprobs)},
                       {"finish_reason", reason == nullptr ? Value() : Value(reason)}};
}

Value base_of(const AnswerHead& head) {
  return Value::Object{{"id", "cmpl-" + head.id},
                       {"object", "text_completion"},
                       {"created", head.created},
                       {"model", head.model}};
}

class CompletionStream final : public StreamWriter {
 public:
  CompletionStream(AnswerHead head, const ChatRequest& request)
      : head_(std::move(head)),
        include_usage_(request.include_usage),
        offsets_(static_cast<size_t>(request.n) * request.prompts.size()) {}

  std::string begin() override { return ""; }
  std::string write(const AnswerEvent& event) override {
    if (event.kind != Kind::kContent && event.kind != Kind::kFinished) return "";
    const bool is_last = event.kind == Kind::kFinished;
    Value out = base_of(head_);
    Value logprobs;
    if (!event.logprobs.empty())
      logprobs = logprobs_value(event.logprobs, offsets_[static_cast<size_t>(event.choice)]);
    out.set("choices", Value::Array{choice_of(event.choice, is_last ? std::string() : event.text,
                                              std::move(logprobs),
                                              is_last ? finish_reason(event.finish) : nullptr)});
    if (include_usage_) out.set("usage", nullptr);
    return sse(out);
  }
  std::string end(const Usage& usage) override {
    std::string text;
    if (include_usage_) {
      Value last = base_of(head_);
      last.set("choices", Value::Array());
      last.set("usage", usage_of(usage));
      text = sse(last);
    }
    return text + "data: [DONE]\n\n";
  }
  std::string fail(const Error& error) override { return stream_error(error); }

 private:
  AnswerHead head_;
  bool include_usage_;
  std::vector<int64_t> offsets_;  // of the next token's text, by choice
};

Value whole(const AnswerHead& head, const ChatRequest& request,
            const std::vector<WholeAnswer>& answers, const Usage& usage) {
  Value::Array choices;
  for (const WholeAnswer& answer : answers) {
    int64_t offset = 0;
    choices.push_back(
        choice_of(static_cast<int64_t>(choices.size()), answer.content,
                  request.num_logprobs ? logprobs_value(answer.logprobs, offset) : Value(),
                  finish_reason(answer.finish)));
  }
  Value out = base_of(head);
  out.set("choices", std::move(choices));
  out.set("usage", usage_of(usage));
  return out;
}

}  // namespace

Endpoint completions_endpoint() {
  return {.protocol = Protocol::kOpenAi,
          .parse = parse,
          .stream =
              [](const AnswerHead& head, const ChatRequest& request) {
                return std::make_unique<CompletionStream>(head, request);
              },
          .whole = whole,
          .relay_path = "/completions"};
}

}  // namespace gemma4::serve::openai

#include "serve/openai/common.h"

#include <charconv>

#include "base/strings.h"
#include "serve/protocol.h"

namespace gemma4::serve::openai {

using json::Value;

namespace {

void read_logit_bias(Fields& fields, ChatRequest& request) {
  const Value* map = fields.object("logit_bias");
  if (map == nullptr) return;
  constexpr size_t kMaxEntries = 4096;
  if (map->as_object().size() > kMaxEntries)
    return fields.fail("logit_bias", str_cat("more than ", kMaxEntries, " tokens"));
  for (const auto& [id, bias] : map->as_object()) {
    int32_t number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc() || end != id.data() + id.size())
      return fields.fail("logit_bias", str_cat("its names must be ids of tokens, got ", quote(id)));
    const double value = bias.is_number() ? bias.as_number().as_double() : 1e9;
    if (!(value >= -100 && value <= 100))
      return fields.fail("logit_bias", str_cat("that of ", id, " must be from -100 to 100"));
    request.sampling.logit_bias.emplace_back(number, static_cast<float>(value));
  }
}

Value bytes_of(const std::string& text) {
  Value::Array bytes;
  for (const char c : text) bytes.push_back(static_cast<int>(static_cast<uint8_t>(c)));
  return bytes;
}

// JSON has no infinities.
Value number_of(float value) {
  return json::Number{str_cat(value < -9999.0f || value != value ? -9999.0f : value)};
}

Value entry_of(const LogprobEntry& entry) {
  return Value::Object{{"token", entry.text},
                       {"logprob", number_of(entry.logprob)},
                       {"bytes", bytes_of(entry.text)}};
}

}  // namespace

void read_common(Fields& fields, ChatRequest& request) {
  request.model = fields.text("model").value_or("");
  SamplingChoice& sampling = request.sampling;
  sampling.temperature = fields.number("temperature", engine::kTemperatureRange);
  sampling.top_p = fields.number("top_p", engine::kTopPRange);
  sampling.min_p = fields.number("min_p", engine::kMinPRange);
  if (const auto top_k = fields.integer("top_k", -1, 1 << 30))
    sampling.top_k = *top_k < 0 ? 0 : static_cast<int32_t>(*top_k);
  sampling.repetition_penalty =
      fields.number("repetition_penalty", engine::kRepetitionPenaltyRange);
  sampling.presence_penalty = fields.number("presence_penalty", engine::kPenaltyRange);
  sampling.frequency_penalty = fields.number("frequency_penalty", engine::kPenaltyRange);
  if (const auto seed = fields.integer("seed")) sampling.seed = static_cast<uint64_t>(*seed);
  read_logit_bias(fields, request);
  request.stop = fields.texts("stop");
  if (request.stop.size() > 16) fields.fail("stop", "more than 16 strings");
  request.n = static_cast<int>(fields.integer("n", 1, 128).value_or(1));
  request.stream = fields.boolean("stream").value_or(false);
  if (const Value* options = fields.object("stream_options")) {
    Fields inner(*options, "stream_options");
    request.include_usage = inner.boolean("include_usage").value_or(false);
    inner.ignore({"include_obfuscation", "continuous_usage_stats"});
    if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
    if (!request.stream) fields.fail("stream_options", "only with stream: true");
  }
  fields.ignore({"user", "metadata", "store", "service_tier", "safety_identifier",
                 "prompt_cache_key", "prompt_cache_retention"});
}

Value usage_of(const Usage& usage) {
  return Value::Object{
      {"prompt_tokens", usage.prompt_tokens},
      {"completion_tokens", usage.completion_tokens},
      {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
      {"prompt_tokens_details", Value::Object{{"cached_tokens", usage.cached_tokens}}},
      {"completion_tokens_details", Value::Object{{"reasoning_tokens", usage.reasoning_tokens}}}};
}

const char* finish_reason(Finish finish) {
  switch (finish) {
    case Finish::kLength:
      return "length";
    case Finish::kToolCalls:
      return "tool_calls";
    case Finish::kStop:
    case Finish::kStopText:
      break;
  }
  return "stop";
}

Value::Array logprobs_of(const std::vector<TokenLogprobs>& logprobs) {
  Value::Array list;
  for (const TokenLogprobs& token : logprobs) {
    Value entry = entry_of(token);
    Value::Array top;
    for (const LogprobEntry& other : token.top) top.push_back(entry_of(other));
    entry.set("top_logprobs", std::move(top));
    list.push_back(std::move(entry));
  }
  return list;
}

std::string stream_error(const Error& error) {
  ApiError failed = api_error(error);
  if (failed.status < 500) failed.status = 500;  // the request was taken
  return sse(error_body(Protocol::kOpenAi, failed));
}

}  // namespace gemma4::serve::openai

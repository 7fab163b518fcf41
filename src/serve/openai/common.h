// What the endpoints of OpenAI share: sampling fields, usage, log-probabilities, stream errors.
#pragma once

#include <string>
#include <vector>

#include "json/json.h"
#include "serve/answer_event.h"
#include "serve/chat_request.h"
#include "serve/fields.h"

namespace gemma4::serve::openai {

// model, temperature, top_p, penalties, logit_bias, seed, stop, n, stream, stream_options; and
// top_k, min_p, repetition_penalty, which vLLM added. Fields that change no answer are ignored:
// user, metadata, store, service_tier and the like.
void read_common(Fields& fields, ChatRequest& request);

json::Value usage_of(const Usage& usage);
const char* finish_reason(Finish finish);  // "stop", "length", "tool_calls"
// {token, logprob, bytes, top_logprobs} of each
json::Value::Array logprobs_of(const std::vector<TokenLogprobs>& logprobs);
std::string stream_error(const Error& error);

}  // namespace gemma4::serve::openai

// Bodies of Ollama's API as requests.
#pragma once

#include "base/result.h"
#include "json/json.h"
#include "serve/chat_request.h"

namespace gemma4::serve::ollama {

Result<ChatRequest> parse_chat(const json::Value& body);
Result<ChatRequest> parse_generate(const json::Value& body);

}  // namespace gemma4::serve::ollama

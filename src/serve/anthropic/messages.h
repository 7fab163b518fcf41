// /v1/messages of the Anthropic API.
#pragma once

#include "serve/protocol.h"

namespace gemma4::serve::anthropic {

Endpoint messages_endpoint();
// The body of /v1/messages/count_tokens: the same without what only generating needs.
Result<ChatRequest> parse_count_tokens(const json::Value& body);

}  // namespace gemma4::serve::anthropic

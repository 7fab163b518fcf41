// /v1/chat/completions of the OpenAI API.
#pragma once

#include "serve/protocol.h"

namespace gemma4::serve::openai {

Endpoint chat_endpoint();

}  // namespace gemma4::serve::openai

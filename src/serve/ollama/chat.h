// /api/chat and /api/generate of Ollama's API.
#pragma once

#include "serve/protocol.h"

namespace gemma4::serve::ollama {

Endpoint chat_endpoint();
Endpoint generate_endpoint();

}  // namespace gemma4::serve::ollama

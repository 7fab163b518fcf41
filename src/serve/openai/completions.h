// /v1/completions of the OpenAI API: raw text, continued.
#pragma once

#include "serve/protocol.h"

namespace gemma4::serve::openai {

Endpoint completions_endpoint();

}  // namespace gemma4::serve::openai

// Messages and tools of the Anthropic API as those of this program.
#pragma once

#include "serve/chat_request.h"
#include "serve/fields.h"

namespace gemma4::serve::anthropic {

// `system` and `messages`: blocks of text, image, thinking, tool_use and tool_result.
void read_messages(Fields& fields, ChatRequest& request);
// `tools` and `tool_choice`.
void read_tools(Fields& fields, ChatRequest& request);

}  // namespace gemma4::serve::anthropic

// Messages to prompt: the Gemma 4 chat template (revision 2026-07-15) written as C++.
//
//   std::vector<Message> messages = {{"system", "Be brief."}, {"user", "Hello"}};
//   G4_ASSIGN_OR_RETURN(auto prompt, render(messages, {.enable_thinking = true}));
//
// The prompt is a list of parts so that the tokenizer can match control tokens in template parts
// only: "<turn|>" typed by a user is text. Pure functions; nothing here knows ids or the engine.
// The way back, from generated ids to text and calls, is output_parser.h.
#pragma once

#include <vector>

#include "base/result.h"
#include "chat/messages.h"
#include "chat/prompt_parts.h"
#include "json/json.h"

namespace gemma4::chat {

struct RenderOptions {
  bool add_generation_prompt = true;  // end with the opened turn of the model
  bool enable_thinking = false;       // ask for a thought before the answer
  bool preserve_thinking = false;     // keeps old reasoning of messages with tool calls; no others
  bool empty_thought = true;          // thinking off opens the answer with one; not E2B and E4B
  // Text beside calls that are answered leaves the last turn open, so that the answer goes on in
  // it. The template closes the turn there and opens none; off, this does the same.
  bool continue_after_results = false;
};

// The prompt for `messages`, "<bos>" included; an empty list is allowed. `tools` are declarations
// as the OpenAI API has them. A tool message that answers no call before it is left out, as the
// template does. Time grows with the size of the request (n log n for members, which are sorted).
// Errors: kInvalidArgument that names the field for arguments that are no object, and for a tool
// as in tool_declaration.h.
Result<std::vector<PromptPart>> render(const std::vector<Message>& messages,
                                       const RenderOptions& options,
                                       const json::Value::Array& tools = {});

// Whether the prompt for these ends inside a thought: its answer begins with reasoning.
bool ends_in_thought(const std::vector<PromptPart>& prompt);

}  // namespace gemma4::chat

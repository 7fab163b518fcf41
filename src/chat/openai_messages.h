// The messages and tools of the OpenAI API as JSON: the one place that reads and writes them.
//
//   G4_ASSIGN_OR_RETURN(const json::Value request, json::parse(body));
//   G4_ASSIGN_OR_RETURN(auto messages, parse_messages(*request.find("messages"),
//   Dialect::kOpenAi));
//
// Every error is kInvalidArgument and begins with the field: "messages[2].content[0].type: …".
#pragma once

#include <vector>

#include "base/result.h"
#include "chat/messages.h"
#include "json/json.h"

namespace gemma4::chat {

enum class Dialect {
  kOpenAi,    // arguments are JSON text, or an object; nothing unknown passes silently
  kTemplate,  // what the chat template itself takes: arguments are objects, unknown parts pass
};

// `messages` is a list of {role, content, reasoning | reasoning_content, tool_calls,
// tool_responses, tool_call_id, name}. Content is a string, null, or a list of parts: text,
// refusal, image_url, input_audio, video_url, and the template's own image, audio, video. A
// picture's `detail` low or high, or `image_tokens` beside it, says how many soft tokens it may
// have. In the OpenAI dialect only assistants may go without content, tool messages need a
// tool_call_id, role "function" is "tool", and an unknown type of part is an error.
Result<std::vector<Message>> parse_messages(const json::Value& messages, Dialect dialect);

// `tools` is a list of {type: "function", function: {name, description, parameters}}; null is an
// empty one. In the OpenAI dialect names are 1 to 64 of A-Z a-z 0-9 _ - . and differ, and what
// would render badly is mended: members that are null go, and parameters without a type get
// "object".
Result<json::Value::Array> parse_tools(const json::Value& tools, Dialect dialect);

// One message as the API has it: reasoning as `reasoning_content`, arguments as JSON text.
json::Value to_json(const Message& message);

}  // namespace gemma4::chat

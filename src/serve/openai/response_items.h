// The items of /v1/responses: what conversations are made of there.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "chat/messages.h"
#include "json/json.h"

namespace gemma4::serve::openai {

// A string or a list as a list of items that say all: what came short is written out, and those
// without an id get one that begins with `id`.
Result<json::Value::Array> whole_items(const json::Value& input, const std::string& id);

// Appends the messages that `items` are. Neighbouring reasoning, message and calls of the assistant
// become one message. Errors: kInvalidArgument, which begin with `path` and the index.
Status append_messages(const json::Value::Array& items, const std::string& path,
                       std::vector<chat::Message>& messages);

}  // namespace gemma4::serve::openai

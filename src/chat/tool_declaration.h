// A tool of the request as the template declares it in the system turn:
// <|tool>declaration:name{description:…,parameters:{properties:{…},required:[…],type:…}}<tool|>
#pragma once

#include "base/result.h"
#include "chat/prompt_parts.h"
#include "json/json.h"

namespace gemma4::chat {

// `tool` is {type: "function", function: {name, description, parameters, response}}. Schemas are
// written as the template does: what it has no place for is dropped, and a `parameters` without
// "type" leaves its brace open. Errors: kInvalidArgument that names the member for what the
// template cannot print, such as a "properties" that is no object; `out` is then unfinished.
Status add_declaration(PromptBuilder& out, const json::Value& tool);

}  // namespace gemma4::chat

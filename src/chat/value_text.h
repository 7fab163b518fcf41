// JSON values in the notation that Gemma 4's template writes:
// {key:<|"|>text<|"|>,n:1.0,list:[true,null]}. The way back is tool_call.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/prompt_parts.h"
#include "json/json.h"

namespace gemma4::chat {

enum class Keys {
  kBare,    // in calls and responses
  kQuoted,  // in schemas: <|"|>key<|"|>
};

// Strings are unescaped between <|"|>, members sorted; no spaces.
void add_value(PromptBuilder& out, const json::Value& value, Keys keys);

// The members of `object` as key:value, sorted, with commas between; no braces.
void add_members(PromptBuilder& out, const json::Value& object, Keys keys);

// The members ordered by their lower-cased names, code point by code point; equal ones keep their
// order. `object` must be one and outlive the result.
std::vector<const json::Value::Member*> sorted_members(const json::Value& object);

// A number as Python prints it: integers digit for digit, others as the shortest text that reads
// back to the same double, "1.0", "1e-07", "1e+16".
std::string number_text(const json::Number& number);

// What the template makes of a value where it expects a string: a string is itself, anything else
// as Python prints it, "None", "['a', 1.0]". A null pointer (no such member) is empty.
std::string python_text(const json::Value* value);

// False for missing, null, false, 0, "", [] and {}.
bool is_truthy(const json::Value* value);

}  // namespace gemma4::chat

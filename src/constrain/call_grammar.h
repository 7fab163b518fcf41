// The grammar of Gemma's tool calls: `<|tool_call>call:name{key:value,...}<tool_call|>`.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "constrain/control_tokens.h"
#include "constrain/grammar.h"
#include "json/json.h"

namespace gemma4::constrain {

struct Tool {
  std::string name;
  // The JSON Schema of the arguments; null pointer: any. Must outlive the call of grammar_of_calls.
  const json::Value* parameters = nullptr;
};

enum class CallCount { kOne, kOneOrMore };

// One call of a tool, or several with nothing between. Arguments are an object that satisfies the
// tool's schema; its properties come sorted by lower-cased key, and others only where the schema
// speaks of them or names none. What up to four branches of anyOf name may come together where it
// satisfies them together; of more branches, or where that makes too many alternatives, each stands
// for itself. Types may be written in upper
// case, and `nullable` adds null.
// Errors as grammar_of_schema, with the tool's name; kInvalidArgument for no tools at all.
Result<std::shared_ptr<const Grammar>> grammar_of_calls(std::span<const Tool> tools,
                                                        const ControlTokens& tokens,
                                                        CallCount count);

}  // namespace gemma4::constrain

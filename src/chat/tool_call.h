// One tool call as the model writes it: call:name{key:<|"|>text<|"|>,n:1,list:[true,null]}
//
// Reading is lenient: spaces, missing commas and braces, JSON and Python quoting, cut-off ends; it
// always gives an object. The writer of this notation is value_text.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "json/json.h"

namespace gemma4::chat {

// Stands for the control token <|"|> in the body of a call; no byte of UTF-8.
inline constexpr char kQuoteToken = '\xFF';

// `body` as a reader sees it: the control token written out, ill-formed UTF-8 repaired.
std::string call_text(std::string_view body);

struct CallHeader {
  std::string name;
  size_t arguments = 0;          // where they begin in the body: behind the bracket, or at the end
  bool has_parenthesis = false;  // the bracket was '(' instead of '{'
};

// The header `call:name{` of a body; nothing if this is no call. `call` and the bracket may be
// missing; the name is not looked up.
std::optional<CallHeader> read_header(std::string_view body);

// The arguments behind `header`, an object without repeated names, at most 256 deep. `schema` is
// the tool's `parameters`, a null pointer if there is none. Linear time.
json::Value read_arguments(std::string_view body, const CallHeader& header,
                           const json::Value* schema);

}  // namespace gemma4::chat

// Messages to prompt: the Gemma 4 chat template (revision 2026-07-15) written as C++.
//
//   std::vector<Message> messages = {{"system", "Be brief."}, {"user", "Hello"}};
//   G4_ASSIGN_OR_RETURN(auto prompt, render(messages, {.enable_thinking = true}));
//
// The prompt is a list of parts so that the tokenizer can match control tokens in template parts
// only: "<turn|>" typed by a user is text. Pure functions; nothing here knows ids or the engine.
// The way back, from generated ids to text, is output_parser.h.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace gemma4::chat {

// One element of a content list. Media parts will stand beside text.
struct ContentPart {
  std::string text;
};

// A string and a list with one text are rendered differently in the system turn.
using Content = std::variant<std::string, std::vector<ContentPart>>;

struct Message {
  std::string role = {};       // "system", "developer", "user", "assistant"; others pass through
  Content content = {};        // may be empty
  std::string reasoning = {};  // thoughts before this message, without markers; empty: none
};

struct RenderOptions {
  bool add_generation_prompt = true;  // end with the opened turn of the model
  bool enable_thinking = false;       // ask for a thought before the answer
  bool preserve_thinking = false;     // keeps old reasoning of messages with tool calls; no others
  bool empty_thought = true;          // thinking off opens the answer with one; not E2B and E4B
};

// A stretch of the prompt with one origin. Neighbours always differ in origin.
struct PromptPart {
  std::string text;
  bool from_template = false;  // false: text of the request, in which nothing is a control token

  bool operator==(const PromptPart&) const = default;
};

// The prompt for `messages`, "<bos>" included; an empty list is allowed. Errors: kUnsupported for a
// message with role "tool".
Result<std::vector<PromptPart>> render(const std::vector<Message>& messages,
                                       const RenderOptions& options);

// The parts joined: byte for byte what the template renders.
std::string to_string(const std::vector<PromptPart>& parts);

// `text` without the Unicode whitespace at both ends; U+200B and U+FEFF are not whitespace.
std::string_view trim(std::string_view text);

// `text` without thoughts ("<|channel>" to "<channel|>" or to the end) and stray "<channel|>",
// trimmed.
std::string strip_thoughts(std::string_view text);

}  // namespace gemma4::chat

// The prompt as a list of stretches that keep apart what the template wrote and what the request
// wrote, so that the tokenizer can match control tokens in the former only (ADR 13).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gemma4::chat {

// A stretch of the prompt with one origin. Neighbours always differ in origin.
struct PromptPart {
  std::string text;
  bool from_template = false;  // false: text of the request, in which nothing is a control token

  bool operator==(const PromptPart&) const = default;
};

// The parts joined: byte for byte what the template renders.
std::string to_string(const std::vector<PromptPart>& parts);

// Collects parts; neighbours of the same origin are joined.
class PromptBuilder {
 public:
  // Markers, punctuation, literals: what the template has in its text, and digits.
  void add_template(std::string_view text) { add(text, true); }
  // Any string that a caller chose, the names of tools and arguments included.
  void add_request(std::string_view text) { add(text, false); }
  // <|"|>text<|"|>
  void add_quoted(std::string_view text) {
    add_template("<|\"|>");
    add_request(text);
    add_template("<|\"|>");
  }
  std::vector<PromptPart> take() { return std::move(parts_); }

 private:
  void add(std::string_view text, bool from_template);

  std::vector<PromptPart> parts_;
};

}  // namespace gemma4::chat

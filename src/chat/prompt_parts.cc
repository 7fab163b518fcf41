#include "chat/prompt_parts.h"

namespace gemma4::chat {

std::string to_string(const std::vector<PromptPart>& parts) {
  std::string text;
  for (const PromptPart& part : parts) text += part.text;
  return text;
}

void PromptBuilder::add(std::string_view text, bool from_template) {
  if (text.empty()) return;
  if (parts_.empty() || parts_.back().from_template != from_template) {
    parts_.push_back({"", from_template});
  }
  parts_.back().text += text;
}

}  // namespace gemma4::chat

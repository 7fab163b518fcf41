#include "chat/chat_format.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/strings.h"

namespace gemma4::chat {
namespace {

constexpr std::string_view kChannelOpen = "<|channel>";
constexpr std::string_view kChannelClose = "<channel|>";

// Collects parts; neighbours of the same origin are joined.
class PromptBuilder {
 public:
  void add_template(std::string_view text) { add(text, true); }
  void add_request(std::string_view text) { add(text, false); }
  std::vector<PromptPart> take() { return std::move(parts_); }

 private:
  void add(std::string_view text, bool from_template) {
    if (text.empty()) return;
    if (parts_.empty() || parts_.back().from_template != from_template) {
      parts_.push_back({"", from_template});
    }
    parts_.back().text += text;
  }

  std::vector<PromptPart> parts_;
};

// Bytes of the whitespace character that `text` begins with; 0 if it begins with another one.
size_t whitespace_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto c = static_cast<unsigned char>(text[0]);
  if (c < 0x80) return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) ? 1 : 0;
  if (text.starts_with("\xC2\x85") || text.starts_with("\xC2\xA0")) return 2;  // U+0085, U+00A0
  if (text.size() < 3) return 0;
  const std::string_view head = text.substr(0, 3);
  const auto last = static_cast<unsigned char>(head[2]);
  if (head.starts_with("\xE2\x80")) {  // U+2000-200A, 2028, 2029, 202F
    return (last >= 0x80 && last <= 0x8A) || last == 0xA8 || last == 0xA9 || last == 0xAF ? 3 : 0;
  }
  const bool other = head == "\xE1\x9A\x80" || head == "\xE2\x81\x9F" || head == "\xE3\x80\x80";
  return other ? 3 : 0;  // U+1680, U+205F, U+3000
}

bool is_system(const Message& message) {
  return message.role == "system" || message.role == "developer";
}

// The role text that stands in the prompt.
std::string_view turn_role(const Message& message) {
  return message.role == "assistant" ? std::string_view("model") : message.role;
}

void add_system_turn(PromptBuilder& out, const Message* system, const RenderOptions& options) {
  out.add_template("<|turn>system\n");
  if (options.enable_thinking) out.add_template("<|think|>\n");
  if (system != nullptr) {
    if (const auto* text = std::get_if<std::string>(&system->content)) {
      out.add_request(trim(*text));
    } else {
      for (const ContentPart& part : std::get<std::vector<ContentPart>>(system->content)) {
        out.add_request(trim(part.text));
        out.add_template(" ");
      }
    }
  }
  out.add_template("<turn|>\n");
}

void add_text(PromptBuilder& out, std::string_view text, bool from_model) {
  if (from_model) {
    out.add_request(strip_thoughts(text));
  } else {
    out.add_request(trim(text));
  }
}

void add_content(PromptBuilder& out, const Message& message) {
  const bool from_model = turn_role(message) == "model";
  if (const auto* text = std::get_if<std::string>(&message.content)) {
    add_text(out, *text, from_model);
  } else {
    for (const ContentPart& part : std::get<std::vector<ContentPart>>(message.content)) {
      add_text(out, part.text, from_model);
    }
  }
}

// A role that the template knows is its text; any other comes from the request.
void add_turn_open(PromptBuilder& out, const Message& message) {
  const std::string_view role = turn_role(message);
  out.add_template("<|turn>");
  if (role == "user" || role == "model" || is_system(message)) {
    out.add_template(role);
  } else {
    out.add_request(role);
  }
  out.add_template("\n");
}

}  // namespace

std::string_view trim(std::string_view text) {
  while (const size_t length = whitespace_length(text)) text.remove_prefix(length);
  for (;;) {
    // No whitespace character ends with the bytes of a shorter one.
    size_t length = std::min<size_t>(text.size(), 3);
    while (length > 0 && whitespace_length(text.substr(text.size() - length)) != length) --length;
    if (length == 0) return text;
    text.remove_suffix(length);
  }
}

std::string strip_thoughts(std::string_view text) {
  std::string kept;
  for (;;) {
    const size_t close = text.find(kChannelClose);
    const std::string_view part = text.substr(0, close);
    kept += part.substr(0, part.find(kChannelOpen));
    if (close == std::string_view::npos) break;
    text.remove_prefix(close + kChannelClose.size());
  }
  return std::string(trim(kept));
}

std::string to_string(const std::vector<PromptPart>& parts) {
  std::string text;
  for (const PromptPart& part : parts) text += part.text;
  return text;
}

Result<std::vector<PromptPart>> render(const std::vector<Message>& messages,
                                       const RenderOptions& options) {
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "tool") {
      return Error{ErrorCode::kUnsupported,
                   str_cat("messages[", i, "]: role \"tool\" is not supported yet; ",
                           "send the result of the tool as a user message")};
    }
  }
  PromptBuilder out;
  out.add_template("<bos>");

  const Message* system = !messages.empty() && is_system(messages[0]) ? &messages[0] : nullptr;
  if (options.enable_thinking || system != nullptr) add_system_turn(out, system, options);
  const size_t first = system != nullptr ? 1 : 0;

  // Thoughts of turns before the last question are dropped.
  size_t reasoning_begin = first;
  for (size_t i = first; i < messages.size(); ++i) {
    if (messages[i].role == "user") reasoning_begin = i + 1;
  }

  for (size_t i = first; i < messages.size(); ++i) {
    const Message& message = messages[i];
    // Consecutive assistant messages share one turn.
    const bool from_model = turn_role(message) == "model";
    const bool continues = from_model && i > first && messages[i - 1].role == "assistant";
    const bool goes_on =
        from_model && i + 1 < messages.size() && messages[i + 1].role == "assistant";

    if (!continues) add_turn_open(out, message);
    if (!message.reasoning.empty() && i >= reasoning_begin) {
      out.add_template("<|channel>thought\n");
      out.add_request(message.reasoning);
      out.add_template("\n<channel|>");
    }
    add_content(out, message);
    if (!goes_on) out.add_template("<turn|>\n");
  }

  if (options.add_generation_prompt) {
    out.add_template("<|turn>model\n");
    // The large models were trained to begin an answer without thought by an empty one.
    if (!options.enable_thinking && options.empty_thought) {
      out.add_template("<|channel>thought\n<channel|>");
    }
  }
  return out.take();
}

}  // namespace gemma4::chat

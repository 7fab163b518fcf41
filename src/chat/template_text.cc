#include "chat/template_text.h"

#include <algorithm>
#include <cstddef>

namespace gemma4::chat {
namespace {

constexpr std::string_view kChannelOpen = "<|channel>";
constexpr std::string_view kChannelClose = "<channel|>";

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

}  // namespace gemma4::chat

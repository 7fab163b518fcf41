#include "apps/printable.h"

#include <algorithm>

#include "text/utf8.h"

namespace gemma4::apps {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// What a terminal obeys instead of showing it.
bool is_command(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200E && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string one_line(std::string_view text, size_t max_characters) {
  std::string line;
  size_t at = 0;
  for (size_t count = 0; at < text.size() && count < max_characters; ++count) {
    const size_t start = at;
    if (kSpace.find(text[at]) != kSpace.npos) {
      at = std::min(text.find_first_not_of(kSpace, at), text.size());
      if (at < text.size() && !line.empty()) line += ' ';
    } else {
      const bool shown = !is_command(text::next_code_point(text, at));
      line += shown ? text.substr(start, at - start) : text::kReplacement;
    }
  }
  return at < text.size() ? line + "…" : line;
}

std::string_view LeadingSpace::strip(std::string_view piece) {
  if (!at_front_) return piece;
  piece.remove_prefix(std::min(piece.find_first_not_of(kSpace), piece.size()));
  at_front_ = piece.empty();
  return piece;
}

}  // namespace gemma4::apps

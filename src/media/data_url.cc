#include "media/data_url.h"

#include <cstdint>

#include "base/strings.h"

namespace gemma4::media {
namespace {

constexpr std::string_view kScheme = "data:";

Error invalid(const std::string& problem) {
  return {ErrorCode::kInvalidArgument, "data URL: " + problem};
}

// 0 to 63, of the standard and of the URL-safe alphabet; -1 for other characters.
int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);  // a letter becomes small
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Result<std::vector<std::byte>> decode_base64(std::string_view text) {
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int num_bits = 0;
  size_t digits = 0, padding = 0;
  for (const char c : text) {
    if (c == '\r' || c == '\n' || c == ' ' || c == '\t') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const int digit = base64_digit(c);
    if (digit < 0) return invalid(str_cat(quote(std::string(1, c), 8), " is no base64 character"));
    if (padding > 0) return invalid("there is more after the padding of the base64 data");
    ++digits;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes.push_back(static_cast<std::byte>(bits >> num_bits & 0xff));
  }
  const bool whole = digits % 4 != 1 && (padding == 0 || (digits + padding) % 4 == 0);
  if (!whole || padding > 2) return invalid("the base64 data is cut off");
  return bytes;
}

Result<std::vector<std::byte>> decode_percent(std::string_view text) {
  std::vector<std::byte> bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes.push_back(static_cast<std::byte>(text[i]));
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return invalid("two hexadecimal digits are missing after a '%'");
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
    i += 2;
  }
  return bytes;
}

}  // namespace

bool is_data_url(std::string_view text) {
  return lower_case(text.substr(0, kScheme.size())) == kScheme;
}

Result<DataUrl> parse_data_url(std::string_view text, size_t max_bytes) {
  if (!is_data_url(text)) return invalid("it does not begin with \"data:\"");
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos) return invalid("there is no comma before the data");
  std::string_view head = text.substr(kScheme.size(), comma - kScheme.size());
  const std::string_view data = text.substr(comma + 1);
  // No encoding is shorter than a character for each byte, and base64 none than four for three.
  constexpr std::string_view kBase64 = ";base64";
  const bool base64 = head.size() >= kBase64.size() &&
                      lower_case(head.substr(head.size() - kBase64.size())) == kBase64;
  if (base64) head.remove_suffix(kBase64.size());
  DataUrl url{.media_type = lower_case(head.substr(0, head.find(';')))};
  if (url.media_type.empty()) url.media_type = "text/plain";
  if ((base64 ? data.size() / 4 * 3 : data.size() / 3) > max_bytes)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("data URL: longer than the limit of ", human_bytes(max_bytes))};
  auto bytes = base64 ? decode_base64(data) : decode_percent(data);
  if (!bytes.ok()) return bytes.error();
  url.bytes = std::move(bytes).value();
  if (url.bytes.size() > max_bytes)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("data URL: longer than the limit of ", human_bytes(max_bytes))};
  return url;
}

}  // namespace gemma4::media

// "data:image/png;base64,…": a file inside a text (RFC 2397).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::media {

struct DataUrl {
  std::string media_type;  // "image/png"; "text/plain" when the URL names none
  std::vector<std::byte> bytes;
};

// Whether `text` claims to be one.
bool is_data_url(std::string_view text);

// Base64 (with or without padding; line breaks and spaces are skipped) or percent-encoded bytes, at
// most `max_bytes` of them. kInvalidArgument says what is wrong, kResourceExhausted what is too
// long.
Result<DataUrl> parse_data_url(std::string_view text, size_t max_bytes);

}  // namespace gemma4::media

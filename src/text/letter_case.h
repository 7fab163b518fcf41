// Upper and lower case by Unicode's full mappings: "ß" becomes "SS", "İ" two code points, and a
// sigma at the end of a word the final one. Independent of any locale.
#pragma once

#include <string>
#include <string_view>

namespace gemma4::text {

// `text` is UTF-8; bytes that are not are kept as they are.
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);

}  // namespace gemma4::text

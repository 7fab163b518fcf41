// References between schemas: as much of RFC 3986 as they use.
#pragma once

#include <string>
#include <string_view>

namespace gemma4::constrain {

// `reference` as seen from `base`, fragment included.
std::string resolve_uri(std::string_view base, std::string_view reference);

// `text` with %XX written out.
std::string percent_decoded(std::string_view text);

}  // namespace gemma4::constrain

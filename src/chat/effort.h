// How hard to think, in the words of the APIs.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace gemma4::chat {

struct Effort {
  bool thinking = false;
  int64_t thinking_budget = std::numeric_limits<int64_t>::max();  // tokens of a thought
};

// "none": no thought; "minimal", "low", "medium": up to 128, 512, 2048 tokens; "high": any length.
// Nothing for other words.
inline std::optional<Effort> effort_of(std::string_view level) {
  if (level == "none") return Effort{};
  if (level == "minimal") return Effort{true, 128};
  if (level == "low") return Effort{true, 512};
  if (level == "medium") return Effort{true, 2048};
  if (level == "high") return Effort{.thinking = true};
  return std::nullopt;
}

}  // namespace gemma4::chat

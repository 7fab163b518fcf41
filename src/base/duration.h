// Lengths of time as people write them.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace gemma4 {

// Longer than any server runs, and short enough to be added to the time of any clock.
inline constexpr std::chrono::milliseconds kLongestDuration = std::chrono::hours(24 * 365 * 100);

// "1h30m", "90s", "250ms", or a number of seconds: "90", "1.5". A minus in front makes it less than
// nothing. What is longer than kLongestDuration is as long. Nothing for any other text.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// The same of a number.
std::chrono::milliseconds duration_of_seconds(double seconds);

}  // namespace gemma4

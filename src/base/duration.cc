#include "base/duration.h"

#include <algorithm>
#include <charconv>

namespace gemma4 {
namespace {

constexpr std::string_view kDigits = "0123456789.";

// In seconds; nothing for what is no unit.
std::optional<double> length_of(std::string_view unit) {
  if (unit == "h") return 3600;
  if (unit == "m") return 60;
  if (unit == "s") return 1;
  if (unit == "ms") return 1e-3;
  if (unit == "us" || unit == "µs") return 1e-6;
  if (unit == "ns") return 1e-9;
  return std::nullopt;
}

// The number at the beginning of `text`, which is taken away from it.
std::optional<double> take_number(std::string_view& text) {
  if (text.empty() || kDigits.find(text.front()) == kDigits.npos) return std::nullopt;
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

std::chrono::milliseconds duration_of_seconds(double seconds) {
  constexpr double kMost = std::chrono::duration<double>(kLongestDuration).count();
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(std::clamp(seconds, -kMost, kMost)));
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const bool is_negative = text.starts_with('-');
  if (is_negative) text.remove_prefix(1);
  std::optional<double> number = take_number(text);
  if (!number) return std::nullopt;
  double seconds = text.empty() ? *number : 0;  // a number alone
  while (!text.empty()) {
    const std::string_view unit = text.substr(0, text.find_first_of(kDigits));
    const auto length = length_of(unit);
    if (!number || !length) return std::nullopt;
    seconds += *number * *length;
    text.remove_prefix(unit.size());
    if (text.empty()) break;
    number = take_number(text);
    if (text.empty()) return std::nullopt;  // "5m3"
  }
  return duration_of_seconds(is_negative ? -seconds : seconds);
}

}  // namespace gemma4

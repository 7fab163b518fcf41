// Small string helpers. The core cannot use <format> (GCC 12 lacks it).
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace gemma4 {

namespace internal {
inline void append(std::string& out, std::string_view s) { out.append(s); }
inline void append(std::string& out, char c) { out.push_back(c); }
template <std::integral T>
requires(!std::same_as<T, char> && !std::same_as<T, bool>) void append(std::string& out, T value) {
  out.append(std::to_string(value));
}
template <std::floating_point T>
void append(std::string& out, T value) {
  char buffer[32];
  auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, value);
  out.append(buffer, end);
}
}  // namespace internal

// str_cat("shape ", 3, "x", 4) == "shape 3x4". Floats print shortest round-trip.
template <typename... Parts>
std::string str_cat(const Parts&... parts) {
  std::string out;
  (internal::append(out, parts), ...);
  return out;
}

// `value` with `digits` places after the point: fixed(1.26, 1) == "1.3".
std::string fixed(double value, int digits);

// 1536 -> "1.5 KB", 9260000000 -> "9.26 GB" (decimal units, three significant digits).
std::string human_bytes(uint64_t bytes);

// 262144 -> "262,144".
std::string with_thousands(uint64_t value);

// ASCII letters only: "Q8_0" -> "q8_0".
std::string lower_case(std::string_view text);

// Shortens `text` to `max_bytes` for use in an error message, escapes control characters.
std::string quote(std::string_view text, size_t max_bytes = 60);

}  // namespace gemma4

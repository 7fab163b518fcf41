// UTF-8, one sequence at a time: what the bytes at the front of a string are, and their repair.
//
// Ill-formed input follows the Unicode standard's advice (section 3.9, "maximal subpart"), which is
// also what browsers do: each longest prefix that could have begun a sequence becomes one U+FFFD.
// Overlong forms, surrogates and values above U+10FFFF are ill-formed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gemma4::text {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Sequence {
  enum class Kind : uint8_t {
    kValid,       // `length` bytes encode `code_point`
    kIllFormed,   // the first `length` bytes can never be part of well-formed text
    kIncomplete,  // all `length` bytes are a proper prefix of some well-formed sequence
  };
  Kind kind;
  uint8_t length;       // 1 to 4
  char32_t code_point;  // only with kValid
};

// Classifies the front of `bytes`, which must not be empty.
Utf8Sequence next_sequence(std::string_view bytes);

// The code point at `text[position]` of well-formed UTF-8; moves `position` behind it. Undefined
// for ill-formed text: callers repair or validate first.
inline char32_t next_code_point(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[position + i]); };
  const uint8_t lead = byte(0);
  char32_t c = lead;
  if (lead < 0x80) {
    position += 1;
  } else if (lead < 0xE0) {
    c = (lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu);
    position += 2;
  } else if (lead < 0xF0) {
    c = (lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
    position += 3;
  } else {
    c = (lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu);
    position += 4;
  }
  return c;
}

// Whether `text` is well-formed.
bool is_well_formed(std::string_view text);

// Appends `text` to `out`, each maximal ill-formed subsequence replaced by U+FFFD.
void append_repaired(std::string_view text, std::string& out);

}  // namespace gemma4::text

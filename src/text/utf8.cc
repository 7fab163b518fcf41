#include "text/utf8.h"

#include <simdjson.h>

namespace gemma4::text {
namespace {

constexpr bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

}  // namespace

Utf8Sequence next_sequence(std::string_view bytes) {
  using Kind = Utf8Sequence::Kind;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {Kind::kValid, 1, lead};
  if (lead < 0xC2 || lead > 0xF4) return {Kind::kIllFormed, 1, 0};

  // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
  const uint8_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (bytes.size() < 2) return {Kind::kIncomplete, 1, 0};
  if (byte(1) < low || byte(1) > high) return {Kind::kIllFormed, 1, 0};
  for (uint8_t i = 2; i < length; ++i) {
    if (bytes.size() <= i) return {Kind::kIncomplete, i, 0};
    if (!is_continuation(byte(i))) return {Kind::kIllFormed, i, 0};
  }
  size_t position = 0;
  return {Kind::kValid, length, next_code_point(bytes, position)};
}

bool is_well_formed(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

void append_repaired(std::string_view text, std::string& out) {
  if (is_well_formed(text)) {
    out.append(text);
    return;
  }
  while (!text.empty()) {
    const Utf8Sequence sequence = next_sequence(text);
    out.append(sequence.kind == Utf8Sequence::Kind::kValid ? text.substr(0, sequence.length)
                                                           : kReplacement);
    text.remove_prefix(sequence.length);
  }
}

}  // namespace gemma4::text

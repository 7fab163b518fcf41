#include "text/letter_case.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace gemma4::text {
namespace {

std::string utf8(char32_t c) {
  std::string s;
  if (c < 0x80) {
    s += static_cast<char>(c);
  } else if (c < 0x800) {
    s += static_cast<char>(0xC0 | c >> 6);
  } else if (c < 0x10000) {
    s += static_cast<char>(0xE0 | c >> 12);
    s += static_cast<char>(0x80 | (c >> 6 & 0x3F));
  } else {
    s += static_cast<char>(0xF0 | c >> 18);
    s += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    s += static_cast<char>(0x80 | (c >> 6 & 0x3F));
  }
  if (c >= 0x80) s += static_cast<char>(0x80 | (c & 0x3F));
  return s;
}

// FNV-1a of what `map` makes of every code point.
template <typename Map>
uint64_t fingerprint(Map map) {
  uint64_t hash = 0xCBF29CE484222325;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    for (const char byte : map(utf8(c))) {
      hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001B3;
    }
  }
  return hash;
}

// The expected numbers are those of Python 3.11's str.lower and str.upper (Unicode 14).
TEST(LetterCase, EveryCodePointAsInPython) {
  EXPECT_EQ(fingerprint(to_lower), 0xC319D02E8283B91E);
  EXPECT_EQ(fingerprint(to_upper), 0xF1A6102C65729830);
  const auto with_sigmas = [](const std::string& c) {
    return to_lower("A" + c + "\xCE\xA3" + c + "\xCE\xA3");
  };
  EXPECT_EQ(fingerprint(with_sigmas), 0x843303011C8A7E9E);
}

TEST(LetterCase, Examples) {
  EXPECT_EQ(to_lower("Hello, World 42"), "hello, world 42");
  EXPECT_EQ(to_upper("stra\xC3\x9F"
                     "e"),
            "STRASSE");
  EXPECT_EQ(to_lower("\xC4\xB0"), "i\xCC\x87");
  EXPECT_EQ(to_lower("\xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3 \xCE\xA3"),
            "\xCE\xBF\xCE\xB4\xCE\xBF\xCF\x82 \xCF\x83");
  EXPECT_EQ(to_lower(""), "");
  EXPECT_EQ(to_lower("A\xFF"
                     "B\xE2\x82"),
            "a\xFF"
            "b\xE2\x82");  // not UTF-8: kept
}

}  // namespace
}  // namespace gemma4::text

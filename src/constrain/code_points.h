// Sets of code points, and how UTF-8 writes a range of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gemma4::constrain {

inline constexpr char32_t kLastCodePoint = 0x10FFFF;

struct CodeRange {
  char32_t first, last;  // both included
  bool operator==(const CodeRange&) const = default;
};
using CodePointSet = std::vector<CodeRange>;

// Sorted, disjoint, without surrogates.
CodePointSet normalised(const CodePointSet& set);
// All other code points; surrogates are none.
CodePointSet complement(const CodePointSet& set);

// Byte ranges, one after another: any bytes from them are UTF-8 of a code point of the range.
struct ByteRange {
  uint8_t first, last;
};
struct ByteSequence {
  int length = 0;
  std::array<ByteRange, 4> bytes{};
};
// Exactly the encodings of the code points of `set`, which must be normalised.
std::vector<ByteSequence> utf8_sequences(const CodePointSet& set);

void append_utf8(char32_t code_point, std::string& out);

}  // namespace gemma4::constrain

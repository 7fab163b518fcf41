#include "constrain/code_points.h"

#include <algorithm>

namespace gemma4::constrain {
namespace {

int encode(char32_t c, std::array<uint8_t, 4>& bytes) {
  if (c < 0x80) {
    bytes[0] = static_cast<uint8_t>(c);
    return 1;
  }
  const int length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (int i = length - 1; i > 0; --i, c >>= 6) bytes[i] = static_cast<uint8_t>(0x80 | (c & 0x3F));
  bytes[0] = static_cast<uint8_t>((0xF00 >> length & 0xFF) | c);
  return length;
}

// Splits until the encodings of a range are a product of byte ranges.
void append_sequences(char32_t first, char32_t last, std::vector<ByteSequence>& out) {
  for (const char32_t border : {0x7FU, 0x7FFU, 0xFFFFU})
    if (first <= border && border < last) {
      append_sequences(first, border, out);
      append_sequences(border + 1, last, out);
      return;
    }
  for (int i = 1; first > 0x7F && i < 4; ++i) {
    const char32_t low = (1U << (6 * i)) - 1;
    if ((first & ~low) == (last & ~low)) continue;
    if ((first & low) != 0) {
      append_sequences(first, first | low, out);
      append_sequences((first | low) + 1, last, out);
      return;
    }
    if ((last & low) != low) {
      append_sequences(first, (last & ~low) - 1, out);
      append_sequences(last & ~low, last, out);
      return;
    }
  }
  std::array<uint8_t, 4> from{};
  std::array<uint8_t, 4> to{};
  ByteSequence sequence;
  sequence.length = encode(first, from);
  encode(last, to);
  for (int i = 0; i < sequence.length; ++i) sequence.bytes[i] = {from[i], to[i]};
  out.push_back(sequence);
}

}  // namespace

CodePointSet normalised(const CodePointSet& set) {
  CodePointSet pieces;
  for (const CodeRange& range : set) {  // around the surrogates
    if (range.first < 0xD800)
      pieces.push_back({range.first, std::min<char32_t>(range.last, 0xD7FF)});
    if (range.last > 0xDFFF)
      pieces.push_back({std::max<char32_t>(range.first, 0xE000), range.last});
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const CodeRange& a, const CodeRange& b) { return a.first < b.first; });
  CodePointSet result;
  for (const CodeRange& range : pieces) {
    if (range.first > range.last) continue;
    if (!result.empty() && range.first <= result.back().last + 1) {
      result.back().last = std::max(result.back().last, range.last);
    } else {
      result.push_back(range);
    }
  }
  return result;
}

CodePointSet complement(const CodePointSet& set) {
  CodePointSet result;
  char32_t next = 0;
  for (const CodeRange& range : normalised(set)) {
    if (range.first > next) result.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) result.push_back({next, kLastCodePoint});
  return normalised(result);
}

std::vector<ByteSequence> utf8_sequences(const CodePointSet& set) {
  std::vector<ByteSequence> result;
  for (const CodeRange& range : set) append_sequences(range.first, range.last, result);
  return result;
}

void append_utf8(char32_t code_point, std::string& out) {
  std::array<uint8_t, 4> bytes{};
  const int length = encode(code_point, bytes);
  for (int i = 0; i < length; ++i) out += static_cast<char>(bytes[i]);
}

}  // namespace gemma4::constrain

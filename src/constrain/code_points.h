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

// Adds to an automaton what leads from `from` to `to` by one code point of `set`, which must be
// normalised. An automaton has add_state() and edge(from, first byte, last byte, to).
template <typename Automaton>
void append_code_point(Automaton& automaton, int from, const CodePointSet& set, int to) {
  // Sequences that share their first bytes share the states behind them too: all that remains after
  // n bytes of any kind is one state, if the rest may be any continuation.
  std::array<int, 4> any_rest{to, -1, -1, -1};  // by the number of bytes still to come
  const auto rest_state = [&](int count) {
    for (int i = 1; i <= count; ++i)
      if (any_rest[i] < 0) {
        any_rest[i] = automaton.add_state();
        automaton.edge(any_rest[i], 0x80, 0xBF, any_rest[i - 1]);
      }
    return any_rest[count];
  };
  for (const ByteSequence& sequence : utf8_sequences(set)) {
    int state = from;
    for (int i = 0; i < sequence.length; ++i) {
      bool free = true;
      for (int j = i + 1; j < sequence.length; ++j)
        free = free && sequence.bytes[j].first == 0x80 && sequence.bytes[j].last == 0xBF;
      const int next = free ? rest_state(sequence.length - i - 1) : automaton.add_state();
      automaton.edge(state, sequence.bytes[i].first, sequence.bytes[i].last, next);
      if (free) break;
      state = next;
    }
  }
}

void append_utf8(char32_t code_point, std::string& out);

}  // namespace gemma4::constrain

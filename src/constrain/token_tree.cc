#include "constrain/token_tree.h"

namespace gemma4::constrain {
namespace {

// First bytes of code points that have a kind together; punctuation has one each.
struct ByteSpan {
  uint8_t first, last;
};
constexpr ByteSpan kLikeBytes[] = {{'0', '9'},   {'A', 'Z'},   {'a', 'z'},   {0xC2, 0xC2},
                                   {0xC3, 0xC3}, {0xC4, 0xDF}, {0xE0, 0xE0}, {0xE1, 0xE1},
                                   {0xE2, 0xE2}, {0xE3, 0xE3}, {0xE4, 0xE9}, {0xEA, 0xED},
                                   {0xEE, 0xEF}, {0xF0, 0xF4}};

constexpr bool is_alphanumeric(int byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= 'a' && byte <= 'z');
}

}  // namespace

uint64_t TokenTree::kind_of(uint8_t byte) {
  static constexpr auto kKinds = [] {
    std::array<uint8_t, 256> kinds{};
    const auto set = [&](int first, int last, uint8_t kind) {
      for (int b = first; b <= last; ++b) kinds[b] = kind;
    };
    uint8_t kind = 1;  // 0 is kIllFormed
    set(0x00, 0xFF, kind++);
    for (const uint8_t control : {0x09, 0x0A, 0x0D})  // tab, line feed, carriage return
      set(control, control, kind++);
    for (int b = ' '; b <= '~'; ++b) set(b, b, is_alphanumeric(b) ? 1 : kind++);
    for (const auto [first, last] : kLikeBytes) set(first, last, kind++);
    return kinds;
  }();
  return uint64_t{1} << kKinds[byte];
}

}  // namespace gemma4::constrain

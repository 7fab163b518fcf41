// Hashes of short strings and of pairs of ids, for the flat tables of this folder. Not for anything
// an adversary chooses the keys of without a bound on the number of probes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace gemma4::text {

inline constexpr uint64_t kHashMultiplier = 0x9E3779B97F4A7C15;  // 2^64 divided by the golden ratio

inline uint64_t mix(uint64_t h) {
  h *= kHashMultiplier;
  return h ^ (h >> 32);
}

// The first eight bytes of `s`, padded with zeros behind: with the length they tell strings of up
// to eight bytes apart.
inline uint64_t head_of(std::string_view s) {
  const char* p = s.data();
  const size_t n = s.size();
  uint64_t head = 0;
  if (n >= 8) {
    std::memcpy(&head, p, 8);
  } else if (n >= 4) {  // two loads that overlap, instead of a loop
    uint32_t first = 0, last = 0;
    std::memcpy(&first, p, 4);
    std::memcpy(&last, p + n - 4, 4);
    head = first | uint64_t{last} << (8 * (n - 4));
  } else if (n > 0) {
    const auto byte = [&](size_t i) { return uint64_t{static_cast<uint8_t>(p[i])} << (8 * i); };
    head = byte(0) | byte(n / 2) | byte(n - 1);
  }
  return head;
}

inline uint64_t hash_bytes(std::string_view s) {
  uint64_t h = mix(head_of(s) ^ mix(s.size() + 1));
  for (size_t i = 8; i < s.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, s.data() + (i + 8 <= s.size() ? i : s.size() - 8), 8);
    h = mix(h ^ word);
  }
  return mix(h);
}

}  // namespace gemma4::text

// Hash of the contents of a medium, by which an equal one is found again. It decides nothing: other
// contents may have the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/splitmix.h"

namespace gemma4 {

// Mixes eight bytes at a time: media are megabytes. `seed` is what else must be equal.
inline uint64_t content_hash(std::span<const std::byte> bytes, uint64_t seed = 0) {
  uint64_t hash = kSplitMixStep;
  const auto mix = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0xBF58476D1CE4E5B9ull;
    hash ^= hash >> 32;
  };
  mix(seed);
  mix(bytes.size());
  for (; bytes.size() >= sizeof(uint64_t); bytes = bytes.subspan(sizeof(uint64_t))) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    mix(word);
  }
  for (const std::byte byte : bytes) mix(std::to_integer<uint64_t>(byte));
  return hash;
}

}  // namespace gemma4

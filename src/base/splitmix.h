// SplitMix64: well mixed 64-bit numbers from a counter (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, OOPSLA 2014).
#pragma once

#include <cstdint>

namespace gemma4 {

// The counter's step, 2^64 divided by the golden ratio.
inline constexpr uint64_t kSplitMixStep = 0x9E3779B97F4A7C15u;

// The finaliser: every bit of `z` reaches every bit of the result.
inline uint64_t splitmix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace gemma4

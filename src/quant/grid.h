// Blocks whose elements are exact multiples of a scale: what training for a type leaves behind.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "quant/blocks.h"

namespace gemma4::quant {

// The integers that a type can multiply its scale with: contains(l) for -128 <= l < 128.
class LevelSet {
 public:
  static constexpr LevelSet interval(int first, int last) {
    LevelSet set;
    for (int level = first; level <= last; ++level) set.insert(level);
    return set;
  }
  static constexpr LevelSet list(std::span<const int8_t> levels) {
    LevelSet set;
    for (const int8_t level : levels) set.insert(level);
    return set;
  }

  constexpr bool contains(int level) const {
    return level >= -128 && level < 128 && present_[index_of(level)];
  }
  constexpr int largest() const { return largest_; }  // magnitude

 private:
  static constexpr size_t index_of(int level) { return static_cast<size_t>(level) + 128; }
  constexpr void insert(int level) {
    present_[index_of(level)] = true;
    largest_ = std::max(largest_, level < 0 ? -level : level);
  }
  std::array<bool, 256> present_{};
  int largest_ = 0;
};

struct Grid {
  uint16_t d;  // f16
  std::array<int8_t, kSmallBlock> levels;
};

// A scale d and levels with x[j] == d · levels[j] for all 32 elements; nothing if there are none,
// or if all elements are zero. The elements are finite. Of several scales it is the one with the
// largest magnitude, and of two signs the one that gives zeros their own sign, or else the positive
// one.
std::optional<Grid> find_grid(const float* x, const LevelSet& set);

// The same for a grid whose values were stored as bf16: every x[j] is a bf16 number, and some scale
// s, not necessarily an f16, has x[j] == bf16(s · levels[j]). `d` is the f16 next to the middle of
// such scales. For sets of few levels: rounding must not hide which one is meant.
std::optional<Grid> find_grid_of_bf16(const float* x, const LevelSet& set);

}  // namespace gemma4::quant

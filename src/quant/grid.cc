#include "quant/grid.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gemma4::quant {
namespace {

// The greatest common divisor, or 0 as soon as it is known to be below `least`.
uint32_t common_divisor(uint32_t a, uint32_t b, uint32_t least) {
  while (b != 0) {
    if (b < least) return 0;
    const uint32_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

float largest_magnitude(const float* x) {
  uint32_t bits = 0;  // of magnitudes: they order as the numbers do
  for (int j = 0; j < kSmallBlock; ++j)
    bits = std::max(bits, std::bit_cast<uint32_t>(x[j]) & 0x7fffffffu);
  return std::bit_cast<float>(bits);
}

// Whether no element but zeros is smaller than `least`. Most blocks that are on no grid fail here.
bool none_below(const float* x, float least) {
  bool none = true;
  for (int j = 0; j < kSmallBlock; ++j) none &= x[j] == 0 || std::abs(x[j]) >= least;
  return none;
}

// x as multiples m[j] of 2^exponent. Nothing when an element is so small beside the largest that no
// grid has both.
struct Multiples {
  std::array<uint32_t, kSmallBlock> m;
  int exponent;
};
std::optional<Multiples> as_multiples(const float* x, float largest, int largest_level) {
  if (!none_below(x, largest / static_cast<float>(largest_level))) return std::nullopt;
  // 31 bits hold the largest; the smallest, at least a 128th of it, still has all of its 24.
  Multiples result{.m = {}, .exponent = std::ilogb(largest) - 30};
  const float scale = std::ldexp(1.0f, -result.exponent);
  for (size_t j = 0; j < kSmallBlock; ++j)
    result.m[j] = static_cast<uint32_t>(std::abs(x[j]) * scale);
  return result;
}

// Levels of the elements at `unit` steps of 2^exponent to the level, if they are all in the set.
bool find_levels(const float* x, const Multiples& multiples, double unit, bool negative,
                 const LevelSet& set, Grid* grid) {
  for (size_t j = 0; j < kSmallBlock; ++j) {
    const int magnitude = static_cast<int>(multiples.m[j] / unit);
    const int level = std::signbit(x[j]) != negative ? -magnitude : magnitude;
    if (!set.contains(level)) return false;
    grid->levels[j] = static_cast<int8_t>(level);
  }
  return true;
}

bool has_negative_zero(const float* x) {
  return std::any_of(x, x + kSmallBlock, [](float v) { return v == 0 && std::signbit(v); });
}

bool all_bf16(const float* x) {
  uint32_t bits = 0;
  for (int j = 0; j < kSmallBlock; ++j) bits |= std::bit_cast<uint32_t>(x[j]);
  return (bits & 0xffffu) == 0;
}

// Levels at a scale near `guess`, and the middle of the scales that round to x; 0 if there is none.
float fit_rounded(const float* x, float guess, bool negative, const LevelSet& set, Grid* grid) {
  float least = 0, most = 2 * guess;
  for (size_t j = 0; j < kSmallBlock; ++j) {
    const float magnitude = std::abs(x[j]);
    const int level = static_cast<int>(std::lround(magnitude / guess));
    const int signed_level = std::signbit(x[j]) != negative ? -level : level;
    if (!set.contains(signed_level) || (level == 0 && magnitude != 0)) return 0;
    grid->levels[j] = static_cast<int8_t>(signed_level);
    if (level == 0) continue;
    const float half_step = std::ldexp(1.0f, std::ilogb(magnitude) - 8);
    least = std::max(least, (magnitude - half_step) / static_cast<float>(level));
    most = std::min(most, (magnitude + half_step) / static_cast<float>(level));
  }
  return least <= most ? (least + most) / 2 : 0;
}

}  // namespace

std::optional<Grid> find_grid_of_bf16(const float* x, const LevelSet& set) {
  const float largest = largest_magnitude(x);
  const auto most_levels = static_cast<float>(set.largest());
  // The smallest normal f16, below which d would be further off than bf16 is; and the largest one.
  if (largest < 0x1p-14f * most_levels || largest > 65504.0f) return std::nullopt;
  if (!all_bf16(x) || !none_below(x, largest / (most_levels + 0.5f))) return std::nullopt;
  const bool first_sign = has_negative_zero(x);
  for (int level = 1; level <= set.largest(); ++level)
    for (const bool negative : {first_sign, !first_sign}) {
      Grid grid{.d = 0, .levels = {}};
      const float d = fit_rounded(x, largest / static_cast<float>(level), negative, set, &grid);
      if (d == 0) continue;
      grid.d = f32_to_f16(negative ? -d : d);
      return grid;
    }
  return std::nullopt;
}

std::optional<Grid> find_grid(const float* x, const LevelSet& set) {
  const float largest = largest_magnitude(x);
  if (largest < 0x1p-24f) return std::nullopt;  // the smallest f16
  const auto multiples = as_multiples(x, largest, set.largest());
  if (!multiples) return std::nullopt;
  const auto [m, exponent] = *multiples;

  // A scale divides every element, so it divides their common divisor: d = divisor / j.
  const uint32_t most = *std::max_element(m.begin(), m.end());
  const auto least = most / static_cast<uint32_t>(set.largest());
  uint32_t divisor = most;
  for (const uint32_t multiple : m) {
    if (multiple != 0) divisor = common_divisor(divisor, multiple, least);
    if (divisor < least || divisor == 0) return std::nullopt;
  }
  const bool first_sign = has_negative_zero(x);
  for (uint32_t j = 1; most / divisor * j <= static_cast<uint32_t>(set.largest()); ++j) {
    const double unit = divisor / static_cast<double>(j);
    const double d = std::ldexp(unit, exponent);
    Grid grid{.d = f32_to_f16(static_cast<float>(d)), .levels = {}};
    if (f16_to_f32(grid.d) != d) continue;  // too many bits for an f16, or too large
    for (const bool negative : {first_sign, !first_sign})
      if (find_levels(x, *multiples, unit, negative, set, &grid)) {
        if (negative) grid.d |= 0x8000u;
        return grid;
      }
  }
  return std::nullopt;
}

}  // namespace gemma4::quant

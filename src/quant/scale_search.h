// Least-squares search for x ≈ scale · level, with a block in each lane.
#pragma once

#include "quant/lanes.h"

namespace gemma4::quant {

// Every integer in an interval is a level.
template <int kLow, int kHigh>
struct IntegerLevels {
  static constexpr float kExtreme = kLow;  // the level with the largest magnitude
  static Lanes nearest(Lanes v) { return round_to_integer(limit(v, kLow, kHigh)); }
};

// Guesses map the element of the largest magnitude to `extreme · (1 - reach)` … `extreme · (1 +
// reach)` and to the opposite of it. Each gives levels, and these the best scale in closed form;
// the guess with the least error wins.
template <typename Levels, int kElements>
Lanes search_scales(const LaneGroup<kElements>& group, float reach, int steps) {
  Lanes largest{};
  for (const Lanes x : group.x) largest = select(magnitude(x) > magnitude(largest), x, largest);
  const Lanes per_largest = inverse(largest);
  Lanes best{}, best_gain{};
  for (int step = -steps; step <= steps; ++step)
    for (const float extreme : {Levels::kExtreme, -Levels::kExtreme}) {
      const float part = static_cast<float>(step) / static_cast<float>(steps);
      const Lanes per_scale = per_largest * (extreme * (1 + reach * part));
      Lanes xl{}, ll{};  // sums of w·x·level and w·level²
      for (int j = 0; j < kElements; ++j) {
        const Lanes level = Levels::nearest(group.x[j] * per_scale);
        const Lanes weighted = group.w[j] * level;
        xl += weighted * group.x[j];
        ll += weighted * level;
      }
      // The error is sum(w·x²) - gain.
      const Lanes scale = xl * inverse(ll);
      const Lanes gain = scale * xl;
      best = select(gain > best_gain, scale, best);
      best_gain = select(gain > best_gain, gain, best_gain);
    }
  return best;
}

}  // namespace gemma4::quant

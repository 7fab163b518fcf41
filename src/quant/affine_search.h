// Least-squares search for x ≈ scale · n - min with n = 0 … kMax and min >= 0, a sub-block of 32 in
// each lane.
#pragma once

#include "quant/lanes.h"

namespace gemma4::quant {

struct AffineScales {
  Lanes scale{}, min{};
};

namespace internal {

// A sub-block before any n is chosen. `low` is the least element or 0, whichever is less; the sums
// hold y = x - low, which is never negative, so that little cancels in them.
struct AffineSums {
  Lanes low{}, range{};
  Lanes w{}, wy{}, wyy{};  // sums of w, w·y and w·y²
};

inline AffineSums affine_sums(const LaneGroup<32>& group) {
  AffineSums sums;
  Lanes high = group.x[0];
  for (const Lanes x : group.x) {
    sums.low = select(x < sums.low, x, sums.low);
    high = select(x > high, x, high);
  }
  sums.range = high - sums.low;
  for (int j = 0; j < 32; ++j) {
    const Lanes y = group.x[j] - sums.low;
    sums.w += group.w[j];
    sums.wy += group.w[j] * y;
    sums.wyy += group.w[j] * y * y;
  }
  return sums;
}

struct AffineFit {
  AffineScales scales;
  Lanes error{};

  void take_better(const AffineFit& other) {
    const LaneMask better = other.error < error;
    scales.scale = select(better, other.scales.scale, scales.scale);
    scales.min = select(better, other.scales.min, scales.min);
    error = select(better, other.error, error);
  }
};

// All n = 0: the mean, which is right for a sub-block of equal negative elements.
inline AffineFit fit_mean(const AffineSums& sums) {
  const Lanes mean = sums.low + sums.wy / sums.w;
  AffineFit fit;
  fit.scales.min = select(mean < splat(0), -mean, splat(0));
  const Lanes offset = -fit.scales.min - sums.low;  // y ≈ offset
  fit.error = sums.wyy - 2.0f * offset * sums.wy + offset * offset * sums.w;
  return fit;
}

// The best scale and min for n = y · per_scale + shift, rounded.
template <int kMax>
AffineFit fit_affine(const LaneGroup<32>& group, const AffineSums& sums, Lanes per_scale,
                     Lanes shift) {
  Lanes wn{}, wnn{}, wny{};
  for (int j = 0; j < 32; ++j) {
    const Lanes y = group.x[j] - sums.low;
    const Lanes n = round_to_integer(limit(y * per_scale + shift, 0, kMax));
    const Lanes weighted = group.w[j] * n;
    wn += weighted;
    wnn += weighted * n;
    wny += weighted * y;
  }
  // y ≈ scale · n + offset. Where all n are the same, up to rounding, no line goes through them.
  const Lanes determinant = sums.w * wnn - wn * wn;
  const LaneMask solvable = determinant > 1e-5f * sums.w * wnn;
  const Lanes per_determinant = select(solvable, 1.0f / determinant, splat(0));
  const Lanes free_scale = (sums.w * wny - sums.wy * wn) * per_determinant;
  const Lanes free_offset = (wnn * sums.wy - wn * wny) * per_determinant;
  // The line through x = 0, for where the free one would need a negative min.
  const Lanes tied_scale = limit((wny + sums.low * wn) * inverse(wnn), 0, 0x1p100f);
  const LaneMask free = (free_scale > splat(0)) & (sums.low + free_offset <= splat(0));
  const Lanes scale = select(free, free_scale, tied_scale);
  const Lanes offset = select(free, free_offset, -sums.low);
  AffineFit fit{.scales = {.scale = scale, .min = -(sums.low + offset)}};
  fit.error = sums.wyy - 2.0f * (scale * wny + offset * sums.wy) + scale * scale * wnn +
              2.0f * scale * offset * wn + offset * offset * sums.w;
  return fit;
}

}  // namespace internal

// Guesses map the range of x to kMax - 1 … kMax + 1 steps; then the best fit chooses n anew, and n
// the fit.
template <int kMax>
AffineScales search_affine(const LaneGroup<32>& group) {
  constexpr int kSteps = 20, kRefinements = 3;
  const internal::AffineSums sums = internal::affine_sums(group);
  internal::AffineFit best = internal::fit_mean(sums);
  const Lanes per_range = inverse(sums.range);
  for (int step = 0; step <= kSteps; ++step) {
    const float num_steps = kMax - 1 + 2 * static_cast<float>(step) / kSteps;
    best.take_better(internal::fit_affine<kMax>(group, sums, num_steps * per_range, Lanes{}));
  }
  for (int i = 0; i < kRefinements; ++i) {
    const Lanes per_scale = inverse(best.scales.scale);
    const Lanes shift = (best.scales.min + sums.low) * per_scale;
    best.take_better(internal::fit_affine<kMax>(group, sums, per_scale, shift));
  }
  return best.scales;
}

}  // namespace gemma4::quant

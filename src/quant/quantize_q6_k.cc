// Q6_K: sixteen sub-blocks of 16, x ≈ d·S·n. First each sub-block gets the scale that serves it
// best; then d follows from the largest of them, and S and d are improved in turn, against the
// error of what will be written.

#include <algorithm>
#include <array>

#include "quant/quantize_blocks.h"
#include "quant/scale_search.h"

namespace gemma4::quant {
namespace {

constexpr int kSubBlock = 16;
constexpr int kRounds = 3;

using Levels = IntegerLevels<-32, 31>;
constexpr size_t kNumGroups = kLargeBlock / kSubBlock / kLanes;
using Groups = std::array<LaneGroup<kSubBlock>, kNumGroups>;  // sub-blocks 0 to 3, 4 to 7 …

// What is written of a block but for n, which follows: the nearest.
struct Scales {
  float d = 0;                        // an f16 number
  std::array<Lanes, kNumGroups> s{};  // S, integers
};

Lanes limit_step(Lanes s) { return limit(s, -128, 127); }

Lanes errors_of(const LaneGroup<kSubBlock>& group, Lanes scale) {
  const Lanes per_scale = inverse(scale);
  Lanes errors{};
  for (int j = 0; j < kSubBlock; ++j) {
    const Lanes error = group.x[j] - scale * Levels::nearest(group.x[j] * per_scale);
    errors += group.w[j] * error * error;
  }
  return errors;
}

// S of each sub-block: the best of the three around those given. Gives the error of the block.
float choose_steps(const Groups& groups, Scales* scales) {
  float error = 0;
  for (size_t i = 0; i < kNumGroups; ++i) {
    const Lanes around = scales->s[i];
    Lanes best = errors_of(groups[i], scales->d * around);
    for (const float ds : {-1.0f, 1.0f}) {
      const Lanes trial = limit_step(around + ds);
      const Lanes errors = errors_of(groups[i], scales->d * trial);
      scales->s[i] = select(errors < best, trial, scales->s[i]);
      best = select(errors < best, errors, best);
    }
    error += sum_of(best);
  }
  return error;
}

// d that is best for S and the present n.
float fit_d(const Groups& groups, const Scales& scales) {
  Lanes numerator{}, denominator{};
  for (size_t i = 0; i < kNumGroups; ++i) {
    const Lanes s = scales.s[i];
    const Lanes per_scale = inverse(scales.d * s);
    Lanes xn{}, nn{};
    for (int j = 0; j < kSubBlock; ++j) {
      const Lanes n = Levels::nearest(groups[i].x[j] * per_scale);
      xn += groups[i].w[j] * n * groups[i].x[j];
      nn += groups[i].w[j] * n * n;
    }
    numerator += s * xn;
    denominator += s * s * nn;
  }
  const float squares = sum_of(denominator);
  return squares > 0 ? rounded_to_f16(sum_of(numerator) / squares) : scales.d;
}

Scales search(const Groups& groups) {
  constexpr float kReach = 0.06f;
  constexpr int kSteps = 6;
  std::array<Lanes, kNumGroups> ideal;
  float extreme = 0;
  for (size_t i = 0; i < kNumGroups; ++i) {
    ideal[i] = search_scales<Levels>(groups[i], kReach, kSteps);
    for (int b = 0; b < kLanes; ++b)
      if (std::abs(ideal[i][b]) > std::abs(extreme)) extreme = ideal[i][b];
  }
  Scales best;
  best.d = d_for(extreme, -128);
  for (size_t i = 0; i < kNumGroups; ++i)
    best.s[i] = limit_step(round_to_integer(ideal[i] * inverse(splat(best.d))));
  float least = choose_steps(groups, &best);
  for (int round = 0; round < kRounds; ++round) {
    Scales trial = best;
    trial.d = fit_d(groups, best);
    const float error = choose_steps(groups, &trial);
    if (!(error < least)) break;
    best = trial;
    least = error;
  }
  return best;
}

// Element e of the block is n.
void put(int e, unsigned n, BlockQ6_K* out) {
  const int a = e / 128, g = e % 128 / 32, l = e % 32;
  uint8_t& low = out->lo[64 * a + 32 * (g % 2) + l];
  uint8_t& high = out->hi[32 * a + l];
  low = static_cast<uint8_t>(low | (n & 15) << 4 * (g / 2));
  high = static_cast<uint8_t>(high | (n >> 4) << 2 * g);
}

void write(const Scales& scales, const Groups& groups, BlockQ6_K* out) {
  *out = {};
  out->d = to_f16_scale(scales.d);
  for (size_t i = 0; i < kNumGroups; ++i) {
    const Lanes per_scale = inverse(scales.d * scales.s[i]);
    const int first = static_cast<int>(i) * kLanes;  // sub-block
    for (int b = 0; b < kLanes; ++b) out->s[first + b] = static_cast<int8_t>(scales.s[i][b]);
    for (int j = 0; j < kSubBlock; ++j) {
      const Lanes n = Levels::nearest(groups[i].x[j] * per_scale) + 32.0f;
      for (int b = 0; b < kLanes; ++b)
        put((first + b) * kSubBlock + j, static_cast<unsigned>(n[b]), out);
    }
  }
}

}  // namespace

void quantize_q6_k(const float* row, int64_t count, const float* importance, BlockQ6_K* out) {
  for (int64_t begin = 0; begin < count; begin += kLargeBlock, ++out) {
    float x[kLargeBlock], w[kLargeBlock];
    for (int e = 0; e < kLargeBlock; ++e) x[e] = tame(row[begin + e], kLargestF16 * 127);
    weights_of(importance == nullptr ? nullptr : importance + begin, kLargeBlock, w);
    Groups groups;
    for (int t = 0; t < kLargeBlock / kSubBlock; ++t)
      groups[static_cast<size_t>(t / kLanes)].fill_lane(t % kLanes, x + t * kSubBlock,
                                                        w + t * kSubBlock);
    write(search(groups), groups, out);
  }
}

}  // namespace gemma4::quant

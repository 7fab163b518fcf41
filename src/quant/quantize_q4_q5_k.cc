// Q4_K, Q5_K: eight sub-blocks of 32, x ≈ d·S·n - dmin·M. First each sub-block gets the scale and
// min that serve it best; then d and dmin follow from the largest of them, and S, M, d and dmin are
// improved in turn, against the error of what will be written.

#include <algorithm>
#include <array>

#include "quant/affine_search.h"
#include "quant/quantize_blocks.h"

namespace gemma4::quant {
namespace {

constexpr int kSubBlock = 32;
constexpr float kLargestStep = 63;  // of S and M
constexpr int kRounds = 3;

using Groups = std::array<LaneGroup<kSubBlock>, 2>;  // sub-blocks 0 to 3, and 4 to 7

// What is written of a block but for n, which follows: the nearest.
struct Scales {
  float d = 0, dmin = 0;          // f16 numbers
  std::array<Lanes, 2> s{}, m{};  // S and M, integers
};

struct Line {  // x ≈ scale · n - min
  Lanes scale, per_scale, min;
};

Line line_of(const Scales& scales, size_t half) {
  const Lanes scale = scales.d * scales.s[half];
  return {.scale = scale, .per_scale = inverse(scale), .min = scales.dmin * scales.m[half]};
}

template <int kMax>
Lanes nearest_n(Lanes x, const Line& line) {
  return round_to_integer(limit((x + line.min) * line.per_scale, 0, kMax));
}

template <int kMax>
Lanes errors_of(const LaneGroup<kSubBlock>& group, const Line& line) {
  Lanes errors{};
  for (int j = 0; j < kSubBlock; ++j) {
    const Lanes error = group.x[j] + line.min - line.scale * nearest_n<kMax>(group.x[j], line);
    errors += group.w[j] * error * error;
  }
  return errors;
}

// S and M of each sub-block: the best of the nine around those given. Gives the error of the block.
template <int kMax>
float choose_steps(const Groups& groups, Scales* scales) {
  float error = 0;
  const Scales around = *scales;
  for (size_t half = 0; half < 2; ++half) {
    Lanes best = errors_of<kMax>(groups[half], line_of(around, half));
    for (const float ds : {-1.0f, 0.0f, 1.0f})
      for (const float dm : {-1.0f, 0.0f, 1.0f}) {
        if (ds == 0 && dm == 0) continue;
        Scales trial = around;
        trial.s[half] = limit(around.s[half] + ds, 0, kLargestStep);
        trial.m[half] = limit(around.m[half] + dm, 0, kLargestStep);
        const Lanes errors = errors_of<kMax>(groups[half], line_of(trial, half));
        const LaneMask better = errors < best;
        scales->s[half] = select(better, trial.s[half], scales->s[half]);
        scales->m[half] = select(better, trial.m[half], scales->m[half]);
        best = select(better, errors, best);
      }
    error += sum_of(best);
  }
  return error;
}

// d and dmin that are best for S, M and the present n: two unknowns, two equations.
template <int kMax>
void fit_d(const Groups& groups, Scales* scales) {
  Lanes ss{}, sm{}, mm{}, sx{}, mx{};
  for (size_t half = 0; half < 2; ++half) {
    const Line line = line_of(*scales, half);
    Lanes wn{}, wnn{}, wnx{}, wx{}, w{};
    for (int j = 0; j < kSubBlock; ++j) {
      const Lanes x = groups[half].x[j];
      const Lanes n = nearest_n<kMax>(x, line);
      const Lanes weighted = groups[half].w[j] * n;
      w += groups[half].w[j];
      wx += groups[half].w[j] * x;
      wn += weighted;
      wnn += weighted * n;
      wnx += weighted * x;
    }
    const Lanes s = scales->s[half], m = scales->m[half];
    ss += s * s * wnn;
    sm += s * m * wn;
    mm += m * m * w;
    sx += s * wnx;
    mx += m * wx;
  }
  const double a = sum_of(ss), b = sum_of(sm), c = sum_of(mm), p = sum_of(sx), q = sum_of(mx);
  const double determinant = a * c - b * b;
  if (determinant > 1e-6 * a * c) {
    scales->d = rounded_to_f16(static_cast<float>((p * c - b * q) / determinant));
    scales->dmin = rounded_to_f16(static_cast<float>((p * b - q * a) / determinant));
  } else if (a > 0) {
    scales->d = rounded_to_f16(static_cast<float>((p + b * scales->dmin) / a));
  }
  scales->d = std::max(scales->d, 0.0f);
  scales->dmin = std::max(scales->dmin, 0.0f);
}

float largest_of(const Lanes& a, const Lanes& b) {
  const Lanes larger = select(a > b, a, b);
  return std::max({larger[0], larger[1], larger[2], larger[3]});
}

template <int kMax>
Scales search(const Groups& groups) {
  const AffineScales ideal[2] = {search_affine<kMax>(groups[0]), search_affine<kMax>(groups[1])};
  Scales best;
  best.d = d_for(largest_of(ideal[0].scale, ideal[1].scale), kLargestStep);
  best.dmin = d_for(largest_of(ideal[0].min, ideal[1].min), kLargestStep);
  for (size_t half = 0; half < 2; ++half) {
    best.s[half] =
        limit(round_to_integer(ideal[half].scale * inverse(splat(best.d))), 0, kLargestStep);
    best.m[half] =
        limit(round_to_integer(ideal[half].min * inverse(splat(best.dmin))), 0, kLargestStep);
  }
  float least = choose_steps<kMax>(groups, &best);
  for (int round = 0; round < kRounds; ++round) {
    Scales trial = best;
    fit_d<kMax>(groups, &trial);
    const float error = choose_steps<kMax>(groups, &trial);
    if (!(error < least)) break;
    best = trial;
    least = error;
  }
  return best;
}

// The inverse of unpack_scale_min, for all eight.
void pack_scales_mins(const Scales& scales, uint8_t* sc) {
  const auto s = [&](int b) {
    return static_cast<unsigned>(scales.s[static_cast<size_t>(b / kLanes)][b % kLanes]);
  };
  const auto m = [&](int b) {
    return static_cast<unsigned>(scales.m[static_cast<size_t>(b / kLanes)][b % kLanes]);
  };
  for (int b = 0; b < 4; ++b) {
    sc[b] = static_cast<uint8_t>(s(b) | (s(b + 4) >> 4) << 6);
    sc[b + 4] = static_cast<uint8_t>(m(b) | (m(b + 4) >> 4) << 6);
    sc[b + 8] = static_cast<uint8_t>((s(b + 4) & 15) | (m(b + 4) & 15) << 4);
  }
}

// Everything but the nibbles, and n of every element in order.
template <int kMax, typename Block>
std::array<uint8_t, kLargeBlock> quantize_block(const float* row, const float* importance,
                                                Block* out) {
  float x[kLargeBlock], w[kLargeBlock];
  for (int e = 0; e < kLargeBlock; ++e) x[e] = tame(row[e], kLargestF16 * kLargestStep);
  weights_of(importance, kLargeBlock, w);
  Groups groups;
  for (int b = 0; b < kLargeBlock / kSubBlock; ++b)
    groups[static_cast<size_t>(b / kLanes)].fill_lane(b % kLanes, x + b * kSubBlock,
                                                      w + b * kSubBlock);
  const Scales scales = search<kMax>(groups);
  out->d = to_f16_scale(scales.d);
  out->dmin = to_f16_scale(scales.dmin);
  pack_scales_mins(scales, out->sc);
  std::array<uint8_t, kLargeBlock> all;
  for (size_t half = 0; half < 2; ++half) {
    const Line line = line_of(scales, half);
    for (size_t j = 0; j < kSubBlock; ++j) {
      const Lanes n = nearest_n<kMax>(groups[half].x[j], line);
      for (size_t b = 0; b < kLanes; ++b)
        all[(half * kLanes + b) * kSubBlock + j] = static_cast<uint8_t>(n[b]);
    }
  }
  return all;
}

// The lower four bits, sub-blocks in pairs.
void pack_nibbles(const std::array<uint8_t, kLargeBlock>& n, uint8_t* q) {
  for (size_t pair = 0; pair < 4; ++pair)
    for (size_t l = 0; l < kSubBlock; ++l)
      q[32 * pair + l] =
          static_cast<uint8_t>((n[64 * pair + l] & 15) | (n[64 * pair + 32 + l] & 15) << 4);
}

const float* advance(const float* importance, int64_t count) {
  return importance == nullptr ? nullptr : importance + count;
}

}  // namespace

void quantize_q4_k(const float* row, int64_t count, const float* importance, BlockQ4_K* out) {
  for (int64_t begin = 0; begin < count; begin += kLargeBlock, ++out)
    pack_nibbles(quantize_block<15>(row + begin, advance(importance, begin), out), out->q);
}

void quantize_q5_k(const float* row, int64_t count, const float* importance, BlockQ5_K* out) {
  for (int64_t begin = 0; begin < count; begin += kLargeBlock, ++out) {
    const auto n = quantize_block<31>(row + begin, advance(importance, begin), out);
    pack_nibbles(n, out->q);
    std::fill_n(out->h, kSubBlock, uint8_t{0});
    for (size_t e = 0; e < kLargeBlock; ++e)
      out->h[e % 32] = static_cast<uint8_t>(out->h[e % 32] | (n[e] >> 4) << (e / 32));
  }
}

}  // namespace gemma4::quant

// Four blocks side by side, one in each lane of a vector. Arithmetic and comparisons of the type
// are those of every lane by itself (a feature of GCC and Clang, on any machine), so that searches
// which add up over a block's elements run at full width and in a fixed order.
#pragma once

#include <cstdint>

namespace gemma4::quant {

inline constexpr int kLanes = 4;

using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
using LaneMask = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));

inline Lanes splat(float v) { return Lanes{v, v, v, v}; }

// a where the mask is set, b elsewhere.
inline Lanes select(LaneMask mask, Lanes a, Lanes b) { return mask ? a : b; }

inline Lanes magnitude(Lanes v) { return v < 0.0f ? -v : v; }

inline Lanes limit(Lanes v, float low, float high) {
  v = select(v < splat(low), splat(low), v);
  return select(v > splat(high), splat(high), v);
}
inline float limit(float v, float low, float high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

// Adds and subtracts 1.5 · 2^23, beyond which float32 has nothing but integers. Ties go to even.
template <typename Float>
Float round_to_integer(Float v) {
  return (v + 0x1.8p23f) - 0x1.8p23f;
}

// Where 1 / v is out of range it is 0: a scale that small is none.
inline Lanes inverse(Lanes v) {
  return select(magnitude(v) < splat(0x1p-120f), splat(0), 1.0f / v);
}

inline float sum_of(Lanes v) { return v[0] + v[1] + v[2] + v[3]; }

// Elements j of four blocks, and how much the squares of their errors count, in (0, 1].
template <int kElements>
struct LaneGroup {
  Lanes x[kElements];
  Lanes w[kElements];

  void fill_lane(int b, const float* elements, const float* weights) {
    for (int j = 0; j < kElements; ++j) {
      x[j][b] = elements[j];
      w[j][b] = weights[j];
    }
  }
};

}  // namespace gemma4::quant

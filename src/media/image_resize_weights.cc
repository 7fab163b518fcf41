#include "media/image_resize_weights.h"

#include <algorithm>
#include <cmath>

namespace gemma4::media {
namespace {

// Keys' cubic with a = -1/2.
double cubic(double t) {
  constexpr double kA = -0.5;
  t = std::fabs(t);
  if (t < 1) return ((kA + 2) * t - (kA + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * kA;
  return 0;
}

struct FloatWeights {
  int64_t taps = 0;
  std::vector<int32_t> first, count;
  std::vector<double> weights;  // [n_out, taps]
};

// A bound of the taps: the whole part of `at` and a half, cut towards zero as in the reference.
int64_t bound(double at) {
  const double later = at + 0.5;
  return static_cast<int64_t>(later);
}

FloatWeights float_weights(int64_t n_in, int64_t n_out) {
  const double scale = static_cast<double>(n_in) / static_cast<double>(n_out);
  const double filter_scale = std::max(scale, 1.0);
  const double support = 2 * filter_scale;
  FloatWeights result;
  result.taps = std::min<int64_t>(n_in, static_cast<int64_t>(std::ceil(support)) * 2 + 1);
  result.weights.resize(static_cast<size_t>(n_out * result.taps));
  for (int64_t i = 0; i < n_out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(bound(centre - support), 0);
    const auto end = std::min<int64_t>(bound(centre + support), n_in);
    double* const row = result.weights.data() + i * result.taps;
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      row[j - begin] = cubic((static_cast<double>(j) - centre + 0.5) / filter_scale);
      sum += row[j - begin];
    }
    for (int64_t j = 0; j < end - begin; ++j) row[j] /= sum;
    result.first.push_back(static_cast<int32_t>(begin));
    result.count.push_back(static_cast<int32_t>(end - begin));
  }
  return result;
}

// The most fractional bits with which the largest weight is below 2^15.
int sixteen_bit_precision(const std::vector<double>& weights) {
  const double largest = *std::max_element(weights.begin(), weights.end());
  int precision = 0;
  while (precision < 22 && std::ldexp(largest, precision + 1) + 0.5 < 1 << 15) ++precision;
  return precision;
}

}  // namespace

AxisWeights axis_weights(int64_t n_in, int64_t n_out, ResizeVariant variant) {
  FloatWeights exact = float_weights(n_in, n_out);
  AxisWeights axis{.taps = exact.taps};
  axis.precision = variant == ResizeVariant::kPillow ? 22 : sixteen_bit_precision(exact.weights);
  axis.first = std::move(exact.first);
  axis.count = std::move(exact.count);
  axis.weights.reserve(exact.weights.size());
  for (const double weight : exact.weights) {
    const double scaled = std::ldexp(weight, axis.precision);
    axis.weights.push_back(static_cast<int32_t>(scaled + (weight < 0 ? -0.5 : 0.5)));
  }
  return axis;
}

}  // namespace gemma4::media

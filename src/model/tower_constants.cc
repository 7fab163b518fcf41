#include "model/tower_constants.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/tower_change.h"

namespace gemma4::model {

std::vector<float> axis_frequencies(int64_t head_dim) {
  constexpr float kTheta = 100;
  // A reciprocal of a power, both rounded to float32, as the reference has it.
  const int64_t quarter = head_dim / 4;
  std::vector<float> frequencies;
  for (int64_t j = 0; j < quarter; ++j) {
    const float exponent = static_cast<float>(j) / static_cast<float>(quarter);
    frequencies.push_back(1.0f / std::pow(kTheta, exponent));
  }
  return frequencies;
}

std::vector<float> distance_sinusoids(int64_t distances, int64_t width) {
  const int64_t half = width / 2;
  std::vector<float> out(static_cast<size_t>(distances * width));
  const double step = std::log(10000.0) / static_cast<double>(std::max<int64_t>(half - 1, 1));
  for (int64_t distance = 0; distance < distances; ++distance)
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(distance) * std::exp(-static_cast<double>(i) * step);
      const auto at = static_cast<size_t>(distance * width + i);
      out[at] = static_cast<float>(std::sin(angle));
      out[at + static_cast<size_t>(half)] = static_cast<float>(std::cos(angle));
    }
  return out;
}

std::vector<float> query_scales(std::span<const float> per_dim_scale) {
  const double base =
      1 / (std::sqrt(static_cast<double>(per_dim_scale.size())) * std::numbers::ln2);
  std::vector<float> scales;
  for (const float scale : per_dim_scale)
    scales.push_back(static_cast<float>(base * softplus(scale)));
  return scales;
}

float key_scale() { return static_cast<float>(std::log1p(std::numbers::e) / std::numbers::ln2); }

}  // namespace gemma4::model

#include "kernels/reference/vision.h"

#include <cmath>

namespace gemma4::kernels::reference {

void rope_axes(Queue, const RopeAxesArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t h = 0; h < a.heads; ++h)
      for (int64_t axis = 0; axis < a.axes; ++axis) {
        float* const part = a.x + ((t * a.heads + h) * a.axes + axis) * 2 * a.half;
        const int64_t angles = (axis * a.tokens + t) * a.half;
        for (int64_t i = 0; i < a.half; ++i) {
          const float low = part[i], high = part[i + a.half];
          const float cos = a.cos[angles + i], sin = a.sin[angles + i];
          part[i] = low * cos - high * sin;
          part[i + a.half] = high * cos + low * sin;
        }
      }
}

void pool(Queue, const PoolArgs& a) {
  const int64_t out_cols = a.cols / a.side;
  const auto area = static_cast<float>(a.side * a.side);
  for (int64_t cell = 0; cell < a.rows / a.side * out_cols; ++cell) {
    const int64_t first = cell / out_cols * a.side * a.cols + cell % out_cols * a.side;
    for (int64_t j = 0; j < a.width; ++j) {
      float sum = 0;
      for (int64_t y = 0; y < a.side; ++y)
        for (int64_t x = 0; x < a.side; ++x) sum += a.x[(first + y * a.cols + x) * a.width + j];
      const float pooled = sum / area * a.scale - (a.bias != nullptr ? a.bias[j] : 0.0f);
      a.out[cell * a.width + j] = pooled * (a.weight != nullptr ? a.weight[j] : 1.0f);
    }
  }
}

void layer_norm(Queue, const LayerNormArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* const x = a.x + r * a.cols;
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < a.cols; ++j) mean += x[j];
    mean /= static_cast<double>(a.cols);
    for (int64_t j = 0; j < a.cols; ++j) variance += (x[j] - mean) * (x[j] - mean);
    const double inverse = 1 / std::sqrt(variance / static_cast<double>(a.cols) + a.eps);
    for (int64_t j = 0; j < a.cols; ++j)
      a.out[r * a.cols + j] = static_cast<float>((x[j] - mean) * inverse) * a.weight[j] + a.bias[j];
  }
}

}  // namespace gemma4::kernels::reference

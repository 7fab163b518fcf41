#include "kernels/reference/audio.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace gemma4::kernels::reference {
namespace {

float held(float x, Bounds bounds) { return std::min(std::max(x, bounds.low), bounds.high); }
float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// LayerNorm without bias, then ReLU, in place
void normalise(float* x, const float* weight, int64_t n, float eps) {
  double mean = 0, variance = 0;
  for (int64_t i = 0; i < n; ++i) mean += x[i];
  mean /= static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const double inverse = 1.0 / std::sqrt(variance / static_cast<double>(n) + eps);
  for (int64_t i = 0; i < n; ++i)
    x[i] = std::max(0.0f, static_cast<float>((x[i] - mean) * inverse) * weight[i]);
}

}  // namespace

void subsample(Queue, const SubsampleArgs& a) {
  const int64_t outputs = a.weight.rows;
  const int64_t out_bands = (a.bands + 1) / 2;
  for (int64_t t = 0; t < (a.frames + 1) / 2; ++t)
    for (int64_t m = 0; m < out_bands; ++m) {
      float* out = a.out + (t * out_bands + m) * outputs;
      for (int64_t n = 0; n < outputs; ++n) {
        double sum = 0;
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t time = 2 * t - 1 + tap / 3;
          const int64_t band = 2 * m - 1 + tap % 3;
          if (time < 0 || time >= a.frames || band < 0 || band >= a.bands) continue;
          const float* x = a.x + (time * a.bands + band) * a.channels;
          for (int64_t c = 0; c < a.channels; ++c)
            sum += static_cast<double>(x[c]) *
                   load_float(a.weight.data, a.weight.dtype, (n * 9 + tap) * a.channels + c);
        }
        out[n] = static_cast<float>(sum);
      }
      normalise(out, a.norm, outputs, a.eps);
    }
}

void clip(Queue, const ClipArgs& a) {
  for (int64_t i = 0; i < a.rows * a.cols; ++i)
    a.out[i] = held(a.bias != nullptr ? a.x[i] + a.bias[i % a.cols] : a.x[i], a.bounds);
}

void silu(Queue, const SiluArgs& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    const float x = held(a.x[i], a.before);
    a.out[i] = held(x * sigmoid(x), a.after);
  }
}

void light_conv(Queue, const LightConvArgs& a) {
  std::vector<float> sums(static_cast<size_t>(a.width));
  for (int64_t t = 0; t < a.tokens; ++t) {
    double squares = 0;
    for (int64_t d = 0; d < a.width; ++d) {
      double sum = 0;
      for (int64_t j = 0; j < a.taps; ++j) {
        const int64_t row = t - a.taps + 1 + j;
        if (row < 0) continue;
        const float value = held(a.x[row * 2 * a.width + d], a.before);
        const float gate = held(a.x[row * 2 * a.width + a.width + d], a.before);
        sum += static_cast<double>(a.kernel[j * a.width + d]) * (value * sigmoid(gate));
      }
      sums[static_cast<size_t>(d)] = static_cast<float>(sum);
      squares += sum * sum;
    }
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(a.width) + a.eps);
    for (int64_t d = 0; d < a.width; ++d) {
      const float x = static_cast<float>(sums[static_cast<size_t>(d)] * inverse) * a.norm[d];
      a.out[t * a.width + d] = held(x * sigmoid(x), a.after);
    }
  }
}

void local_attention(Queue, const LocalAttentionArgs& a) {
  const int64_t stride = a.heads * a.head_dim;
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t h = 0; h < a.heads; ++h) {
      const int64_t keys = std::min(t + 1, a.window);
      std::vector<double> weight(static_cast<size_t>(keys));  // of key t - distance
      double total = 0;
      for (int64_t distance = 0; distance < keys; ++distance) {
        const float* k = a.k + (t - distance) * stride + h * a.head_dim;
        const float* relative = a.relative + distance * stride + h * a.head_dim;
        double score = 0;
        for (int64_t d = 0; d < a.head_dim; ++d)
          score += static_cast<double>(a.q[t * stride + h * a.head_dim + d]) * a.q_scale[d] *
                   (static_cast<double>(k[d]) * a.k_scale + relative[d]);
        // Capped scores are small enough for their exponential.
        weight[static_cast<size_t>(distance)] = std::exp(a.cap * std::tanh(score / a.cap));
        total += weight[static_cast<size_t>(distance)];
      }
      for (int64_t d = 0; d < a.head_dim; ++d) {
        double sum = 0;
        for (int64_t distance = 0; distance < keys; ++distance)
          sum += weight[static_cast<size_t>(distance)] *
                 a.v[(t - distance) * stride + h * a.head_dim + d];
        a.out[t * stride + h * a.head_dim + d] = static_cast<float>(sum / total);
      }
    }
}

}  // namespace gemma4::kernels::reference

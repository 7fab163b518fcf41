// The definition of every table entry: scalar, float32, one thread. Tests hold every other backend
// against this file. Sums run in double where a float sum would make the definition itself noisy.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/reference/audio.h"
#include "kernels/reference/fused.h"
#include "kernels/reference/vision.h"
#include "kernels/registry.h"
#include "quant/dequantize.h"
#include "quant/nearest_q8_0.h"
#include "quant/quantize.h"

namespace gemma4::kernels {
namespace {

std::vector<float> read_row(const Matrix& matrix, int64_t row) {
  std::vector<float> values(static_cast<size_t>(matrix.cols));
  quant::dequantize_row(matrix.dtype,
                        static_cast<const std::byte*>(matrix.data) + row * matrix.row_bytes(),
                        matrix.cols, values.data());
  return values;
}

float dot(const float* x, const std::vector<float>& row) {
  double sum = 0;
  for (size_t k = 0; k < row.size(); ++k) sum += static_cast<double>(x[k]) * row[k];
  return static_cast<float>(sum);
}

float gelu_tanh(float x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  return 0.5f * x * (1.0f + std::tanh(kSqrt2OverPi * (x + 0.044715f * x * x * x)));
}

void normalise(float* out, const float* x, const float* weight, int64_t cols, float eps) {
  double sum = 0;
  for (int64_t j = 0; j < cols; ++j) sum += static_cast<double>(x[j]) * x[j];
  const auto inverse = static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(cols) + eps));
  for (int64_t j = 0; j < cols; ++j)
    out[j] = x[j] * inverse * (weight != nullptr ? weight[j] : 1.0f);
}

void embed(Queue, const EmbedArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t) {
    const std::vector<float> row = read_row(a.table, a.ids[t]);
    for (size_t j = 0; j < row.size(); ++j)
      a.out[t * a.table.cols + static_cast<int64_t>(j)] = row[j] * a.scale;
  }
}

void combine_per_layer(Queue, const CombinePerLayerArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t) {
    const std::vector<float> row = read_row(a.table, a.ids[t]);
    for (int64_t l = 0; l < a.layers; ++l) {
      float* out = a.out + (t * a.layers + l) * a.width;
      normalise(out, a.context + (t * a.layers + l) * a.width, a.weight, a.width, a.eps);
      for (int64_t j = 0; j < a.width; ++j)
        out[j] = (out[j] + row[static_cast<size_t>(a.column + l * a.width + j)] * a.table_scale) *
                 a.combine_scale;
    }
  }
}

void rms_norm(Queue, const RmsNormArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r)
    normalise(a.out + r * a.cols, a.x + r * a.cols, a.weight, a.cols, a.eps);
}

void linear(Queue, const LinearArgs& a) {
  for (int64_t n = 0; n < a.weight.rows; ++n) {
    const std::vector<float> row = read_row(a.weight, n);
    for (int64_t t = 0; t < a.tokens; ++t)
      a.out[t * a.weight.rows + n] = dot(a.x + t * a.weight.cols, row);
  }
}

void rope_table(Queue, const RopeTableArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t i = 0; i < a.half; ++i) {
      const float angle = static_cast<float>(a.positions[t]) * a.inv_freq[i];
      a.cos[t * a.half + i] = std::cos(angle);
      a.sin[t * a.half + i] = std::sin(angle);
    }
}

void rope(Queue, const RopeArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t h = 0; h < a.heads; ++h) {
      float* x = a.x + (t * a.heads + h) * 2 * a.half;
      for (int64_t i = 0; i < a.half; ++i) {
        const float c = a.cos[t * a.half + i];
        const float s = a.sin[t * a.half + i];
        const float first = x[i];
        const float second = x[i + a.half];
        x[i] = first * c - second * s;
        x[i + a.half] = second * c + first * s;
      }
    }
}

// The row of (slot, head): here each part of a block is block_tokens rows, one after the other.
std::byte* cached_row(const KvLayer& cache, void* k_or_v, int64_t slot, int64_t head) {
  const int64_t part = slot / cache.block_tokens * cache.heads + head;
  return static_cast<std::byte*>(k_or_v) + part * cache.part_bytes() +
         slot % cache.block_tokens * row_bytes(cache.dtype, cache.head_dim);
}

void write_cache(const KvLayer& cache, void* k_or_v, int64_t slot, int64_t head, const float* row) {
  std::byte* out = cached_row(cache, k_or_v, slot, head);
  if (cache.dtype != DType::kQ8_0)
    return quant::quantize_row(cache.dtype, row, cache.head_dim, nullptr, out);
  for (int64_t i = 0; i < cache.head_dim; i += quant::kSmallBlock) {
    const quant::BlockQ8_0 block = quant::nearest_q8_0(row + i);
    std::memcpy(out + row_bytes(cache.dtype, i), &block, sizeof block);
  }
}

void store_kv(Queue, const StoreKvArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t h = 0; h < a.cache.heads; ++h) {
      const int64_t from = (t * a.cache.heads + h) * a.cache.head_dim;
      write_cache(a.cache, a.cache.k, a.slots[t], h, a.k + from);
      write_cache(a.cache, a.cache.v, a.slots[t], h, a.v + from);
    }
}

// K or V of one head at the positions that row t sees: [keys, Dh]
std::vector<float> visible_rows(const AttentionArgs& a, void* k_or_v, int64_t t, int64_t head) {
  const int64_t dim = a.cache.head_dim;
  const int64_t first_block = a.table_first[a.sequence[t]];
  const int32_t* blocks = a.block_table + a.table_offset[a.sequence[t]];
  std::vector<float> rows(static_cast<size_t>((a.key_end[t] - a.key_begin[t]) * dim));
  for (int64_t position = a.key_begin[t]; position < a.key_end[t]; ++position) {
    const int64_t block = blocks[position / a.cache.block_tokens - first_block];
    const int64_t slot = block * a.cache.block_tokens + position % a.cache.block_tokens;
    quant::dequantize_row(a.cache.dtype, cached_row(a.cache, k_or_v, slot, head), dim,
                          rows.data() + (position - a.key_begin[t]) * dim);
  }
  return rows;
}

// out [Dh] of one query [Dh] over keys and values [keys, Dh]
void attend(float* out, const float* q, const std::vector<float>& keys,
            const std::vector<float>& values, int64_t dim) {
  std::vector<double> weights;
  for (const float* key = keys.data(); key < keys.data() + keys.size(); key += dim) {
    double score = 0;
    for (int64_t i = 0; i < dim; ++i) score += static_cast<double>(q[i]) * key[i];
    weights.push_back(score);
  }
  const double max = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  std::vector<double> sum(static_cast<size_t>(dim));
  const float* value = values.data();
  for (const double score : weights) {
    const double weight = std::exp(score - max);
    for (double& x : sum) x += weight * *value++;
    total += weight;
  }
  for (size_t i = 0; i < sum.size(); ++i) out[i] = static_cast<float>(sum[i] / total);
}

void attention(Queue, const AttentionArgs& a) {
  const int64_t dim = a.cache.head_dim;
  const int64_t group = a.q_heads / a.cache.heads;
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t kv_head = 0; kv_head < a.cache.heads; ++kv_head) {
      const std::vector<float> keys = visible_rows(a, a.cache.k, t, kv_head);
      const std::vector<float> values = visible_rows(a, a.cache.v, t, kv_head);
      for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h)
        attend(a.out + (t * a.q_heads + h) * dim, a.q + (t * a.q_heads + h) * dim, keys, values,
               dim);
    }
}

void gated_gelu(Queue, const GatedGeluArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t j = 0; j < a.cols; ++j)
      a.out[r * a.cols + j] = gelu_tanh(a.gate[r * a.gate_stride + j]) * a.up[r * a.up_stride + j];
}

void add(Queue, const AddArgs& a) {
  for (int64_t i = 0; i < a.n; ++i) a.out[i] = (a.a[i] + a.b[i]) * a.scale;
}

void scale(Queue, const ScaleArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t j = 0; j < a.cols; ++j)
      a.out[r * a.cols + j] =
          a.x[r * a.cols + j] * (a.weight != nullptr ? a.weight[j] : 1.0f) * a.scale;
}

void gather_rows(Queue, const GatherRowsArgs& a) {
  for (int64_t r = 0; r < a.count; ++r)
    std::memcpy(a.out + r * a.cols, a.x + a.rows[r] * a.cols,
                static_cast<size_t>(a.cols) * sizeof(float));
}

void soft_cap(Queue, const SoftCapArgs& a) {
  for (int64_t i = 0; i < a.n; ++i) a.out[i] = a.cap * std::tanh(a.x[i] / a.cap);
}

void route(Queue, const RouteArgs& a) {
  std::vector<int32_t> order(static_cast<size_t>(a.num_experts));
  std::vector<float> chance(static_cast<size_t>(a.num_experts));
  for (int64_t t = 0; t < a.tokens; ++t) {
    const float* logits = a.logits + t * a.num_experts;
    const float max = *std::max_element(logits, logits + a.num_experts);
    float total = 0;
    for (int64_t e = 0; e < a.num_experts; ++e)
      total += chance[static_cast<size_t>(e)] = std::exp(logits[e] - max);
    // Damaged weights make NaN, which has no order; as zeros they still make every weight NaN.
    for (float& c : chance) c = std::isnan(total) ? 0.0f : c / total;
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + a.top_k, order.end(),
                      [&](int32_t x, int32_t y) {
                        const float cx = chance[static_cast<size_t>(x)];
                        const float cy = chance[static_cast<size_t>(y)];
                        return cx != cy ? cx > cy : x < y;
                      });
    float chosen = 0;
    for (int64_t k = 0; k < a.top_k; ++k)
      chosen += chance[static_cast<size_t>(order[static_cast<size_t>(k)])];
    for (int64_t k = 0; k < a.top_k; ++k) {
      const int32_t e = order[static_cast<size_t>(k)];
      a.experts[t * a.top_k + k] = e;
      a.weights[t * a.top_k + k] = chance[static_cast<size_t>(e)] / chosen * a.expert_scale[e];
    }
  }
}

void experts(Queue, const ExpertsArgs& a) {
  std::vector<float> inner(static_cast<size_t>(a.width));
  for (int64_t t = 0; t < a.tokens; ++t) {
    const float* x = a.x + t * a.hidden;
    float* out = a.out + t * a.hidden;
    std::fill(out, out + a.hidden, 0.0f);
    for (int64_t k = 0; k < a.top_k; ++k) {
      const int64_t e = a.experts[t * a.top_k + k];
      for (int64_t f = 0; f < a.width; ++f)
        inner[static_cast<size_t>(f)] =
            gelu_tanh(dot(x, read_row(a.gate_up, e * 2 * a.width + f))) *
            dot(x, read_row(a.gate_up, e * 2 * a.width + a.width + f));
      for (int64_t j = 0; j < a.hidden; ++j)
        out[j] +=
            a.weights[t * a.top_k + k] * dot(inner.data(), read_row(a.down, e * a.hidden + j));
    }
  }
}

}  // namespace

const Table& reference_table() {
  static constexpr Table kTable{
      .name = "reference",
      .reads_blocks = true,
      .narrow_kv = true,
      .quantised_kv = true,
      .embed = embed,
      .combine_per_layer = combine_per_layer,
      .rms_norm = rms_norm,
      .linear = linear,
      .rope_table = rope_table,
      .rope = rope,
      .store_kv = store_kv,
      .attention = attention,
      .gated_gelu = gated_gelu,
      .add = add,
      .scale = scale,
      .gather_rows = gather_rows,
      .soft_cap = soft_cap,
      .route = route,
      .experts = experts,
      .subsample = reference::subsample,
      .clip = reference::clip,
      .silu = reference::silu,
      .light_conv = reference::light_conv,
      .local_attention = reference::local_attention,
      .rope_axes = reference::rope_axes,
      .pool = reference::pool,
      .layer_norm = reference::layer_norm,
      .linear_group = reference::linear_group,
      .gated_linear = reference::gated_linear,
      .prepare_heads = reference::prepare_heads,
      .add_normed = reference::add_normed,
      .add_branches = reference::add_branches,
      .best_logits = reference::best_logits,
      .can_add_layer_input = reference::can_add_layer_input,
      .add_layer_input = reference::add_layer_input,
  };
  return kTable;
}

}  // namespace gemma4::kernels

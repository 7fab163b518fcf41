// Products with weights on a card, against the definition: every quantised type, both ways of
// reading activations, single rows to prompts. Skipped where no card can be used.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/blocks.h"
#include "quant/dequantize.h"
#include "tests/kernel_testing.h"

namespace gemma4::testing {
namespace {

using kernels::Activations;
using kernels::Device;

constexpr DType kTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,   DType::kQ5_1,
                            DType::kQ8_0, DType::kQ2_K, DType::kQ3_K,   DType::kQ4_K,
                            DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS,
                            DType::kMXFP4};
constexpr int64_t kTokens[] = {1, 2, 3, 8, 9, 30, 64, 131};

// Random blocks of values of ordinary size, and how far each weight may be off on the card, where
// scales and offsets are in float16.
class Blocks {
 public:
  Blocks(Random& random, DType dtype, int64_t rows, int64_t cols)
      : bytes_(static_cast<size_t>(rows * row_bytes(dtype, cols))),
        values_(static_cast<size_t>(rows * cols)),
        errors_(values_.size()),
        matrix_{bytes_.data(), dtype, rows, cols} {
    const DTypeInfo info = info_of(dtype);
    const auto elements = static_cast<size_t>(info.block_elements);
    for (size_t b = 0; b * elements < values_.size(); ++b) {
      std::byte* block = bytes_.data() + b * static_cast<size_t>(info.block_bytes);
      float* values = values_.data() + b * elements;
      do {
        for (int64_t i = 0; i < info.block_bytes; ++i)
          block[i] = static_cast<std::byte>(random.bits() >> 32);
        quant::dequantize_row(dtype, block, info.block_elements, values);
      } while (!std::all_of(values, values + elements, [](float x) { return std::abs(x) < 8; }));
      const double offset = largest_offset(dtype, block);
      constexpr double kMostCode = 128;
      for (size_t i = 0; i < elements; ++i)
        errors_[b * elements + i] = static_cast<float>(
            0x1p-11 * (std::abs(values[i]) + 2 * offset) + 0x1p-25 * (kMostCode + 1));
    }
  }
  const Matrix& matrix() const { return matrix_; }
  float at(int64_t row, int64_t col) const { return values_[index(row, col)]; }
  float error(int64_t row, int64_t col) const { return errors_[index(row, col)]; }

 private:
  static double largest_offset(DType dtype, const std::byte* block) {
    const auto half = [&](size_t at) {
      uint16_t bits;
      std::memcpy(&bits, block + at, sizeof bits);
      return std::abs(static_cast<double>(f16_to_f32(bits)));
    };
    switch (dtype) {
      case DType::kQ4_1:
      case DType::kQ5_1:
        return half(2);
      case DType::kQ4_K:
      case DType::kQ5_K:
        return 63 * half(2);
      case DType::kQ2_K:
        return 15 * half(offsetof(quant::BlockQ2_K, dmin));
      default:
        return 0;
    }
  }
  size_t index(int64_t row, int64_t col) const {
    return static_cast<size_t>(row * matrix_.cols + col);
  }
  std::vector<std::byte> bytes_;
  std::vector<float> values_;
  std::vector<float> errors_;
  Matrix matrix_;
};

class CardProducts : public ::testing::TestWithParam<Activations> {
 protected:
  void SetUp() override {
    auto device = kernels::open_cuda_device(GetParam());
    if (!device.ok()) GTEST_SKIP() << device.error().message;
    device_ = std::move(device).value();
  }
  void TearDown() override {
    memory_.clear();
    device_.reset();
  }

  void* place(const void* data, size_t bytes) {
    auto memory = device_->allocate(bytes);
    G4_CHECK(memory.ok());
    if (data != nullptr) device_->upload(memory.value().get(), data, bytes);
    memory_.push_back(std::move(memory).value());
    return memory_.back().get();
  }
  float* place(const std::vector<float>& values) {
    return static_cast<float*>(place(values.data(), values.size() * sizeof(float)));
  }
  Matrix place(const Blocks& blocks) {
    Matrix matrix = blocks.matrix();
    G4_CHECK(device_->packs(matrix));
    const size_t bytes = device_->packed_bytes(matrix);
    auto* packed = static_cast<std::byte*>(place(nullptr, bytes));
    device_->pack(matrix, packed);
    matrix.packed = packed;
    matrix.packed_row_bytes = static_cast<int64_t>(bytes) / matrix.rows;
    return matrix;
  }
  std::vector<float> fetch(const float* data, int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    device_->download(values.data(), data, values.size() * sizeof(float));
    return values;
  }

  // What a product of x with row `row` is, and how far it may be off.
  struct Expected {
    double value;
    double bound;
  };
  Expected expected(const float* x, const Blocks& weight, int64_t row) const {
    double sum = 0, magnitude = 0, error = 0;
    const int64_t cols = weight.matrix().cols;
    for (int64_t k = 0; k < cols; ++k) {
      sum += static_cast<double>(x[k]) * weight.at(row, k);
      magnitude += std::abs(static_cast<double>(x[k]) * weight.at(row, k));
      error += std::abs(static_cast<double>(x[k])) * weight.error(row, k);
    }
    // Half a unit in the last of eight places, and of the offsets that cancel against codes
    if (GetParam() == Activations::kBFloat16) error += 0x1p-9 * magnitude;
    // Codes and offsets are added up apart: what cancels between them counts too.
    const double parts = magnitude + 4096 * error;
    return {sum, error * (1 + 1e-3) + Tolerance::sum(cols, 8).bound(parts)};
  }

  std::shared_ptr<Device> device_;
  std::vector<Device::Memory> memory_;
};

INSTANTIATE_TEST_SUITE_P(Both, CardProducts,
                         ::testing::Values(Activations::kFloat32, Activations::kBFloat16),
                         [](const auto& mode) {
                           return mode.param == Activations::kFloat32 ? "float32" : "bfloat16";
                         });

TEST_P(CardProducts, LinearOfEveryType) {
  Random random(60);
  for (const DType dtype : kTypes)
    for (const auto& [rows, cols] :
         {std::pair<int64_t, int64_t>{48, 256}, {16, 1536}, {272, 768}}) {
      const Blocks blocks(random, dtype, rows, cols);
      const Matrix weight = place(blocks);
      for (const int64_t tokens : kTokens) {
        const std::vector<float> x = floats(random, tokens * cols);
        float* out = place(std::vector<float>(static_cast<size_t>(tokens * rows), NAN));
        device_->table().linear(device_->queue(), {out, place(x), tokens, weight});
        const std::vector<float> result = fetch(out, tokens * rows);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t n = 0; n < rows; ++n) {
            const Expected want = expected(x.data() + t * cols, blocks, n);
            ASSERT_LE(std::abs(result[static_cast<size_t>(t * rows + n)] - want.value), want.bound)
                << name_of(dtype) << " [" << tokens << ", " << cols << "] x " << rows << " at " << t
                << ", " << n << ": " << result[static_cast<size_t>(t * rows + n)] << " instead of "
                << want.value;
          }
      }
      ASSERT_TRUE(device_->finish().ok());
      memory_.clear();
    }
}

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

TEST_P(CardProducts, GatedAndMultiplied) {
  Random random(61);
  for (const DType dtype : {DType::kQ4_0, DType::kQ4_K, DType::kQ6_K})
    for (const int64_t tokens : kTokens) {
      const int64_t rows = 80, cols = 512, stride = 3 * rows;
      const Blocks gate(random, dtype, rows, cols), up(random, dtype, rows, cols);
      std::vector<float> x = floats(random, tokens * cols);
      for (float& value : x) value *= 0.02f;  // gates of ordinary size
      const std::vector<float> multiplier = floats(random, tokens * stride);
      const Matrix gate_matrix = place(gate), up_matrix = place(up);
      float* input = place(x);
      float* gated = place(std::vector<float>(static_cast<size_t>(tokens * rows), NAN));
      float* multiplied = place(std::vector<float>(static_cast<size_t>(tokens * rows), NAN));
      const auto& table = device_->table();
      table.gated_linear(
          device_->queue(),
          {.out = gated, .x = input, .tokens = tokens, .gate = gate_matrix, .up = up_matrix});
      table.gated_linear(device_->queue(), {.out = multiplied,
                                            .x = input,
                                            .tokens = tokens,
                                            .gate = gate_matrix,
                                            .multiplier = place(multiplier),
                                            .multiplier_stride = stride});
      const std::vector<float> with_up = fetch(gated, tokens * rows);
      const std::vector<float> with_multiplier = fetch(multiplied, tokens * rows);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t n = 0; n < rows; ++n) {
          const Expected g = expected(x.data() + t * cols, gate, n);
          const Expected u = expected(x.data() + t * cols, up, n);
          const double slope = 1.13;  // the largest of gelu
          const double rounding = 1e-5 * (1 + std::abs(g.value));
          const auto at = static_cast<size_t>(t * rows + n);
          const double m = multiplier[static_cast<size_t>(t * stride + n)];
          ASSERT_NEAR(with_up[at], gelu(g.value) * u.value,
                      (slope * g.bound + rounding) * (std::abs(u.value) + u.bound) +
                          std::abs(gelu(g.value)) * u.bound)
              << name_of(dtype) << " " << tokens << " tokens, at " << t << ", " << n;
          ASSERT_NEAR(with_multiplier[at], gelu(g.value) * m,
                      (slope * g.bound + rounding) * std::abs(m))
              << name_of(dtype) << " " << tokens << " tokens, at " << t << ", " << n;
        }
      ASSERT_TRUE(device_->finish().ok());
      memory_.clear();
    }
}

// Experts are gated products of a token with the weights of its choices.
TEST_P(CardProducts, Experts) {
  Random random(62);
  const int64_t num_experts = 6, top_k = 2, hidden = 256, width = 256;
  for (const DType dtype : {DType::kQ4_0, DType::kQ8_0, DType::kQ4_K})
    for (const int64_t tokens : {1, 5, 40, 150}) {
      const Blocks gate_up(random, dtype, num_experts * 2 * width, hidden);
      const Blocks down(random, dtype, num_experts * hidden, width);
      std::vector<float> x = floats(random, tokens * hidden);
      for (float& value : x) value *= 0.02f;
      std::vector<int32_t> chosen;
      std::vector<float> weights;
      for (int64_t t = 0; t < tokens; ++t) {
        const auto first = random.below(num_experts - 1);  // the last one only as second choice
        chosen.push_back(static_cast<int32_t>(first));
        chosen.push_back(static_cast<int32_t>((first + 1 + random.below(2)) % num_experts));
        weights.push_back(0.75f);
        weights.push_back(0.25f);
      }
      float* out = place(std::vector<float>(static_cast<size_t>(tokens * hidden), NAN));
      auto* ids = static_cast<int32_t*>(place(chosen.data(), chosen.size() * sizeof(int32_t)));
      float* workspace = place(std::vector<float>(
          static_cast<size_t>(kernels::experts_workspace_floats(tokens, top_k, hidden, width))));
      device_->table().experts(device_->queue(),
                               {out, place(x), ids, place(weights), workspace, tokens, top_k,
                                num_experts, hidden, width, place(gate_up), place(down)});
      const std::vector<float> result = fetch(out, tokens * hidden);
      for (int64_t t = 0; t < tokens; ++t) {
        std::vector<double> want(static_cast<size_t>(hidden)), bound(want.size());
        for (int64_t c = 0; c < top_k; ++c) {
          const int64_t e = chosen[static_cast<size_t>(t * top_k + c)];
          const double share = weights[static_cast<size_t>(t * top_k + c)];
          std::vector<float> inner(static_cast<size_t>(width));
          std::vector<double> inner_bound(inner.size());
          for (int64_t f = 0; f < width; ++f) {
            const Expected g = expected(x.data() + t * hidden, gate_up, e * 2 * width + f);
            const Expected u = expected(x.data() + t * hidden, gate_up, (e * 2 + 1) * width + f);
            inner[static_cast<size_t>(f)] = static_cast<float>(gelu(g.value) * u.value);
            inner_bound[static_cast<size_t>(f)] =
                (1.13 * g.bound + 1e-5 * (1 + std::abs(g.value))) * (std::abs(u.value) + u.bound) +
                std::abs(gelu(g.value)) * u.bound;
          }
          for (int64_t d = 0; d < hidden; ++d) {
            const Expected y = expected(inner.data(), down, e * hidden + d);
            double from_inner = 0;
            for (int64_t f = 0; f < width; ++f)
              from_inner += inner_bound[static_cast<size_t>(f)] *
                            (std::abs(down.at(e * hidden + d, f)) + down.error(e * hidden + d, f));
            want[static_cast<size_t>(d)] += share * y.value;
            bound[static_cast<size_t>(d)] += share * (y.bound + from_inner * 1.01);
          }
        }
        for (int64_t d = 0; d < hidden; ++d)
          ASSERT_NEAR(result[static_cast<size_t>(t * hidden + d)], want[static_cast<size_t>(d)],
                      bound[static_cast<size_t>(d)] * 1.001)
              << name_of(dtype) << " " << tokens << " tokens, at " << t << ", " << d;
      }
      ASSERT_TRUE(device_->finish().ok());
      memory_.clear();
    }
}

// Weights that are no bfloat16 numbers are multiplied in float32, whatever activations are rounded
// to elsewhere; a row has the same bits in every batch of more than 64.
TEST_P(CardProducts, PlainWeightsOfManyTokens) {
  Random random(63);
  for (const DType dtype : {DType::kF32, DType::kF16})
    for (const auto& [rows, cols] :
         {std::pair<int64_t, int64_t>{128, 2816}, {70, 300}, {3, 17}, {257, 512}}) {
      const Weight weight(random, dtype, rows, cols, 0);
      Matrix matrix = weight.matrix();
      matrix.data = place(matrix.data, static_cast<size_t>(matrix.bytes()));
      const std::vector<float> x = floats(random, 131 * cols);
      const std::vector<double> magnitudes = product_magnitudes(x, 131, weight);
      const float* const input = place(x);
      std::vector<float> before;  // of fewer tokens
      for (const int64_t tokens : {8, 9, 64, 65, 131}) {
        float* out = place(std::vector<float>(static_cast<size_t>(tokens * rows), NAN));
        device_->table().linear(device_->queue(), {out, input, tokens, matrix});
        const std::vector<float> result = fetch(out, tokens * rows);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t n = 0; n < rows; ++n) {
            double want = 0;
            for (int64_t k = 0; k < cols; ++k)
              want += static_cast<double>(x[static_cast<size_t>(t * cols + k)]) * weight.at(n, k);
            const auto at = static_cast<size_t>(t * rows + n);
            ASSERT_NEAR(result[at], want, Tolerance::sum(cols, 8).bound(magnitudes[at]))
                << name_of(dtype) << " [" << tokens << ", " << cols << "] x " << rows << " at " << t
                << ", " << n;
          }
        if (!before.empty())
          expect_same_bits(std::span(result).first(before.size()), before, "of another batch");
        if (tokens > 64) before = result;
      }
      ASSERT_TRUE(device_->finish().ok());
      memory_.clear();
    }
}

// One launch for what a layer makes of its per-layer input, against the entries it stands for. They
// round the inputs of products alike, but a number that lies between two may fall on either side;
// with more than eight rows they also round weights (packed_wide.cu).
TEST_P(CardProducts, LayerInput) {
  Random random(65);
  const auto& table = device_->table();
  for (const DType dtype : {DType::kQ4_0, DType::kQ8_0, DType::kQ6_K, DType::kQ4_K})
    for (const auto& [hidden, width] :
         {std::pair<int64_t, int64_t>{1536, 256}, {2560, 256}, {256, 512}, {4352, 256}})
      for (const int64_t rows : {1, 3, 16, 17})
        for (const bool norms_next : {true, false}) {
          const int64_t stride = 3 * width;
          const Blocks gate(random, dtype, width, hidden), projection(random, dtype, hidden, width);
          std::vector<float> x = floats(random, rows * hidden);
          for (float& value : x) value *= 0.02f;  // gates of ordinary size
          kernels::LayerInputArgs a{
              .x = place(x),
              .h = place(floats(random, rows * hidden)),
              .per_layer = place(floats(random, rows * stride)),
              .gate = place(gate),
              .projection = place(projection),
              .post_mlp = place(floats(random, hidden)),
              .post_input = place(floats(random, hidden)),
              .next_norm = norms_next ? place(floats(random, hidden)) : nullptr,
              .rows = rows,
              .per_layer_stride = stride,
              .eps = 1e-6f,
              .scale = 0.7f};
          const bool takes = table.can_add_layer_input(device_->queue(), a);
          ASSERT_EQ(takes, GetParam() == Activations::kBFloat16 && rows <= 16 && hidden <= 4096 &&
                               dtype != DType::kQ4_K)
              << name_of(dtype) << " " << hidden << " " << width << " " << rows;
          if (!takes) continue;
          const auto empty = [&](int64_t count) {
            return place(std::vector<float>(static_cast<size_t>(count), NAN));
          };
          float* const sums[2] = {empty(rows * hidden), empty(rows * hidden)};
          float* const norms[2] = {empty(rows * hidden), empty(rows * hidden)};
          kernels::AddNormedArgs add{.sum = sums[1],
                                     .x = a.x,
                                     .h = a.h,
                                     .weight = a.post_mlp,
                                     .rows = rows,
                                     .cols = hidden,
                                     .eps = a.eps,
                                     .scale = 1.0f};
          table.add_normed(device_->queue(), add);
          float* const gated = empty(rows * width);
          float* const projected = empty(rows * hidden);
          table.gated_linear(device_->queue(), {.out = gated,
                                                .x = sums[1],
                                                .tokens = rows,
                                                .gate = a.gate,
                                                .multiplier = a.per_layer,
                                                .multiplier_stride = stride});
          table.linear(device_->queue(), {projected, gated, rows, a.projection});
          add.x = sums[1];
          add.h = projected;
          add.weight = a.post_input;
          add.scale = a.scale;
          add.normed[0] = {.out = norms_next ? norms[1] : nullptr, .weight = a.next_norm};
          table.add_normed(device_->queue(), add);
          a.sum = sums[0];
          a.normed = norms_next ? norms[0] : nullptr;
          table.add_layer_input(device_->queue(), a);
          for (float* const* pair : {sums, norms}) {
            if (pair == norms && !norms_next) continue;
            const std::vector<float> result = fetch(pair[0], rows * hidden);
            const std::vector<float> wanted = fetch(pair[1], rows * hidden);
            for (int64_t t = 0; t < rows; ++t) {
              double off = 0, all = 0;
              for (auto i = static_cast<size_t>(t * hidden);
                   i < static_cast<size_t>((t + 1) * hidden); ++i) {
                off += std::pow(static_cast<double>(result[i]) - wanted[i], 2);
                all += std::pow(static_cast<double>(wanted[i]), 2);
              }
              ASSERT_LE(std::sqrt(off / all), rows > 8 ? 0x1p-8 : 0x1p-9)  // a NaN is not
                  << name_of(dtype) << " " << hidden << " " << width << " row " << t << " of "
                  << rows;
            }
          }
          ASSERT_TRUE(device_->finish().ok());
          memory_.clear();
        }
}

}  // namespace
}  // namespace gemma4::testing

// Attention and the cache on a card, against the definition: every type of keys and values, one row
// and prompts, both ways of reading activations. Skipped where no card can be used.

#include <algorithm>
#include <cmath>

#include "tests/kernel_testing.h"

namespace gemma4::testing {
namespace {

using kernels::Activations;
using kernels::Device;

constexpr int64_t kBlockTokens = 64;
// Queries, keys and weights in bfloat16: half a unit in the last of eight places of each
constexpr double kRounding = 3 * 0x1p-9;

float stored(float x, DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return f16_to_f32(f32_to_f16(x));
    case DType::kBF16:
      return bf16_to_f32(f32_to_bf16(x));
    default:
      return x;
  }
}

struct Shape {
  int64_t kv_heads, group, dim;
};
constexpr Shape kShapes[] = {{1, 1, 32},  {2, 2, 72},  {2, 8, 64},  {1, 8, 256},
                             {2, 2, 256}, {1, 4, 256}, {1, 8, 512}, {1, 2, 528}};

class CardAttention : public ::testing::TestWithParam<Activations> {
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
    device_->upload(memory.value().get(), data, bytes);
    memory_.push_back(std::move(memory).value());
    return memory_.back().get();
  }
  template <typename T>
  T* place(const std::vector<T>& values) {
    return static_cast<T*>(place(values.data(), values.size() * sizeof(T)));
  }

  // `tokens` rows at the end of a sequence of `keys`, each of which sees `window` keys or fewer up
  // to itself and, if there is a `block`, those behind it in its stretch of so many rows.
  // `rounding`: of queries and weights, relative.
  void expect_attention(Random& random, const Shape& s, DType dtype, int64_t keys, int64_t tokens,
                        int64_t window, double rounding, int64_t block = 1);

  std::shared_ptr<Device> device_;
  std::vector<Device::Memory> memory_;
};

INSTANTIATE_TEST_SUITE_P(Both, CardAttention,
                         ::testing::Values(Activations::kFloat32, Activations::kBFloat16),
                         [](const auto& mode) {
                           return mode.param == Activations::kFloat32 ? "float32" : "bfloat16";
                         });

void CardAttention::expect_attention(Random& random, const Shape& s, DType dtype, int64_t keys,
                                     int64_t tokens, int64_t window, double rounding,
                                     int64_t block) {
  const int64_t row_size = s.kv_heads * s.dim;
  const int64_t q_heads = s.kv_heads * s.group;
  const int64_t first_key = std::max<int64_t>(0, keys - tokens - window + 1);
  const int64_t first_block = first_key / kBlockTokens;
  const int64_t num_blocks = (keys - 1) / kBlockTokens - first_block + 1;
  std::vector<int32_t> table(static_cast<size_t>(num_blocks));
  for (size_t i = 0; i < table.size(); ++i)  // back to front, after a block of nobody
    table[i] = static_cast<int32_t>(num_blocks) - static_cast<int32_t>(i);

  kernels::KvLayer layer{nullptr, nullptr, s.kv_heads, s.dim, kBlockTokens, dtype};
  const std::vector<std::byte> nothing(
      static_cast<size_t>((num_blocks + 1) * s.kv_heads * layer.part_bytes()), std::byte{0xff});
  layer.k = place(nothing);
  layer.v = place(nothing);
  std::vector<int32_t> slots;
  for (int64_t p = first_key; p < keys; ++p)
    slots.push_back(static_cast<int32_t>(
        table[static_cast<size_t>(p / kBlockTokens - first_block)] * kBlockTokens +
        p % kBlockTokens));
  const auto seen = static_cast<int64_t>(slots.size());
  const std::vector<float> k = floats(random, seen * row_size);
  const std::vector<float> v = floats(random, seen * row_size);
  device_->table().store_kv(device_->queue(), {layer, place(k), place(v), place(slots), seen});
  ASSERT_TRUE(device_->finish().ok());  // keys of earlier steps

  std::vector<int32_t> begin, end;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t before = keys - tokens;
    end.push_back(static_cast<int32_t>(std::min(keys, before + (t / block + 1) * block)));
    begin.push_back(static_cast<int32_t>(std::max<int64_t>(0, before + t + 1 - window)));
  }
  const std::vector<int32_t> sequence(static_cast<size_t>(tokens), 0);
  std::vector<float> q = floats(random, tokens * q_heads * s.dim);
  for (float& x : q) x *= 0.4f;  // scores of ordinary size
  const auto count = static_cast<size_t>(tokens * q_heads * s.dim);
  float* out = place(std::vector<float>(count, NAN));
  kernels::AttentionArgs args{out,
                              place(q),
                              layer,
                              place(begin),
                              place(end),
                              place(sequence),
                              place(std::vector<int32_t>{0}),
                              place(std::vector<int32_t>{static_cast<int32_t>(first_block)}),
                              place(table),
                              tokens,
                              q_heads};
  args.most_keys = std::min(window + block - 1, keys);
  args.sequences = 1;
  device_->table().attention(device_->queue(), args);
  std::vector<float> result(count);
  device_->download(result.data(), out, count * sizeof(float));
  ASSERT_TRUE(device_->finish().ok());

  std::vector<double> weight(static_cast<size_t>(window + block - 1));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < q_heads; ++h) {
      const float* query = q.data() + (t * q_heads + h) * s.dim;
      const auto element = [&](const std::vector<float>& of, int64_t key, int64_t j) {
        return static_cast<double>(stored(
            of[static_cast<size_t>(((key - first_key) * s.kv_heads + h / s.group) * s.dim + j)],
            dtype));
      };
      const int64_t from = begin[static_cast<size_t>(t)], to = end[static_cast<size_t>(t)];
      double total = 0, score_error = 0;
      for (int64_t key = from; key < to; ++key) {
        double score = 0, magnitude = 0;
        for (int64_t j = 0; j < s.dim; ++j) {
          score += query[j] * element(k, key, j);
          magnitude += std::abs(query[j] * element(k, key, j));
        }
        total += weight[static_cast<size_t>(key - from)] = std::exp(score);
        // Roundings of queries are independent of each other.
        score_error = std::max(score_error, Tolerance::sum(s.dim, 8).bound(magnitude) +
                                                rounding * Tolerance::kLambda * magnitude /
                                                    std::sqrt(static_cast<double>(s.dim)));
      }
      for (int64_t j = 0; j < s.dim; ++j) {
        double want = 0, magnitude = 0;
        for (int64_t key = from; key < to; ++key) {
          const double part = weight[static_cast<size_t>(key - from)] / total * element(v, key, j);
          want += part;
          magnitude += std::abs(part);
        }
        // A score that is off changes its weight and the total; weights are rounded too.
        const double bound = magnitude * (2 * score_error + rounding) +
                             Tolerance::sum(to - from, 32).bound(magnitude);
        ASSERT_NEAR(result[static_cast<size_t>((t * q_heads + h) * s.dim + j)], want, bound)
            << name_of(dtype) << ", " << s.kv_heads << " x " << s.group << " heads of " << s.dim
            << ", " << keys << " keys, row " << t << " of " << tokens << ", head " << h
            << ", element " << j;
      }
    }
  memory_.clear();
}

TEST_P(CardAttention, AFewRows) {
  Random random(70);
  for (const Shape& s : kShapes)
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
      for (const int64_t keys : {1, 5, 64, 65, 300, 1030, 5000}) {
        const int64_t tokens = std::min<int64_t>(keys, 3);
        for (const int64_t window : {int64_t{512}, int64_t{1} << 20}) {
          if (keys > 2000 && (s.dim != 256 || s.kv_heads != 2)) continue;  // slow to check
          // There, queries and weights are in bfloat16, as in prompts.
          const bool rounds = GetParam() == Activations::kBFloat16 && dtype == DType::kBF16 &&
                              (s.dim == 256 || s.dim == 512);
          expect_attention(random, s, dtype, keys, tokens, std::min(window, keys),
                           rounds ? kRounding : 0);
          if (HasFatalFailure()) return;
        }
      }
}

// Pictures: every row sees all of its block.
TEST_P(CardAttention, BlocksThatSeeThemselvesWhole) {
  Random random(72);
  for (const Shape& s : kShapes) {
    if (s.dim > 512) continue;
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const bool rounds = GetParam() == Activations::kBFloat16;
      const bool rounds_few = rounds && dtype == DType::kBF16 && (s.dim == 256 || s.dim == 512);
      expect_attention(random, s, dtype, 200, 70, 50, rounds ? kRounding : 0, 33);
      expect_attention(random, s, dtype, 90, 90, 90, rounds ? kRounding : 0, 90);
      expect_attention(random, s, dtype, 100, 6, 40, rounds_few ? kRounding : 0, 5);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(CardAttention, Prompts) {
  Random random(71);
  const double rounding = GetParam() == Activations::kBFloat16 ? kRounding : 0;
  for (const Shape& s : kShapes) {
    if (s.dim > 512) continue;  // those are for a few rows
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      expect_attention(random, s, dtype, 200, 70, 200, rounding);
      expect_attention(random, s, dtype, 300, 40, 100, rounding);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace gemma4::testing

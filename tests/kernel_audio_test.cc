// The audio tower's rows of every kernel table against the definition.

#include <algorithm>

#include "tests/card_staging.h"

namespace gemma4::testing {
namespace {

using kernels::Bounds;

class AudioKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, AudioKernels, ::testing::ValuesIn(tables_and_card_under_test()),
                         table_name);

// A LayerNorm divides by the deviation and multiplies by at most √n; relative to that.
TEST_P(AudioKernels, Subsample) {
  Random random(101);
  for (const int64_t frames : {1, 2, 3, 9, 16})
    for (const int64_t bands : {1, 2, 5, 16})
      for (const int64_t channels : {1, 3, 16})
        for (const int64_t outputs : {2, 7, 32}) {
          const int64_t size = (frames + 1) / 2 * ((bands + 1) / 2) * outputs;
          const std::vector<float> x = floats(random, frames * bands * channels);
          const Weight weight(random, DType::kF32, outputs, 9 * channels, 0);
          const std::vector<float> norm = floats(random, outputs);
          Output out(size, 3), expected(size, 0);
          kernels::SubsampleArgs args{out.data(), x.data(),        frames,      bands,
                                      channels,   weight.matrix(), norm.data(), 1e-3f};
          table().subsample(queue(), args);
          args.out = expected.data();
          reference().subsample(queue(), args);
          // Sums are at most Σ|a·b| <= 9·channels, and their deviation at least √eps.
          const double magnitude = static_cast<double>(9 * channels) / std::sqrt(1e-3);
          ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(9 * channels, 8),
                               [&](size_t) { return magnitude; }))
              << frames << "x" << bands << "x" << channels << " to " << outputs;
        }
}

TEST_P(AudioKernels, ClipIsExact) {
  Random random(102);
  for (const int64_t cols : kAwkwardCols)
    for (const int64_t rows : {1, 2, 40})
      for (const bool has_bias : {false, true})
        for (const Bounds bounds : {Bounds{}, Bounds{-0.25f, 0.5f}, Bounds{0, 0}}) {
          const std::vector<float> x = floats(random, rows * cols, Values::kWorst);
          const std::vector<float> bias = floats(random, cols);
          Output out(rows * cols, 1), expected(rows * cols, 0), in_place(x, 2);
          kernels::ClipArgs args{out.data(), x.data(), has_bias ? bias.data() : nullptr,
                                 rows,       cols,     bounds};
          table().clip(queue(), args);
          args.out = expected.data();
          reference().clip(queue(), args);
          args.x = args.out = in_place.data();
          table().clip(queue(), args);
          for (size_t i = 0; i < x.size(); ++i) {
            ASSERT_EQ(out.values()[i], expected.values()[i]) << i;
            ASSERT_EQ(in_place.values()[i], expected.values()[i]) << i;
          }
        }
}

TEST_P(AudioKernels, Silu) {
  Random random(103);
  for (const int64_t n : {int64_t{1}, int64_t{17}, int64_t{65}, int64_t{40'001}})
    for (const auto& [before, after] :
         {std::pair(Bounds{}, Bounds{}), std::pair(Bounds{-30, 20}, Bounds{-0.2f, 5})}) {
      std::vector<float> x = floats(random, n);
      for (float& value : x) value *= 60;
      Output out(n, 3), expected(n), in_place(x, 1);
      table().silu(queue(), {out.data(), x.data(), n, before, after});
      reference().silu(queue(), {expected.data(), x.data(), n, before, after});
      table().silu(queue(), {in_place.data(), in_place.data(), n, before, after});
      // One exponential of a few units, a sum and a quotient, relative to the value itself; below
      // e^-89 either may be zero.
      ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::roundings(16),
                           [&](size_t i) { return std::abs(expected.values()[i]) + 1e-30; }));
      expect_same_bits(out.values(), in_place.values(), "in place");
    }
}

TEST_P(AudioKernels, SiluHasItsTails) {
  const std::vector<float> x = {0, -0.0f, 1, -1, 50, -50, 1e4f, -1e4f, 3e38f, -3e38f};
  Output out(10);
  table().silu(queue(), {out.data(), x.data(), 10, {}, {}});
  const std::vector<double> y = {0, 0, 0.7310585786, -0.2689414214, 50, 0, 1e4, 0, 3e38, 0};
  for (size_t i = 0; i < y.size(); ++i)
    EXPECT_NEAR(out.values()[i], y[i], 1e-6 * std::abs(y[i]) + 1e-19) << x[i];
}

TEST_P(AudioKernels, LightConvolution) {
  Random random(104);
  for (const int64_t width : kAwkwardCols)
    for (const int64_t tokens : {1, 2, 5, 31, 32, 33, 70})
      for (const int64_t taps : {1, 5}) {
        const Bounds before{-0.75f, 0.5f}, after{-0.1f, 0.8f};
        const std::vector<float> x = floats(random, tokens * 2 * width);
        const std::vector<float> kernel = floats(random, taps * width);
        const std::vector<float> norm = floats(random, width);
        Output out(tokens * width, 1), expected(tokens * width);
        kernels::LightConvArgs args{out.data(), x.data(), kernel.data(), norm.data(), tokens,
                                    width,      taps,     1e-2f,         before,      after};
        table().light_conv(queue(), args);
        args.out = expected.data();
        reference().light_conv(queue(), args);
        // Each sum is at most `taps`; the norm divides by at least √eps.
        ASSERT_TRUE(all_near(out.values(), expected.values(),
                             Tolerance::sum(width, 24).then(Tolerance::roundings(8)),
                             [&](size_t) { return static_cast<double>(taps) / std::sqrt(1e-2); }))
            << tokens << "x" << width << ", " << taps << " taps";
      }
}

TEST_P(AudioKernels, LocalAttention) {
  Random random(105);
  for (const int64_t head_dim : {1, 16, 17, 128})
    for (const int64_t heads : {1, 3})
      for (const int64_t tokens : {1, 2, 11, 12, 13, 40})
        for (const int64_t window : {int64_t{1}, int64_t{12}, kernels::kMostLocalKeys}) {
          const int64_t size = tokens * heads * head_dim;
          const std::vector<float> q = floats(random, size), k = floats(random, size),
                                   v = floats(random, size);
          const std::vector<float> relative = floats(random, window * heads * head_dim);
          const std::vector<float> q_scale = floats(random, head_dim);
          Output out(size, 3), expected(size);
          kernels::LocalAttentionArgs args{.out = out.data(),
                                           .q = q.data(),
                                           .k = k.data(),
                                           .v = v.data(),
                                           .relative = relative.data(),
                                           .q_scale = q_scale.data(),
                                           .k_scale = 1.89f,
                                           .cap = 5,
                                           .tokens = tokens,
                                           .heads = heads,
                                           .head_dim = head_dim,
                                           .window = window};
          table().local_attention(queue(), args);
          args.out = expected.data();
          reference().local_attention(queue(), args);
          // A score is a sum of head_dim products up to 3 in size, and errs by γ·3·head_dim; so
          // does the logarithm of a weight. Values are at most 1.
          const double scores = 3.0 * static_cast<double>(head_dim);
          ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(head_dim, 24),
                               [&](size_t) { return 2 * scores + static_cast<double>(window); }))
              << tokens << "x" << heads << "x" << head_dim << ", window " << window;
        }
}

TEST_P(AudioKernels, CappedScoresNeverOverflow) {
  const std::vector<float> big(4 * 16, 1e18f), one(4 * 16, 1.0f), zero(2 * 16, 0.0f);
  Output out(4 * 16);
  table().local_attention(queue(), {.out = out.data(),
                                    .q = big.data(),
                                    .k = big.data(),
                                    .v = one.data(),
                                    .relative = zero.data(),
                                    .q_scale = one.data(),
                                    .k_scale = 1,
                                    .cap = 50,
                                    .tokens = 4,
                                    .heads = 1,
                                    .head_dim = 16,
                                    .window = 2});
  for (const float value : out.values()) EXPECT_NEAR(value, 1, 1e-6);
}

}  // namespace
}  // namespace gemma4::testing

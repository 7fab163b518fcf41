// The vision tower's rows of every kernel table against the definition.

#include <cmath>

#include "tests/card_staging.h"

namespace gemma4::testing {
namespace {

class VisionKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, VisionKernels, ::testing::ValuesIn(tables_and_card_under_test()),
                         table_name);

TEST_P(VisionKernels, RopeAxes) {
  Random random(201);
  for (const int64_t tokens : {1, 3, 40})
    for (const int64_t heads : {1, 12})
      for (const int64_t half : {3, 16, 18}) {
        const std::vector<float> x = floats(random, tokens * heads * 4 * half);
        const std::vector<float> cos = floats(random, 2 * tokens * half);
        const std::vector<float> sin = floats(random, 2 * tokens * half);
        Output out(x, 3), expected(x, 0);
        kernels::RopeAxesArgs args{out.data(), cos.data(), sin.data(), tokens, heads, 2, half};
        table().rope_axes(queue(), args);
        args.x = expected.data();
        reference().rope_axes(queue(), args);
        // Two products of numbers of at most one
        ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(2),
                             [](size_t) { return 2.0; }))
            << tokens << " " << heads << " " << half;
      }
}

TEST_P(VisionKernels, Pool) {
  Random random(202);
  for (const int64_t rows : {1, 3})
    for (const int64_t cols : {1, 4})
      for (const int64_t width : {1, 17, 768})
        for (const bool standardised : {false, true}) {
          const int64_t patches = 9 * rows * cols;
          const std::vector<float> x = floats(random, patches * width);
          const std::vector<float> bias = floats(random, width), weight = floats(random, width);
          Output out(rows * cols * width, 3), expected(rows * cols * width, 0);
          kernels::PoolArgs args{.out = out.data(),
                                 .x = x.data(),
                                 .bias = standardised ? bias.data() : nullptr,
                                 .weight = standardised ? weight.data() : nullptr,
                                 .rows = 3 * rows,
                                 .cols = 3 * cols,
                                 .side = 3,
                                 .width = width,
                                 .scale = 27.7f};
          table().pool(queue(), args);
          args.out = expected.data();
          reference().pool(queue(), args);
          // Means of at most one, times the scale, and a bias of at most one
          ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(9, 4),
                               [](size_t) { return 28.7; }))
              << rows << " " << cols << " " << width;
        }
}

TEST_P(VisionKernels, LayerNorm) {
  Random random(203);
  for (const int64_t cols : {2, 17, 96, 6912})
    for (const int64_t rows : {1, 5})
      for (const bool in_place : {false, true}) {
        std::vector<float> x = floats(random, rows * cols);
        for (float& value : x) value += 3;  // a mean far from zero
        const std::vector<float> weight = floats(random, cols), bias = floats(random, cols);
        Output out(x, 3), expected(rows * cols);
        kernels::LayerNormArgs args{
            out.data(), in_place ? out.data() : x.data(), weight.data(), bias.data(), rows, cols,
            1e-5f};
        table().layer_norm(queue(), args);
        args.out = expected.data();
        args.x = x.data();
        reference().layer_norm(queue(), args);
        // Rounding of sums of numbers up to four, divided by a deviation of at least √eps
        const double magnitude = 4 * 4 / std::sqrt(1e-5);
        ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(cols, 4),
                             [&](size_t) { return cols > 2 ? 16.0 * std::sqrt(cols) : magnitude; }))
            << cols << " " << rows;
      }
}

}  // namespace
}  // namespace gemma4::testing

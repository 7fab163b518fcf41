// Matrix products and experts of every kernel table against the definition, and the promise that
// the engine rests on: a row's result does not depend on its batch mates, bit for bit.

#include <algorithm>
#include <cmath>

#include "tests/kernel_testing.h"

namespace gemma4::testing {
namespace {

class ProductKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, ProductKernels, ::testing::ValuesIn(tables_under_test()), table_name);

TEST_P(ProductKernels, Linear) {
  Random random(20);
  for (const DType dtype : kWeightTypes)
    for (const int64_t cols : kAwkwardCols)
      for (const int64_t tokens : kAwkwardTokens)
        for (const Values values : {Values::kOrdinary, Values::kWorst}) {
          const int64_t rows = kAwkwardCols[(cols + tokens) % 6];
          const auto offset = static_cast<size_t>(random.below(8));
          const Weight weight(random, dtype, rows, cols, offset, values);
          const std::vector<float> x = floats(random, tokens * cols, values);
          Output out(tokens * rows, random.below(4)), expected(tokens * rows);
          table().linear(queue(), {out.data(), x.data(), tokens, weight.matrix()});
          reference().linear(queue(), {expected.data(), x.data(), tokens, weight.matrix()});
          const std::vector<double> magnitudes = product_magnitudes(x, tokens, weight);
          ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(cols),
                               [&](size_t i) { return magnitudes[i]; }))
              << name_of(dtype) << " [" << tokens << ", " << cols << "] x " << rows << " at offset "
              << offset;
        }
}

// The order of sums for many rows, at shapes around its panels and pieces.
TEST_P(ProductKernels, LinearOfManyRows) {
  Random random(23);
  for (const DType dtype : kWeightTypes)
    for (const int64_t cols : {1, 5, 127, 129, 384, 500, 900})
      for (const int64_t rows : {1, 31, 70})
        for (const int64_t tokens : {1, 2, 5, 13, 40}) {
          const Weight weight(random, dtype, rows, cols, 1);
          const std::vector<float> x = floats(random, tokens * cols);
          Output out(tokens * rows, 1), expected(tokens * rows);
          table().linear(queue(), {.out = out.data(),
                                   .x = x.data(),
                                   .tokens = tokens,
                                   .weight = weight.matrix(),
                                   .many_rows = true});
          reference().linear(queue(), {expected.data(), x.data(), tokens, weight.matrix()});
          const std::vector<double> magnitudes = product_magnitudes(x, tokens, weight);
          ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(cols),
                               [&](size_t i) { return magnitudes[i]; }))
              << name_of(dtype) << " [" << tokens << ", " << cols << "] x " << rows;
          for (const int64_t t : {int64_t{0}, tokens / 2, tokens - 1}) {
            Output alone(rows, 2);
            table().linear(queue(), {.out = alone.data(),
                                     .x = x.data() + t * cols,
                                     .tokens = 1,
                                     .weight = weight.matrix(),
                                     .many_rows = true});
            expect_same_bits(
                alone.values(),
                out.values().subspan(static_cast<size_t>(t * rows), static_cast<size_t>(rows)),
                "row " + std::to_string(t) + " of " + std::to_string(tokens));
          }
        }
}

// More tokens and rows than a piece has; clipped as if before and after it.
TEST_P(ProductKernels, LinearOfManyRowsClips) {
  if (!table().clips_products) GTEST_SKIP() << "this table leaves clipping to its own entry";
  Random random(24);
  const int64_t rows = 800, cols = 400, tokens = 509;
  const kernels::Bounds input{-0.4f, 0.6f}, output{-1.5f, 2.5f};
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    const Weight weight(random, dtype, rows, cols, 1);
    std::vector<float> x = floats(random, tokens * cols);
    Output out(tokens * rows, 1), expected(tokens * rows);
    kernels::LinearArgs args{.out = out.data(),
                             .x = x.data(),
                             .tokens = tokens,
                             .weight = weight.matrix(),
                             .many_rows = true,
                             .input = input,
                             .output = output};
    table().linear(queue(), args);
    for (float& value : x) value = std::clamp(value, input.low, input.high);
    args.out = expected.data();
    args.input = args.output = {};
    table().linear(queue(), args);
    for (int64_t i = 0; i < tokens * rows; ++i)
      expected.data()[i] = std::clamp(expected.data()[i], output.low, output.high);
    expect_same_bits(out.values(), expected.values(), std::string(name_of(dtype)));
  }
}

TEST_P(ProductKernels, LinearWithManyRowsIsCutIntoPieces) {
  Random random(21);
  for (const DType dtype : kWeightTypes) {
    const int64_t rows = 1203, cols = 257, tokens = 7;
    const Weight weight(random, dtype, rows, cols, 1);
    const std::vector<float> x = floats(random, tokens * cols);
    Output out(tokens * rows), expected(tokens * rows);
    table().linear(queue(), {out.data(), x.data(), tokens, weight.matrix()});
    reference().linear(queue(), {expected.data(), x.data(), tokens, weight.matrix()});
    ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(cols),
                         [&](size_t) { return static_cast<double>(cols); }));
  }
}

TEST_P(ProductKernels, LinearRowsDoNotDependOnTheirBatchMates) {
  Random random(22);
  for (const DType dtype : kWeightTypes)
    for (const int64_t cols : {1, 17, 64, 500})
      for (const int64_t tokens : kAwkwardTokens) {
        const int64_t rows = 37;
        const Weight weight(random, dtype, rows, cols, 1);
        const std::vector<float> x = floats(random, tokens * cols);
        Output together(tokens * rows);
        table().linear(queue(), {together.data(), x.data(), tokens, weight.matrix()});
        for (int64_t t = 0; t < tokens; ++t) {
          Output alone(rows, 2);
          table().linear(queue(), {alone.data(), x.data() + t * cols, 1, weight.matrix()});
          expect_same_bits(
              alone.values(),
              together.values().subspan(static_cast<size_t>(t * rows), static_cast<size_t>(rows)),
              "row " + std::to_string(t) + " of " + std::to_string(tokens));
        }
      }
}

// From some number on tokens share the work of making floats of a weight, a few rows at a time.
TEST_P(ProductKernels, ManyTokensGetTheBitsOfEachAlone) {
  Random random(23);
  constexpr int64_t kTokens = 31, kRows = 37;
  for (const DType dtype : kWeightTypes)
    for (const int64_t cols : {17, 4099}) {
      const Weight weight(random, dtype, kRows, cols, 1);
      const std::vector<float> x = floats(random, kTokens * cols);
      Output together(kTokens * kRows);
      table().linear(queue(), {together.data(), x.data(), kTokens, weight.matrix()});
      for (int64_t t = 0; t < kTokens; ++t) {
        Output alone(kRows, 2);
        table().linear(queue(), {alone.data(), x.data() + t * cols, 1, weight.matrix()});
        expect_same_bits(alone.values(),
                         together.values().subspan(static_cast<size_t>(t * kRows), kRows),
                         std::string(name_of(dtype)) + " row " + std::to_string(t));
      }
    }
}

struct ExpertCase {
  int64_t tokens, top_k, experts, hidden, width;
};

// Gate and up err by γ(D) of their magnitudes, |gelu'| <= 1.13; the activation then runs through
// down and the sum over the choices.
std::vector<double> expert_magnitudes(const ExpertCase& c, const std::vector<float>& x,
                                      const std::vector<int32_t>& chosen,
                                      const std::vector<float>& weights, const Weight& gate_up,
                                      const Weight& down) {
  std::vector<double> sums(static_cast<size_t>(c.tokens * c.hidden));
  const auto magnitude = [&](int64_t t, int64_t row) {
    double sum = 0;
    for (int64_t j = 0; j < c.hidden; ++j)
      sum += std::abs(x[static_cast<size_t>(t * c.hidden + j)] * gate_up.at(row, j));
    return sum;
  };
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t k = 0; k < c.top_k; ++k) {
      const int64_t e = chosen[static_cast<size_t>(t * c.top_k + k)];
      const double weight = std::abs(weights[static_cast<size_t>(t * c.top_k + k)]);
      for (int64_t f = 0; f < c.width; ++f) {
        const double inner =
            1.13 * magnitude(t, e * 2 * c.width + f) * magnitude(t, e * 2 * c.width + c.width + f);
        for (int64_t j = 0; j < c.hidden; ++j)
          sums[static_cast<size_t>(t * c.hidden + j)] +=
              weight * std::abs(down.at(e * c.hidden + j, f)) * inner;
      }
    }
  return sums;
}

void check_experts(const kernels::Table& table, const kernels::Table& reference,
                   kernels::Queue queue, DType dtype, const ExpertCase& c) {
  Random random(static_cast<uint64_t>(c.tokens * 100 + c.hidden));
  const Weight gate_up(random, dtype, c.experts * 2 * c.width, c.hidden, 1);
  const Weight down(random, dtype, c.experts * c.hidden, c.width, 3);
  const std::vector<float> x = floats(random, c.tokens * c.hidden);
  const std::vector<float> weights = floats(random, c.tokens * c.top_k);
  std::vector<int32_t> chosen;
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t k = 0; k < c.top_k; ++k)  // different per token; the last expert is never used
      chosen.push_back(
          static_cast<int32_t>((t * t + k) % std::max<int64_t>(c.experts - 1, c.top_k)));
  const auto run = [&](const kernels::Table& kernels, float* out, int64_t first, int64_t count) {
    Output workspace(kernels::experts_workspace_floats(count, c.top_k, c.hidden, c.width));
    kernels.experts(queue, {out, x.data() + first * c.hidden, chosen.data() + first * c.top_k,
                            weights.data() + first * c.top_k, workspace.data(), count, c.top_k,
                            c.experts, c.hidden, c.width, gate_up.matrix(), down.matrix()});
  };
  Output out(c.tokens * c.hidden), expected(c.tokens * c.hidden), alone(c.tokens * c.hidden, 2);
  run(table, out.data(), 0, c.tokens);
  run(reference, expected.data(), 0, c.tokens);
  const std::vector<double> magnitudes = expert_magnitudes(c, x, chosen, weights, gate_up, down);
  const Tolerance tolerance = Tolerance::sum(c.hidden)
                                  .then(Tolerance::sum(c.hidden))
                                  .then(Tolerance::sum(c.width, 16))
                                  .then(Tolerance::roundings(static_cast<int>(c.top_k)));
  ASSERT_TRUE(all_near(out.values(), expected.values(), tolerance,
                       [&](size_t i) { return magnitudes[i]; }));
  for (int64_t t = 0; t < c.tokens; ++t) run(table, alone.data() + t * c.hidden, t, 1);
  expect_same_bits(alone.values(), out.values(), "rows alone and together");
}

TEST_P(ProductKernels, Experts) {
  for (const DType dtype : kWeightTypes)
    for (const ExpertCase& c :
         {ExpertCase{1, 1, 1, 3, 1}, ExpertCase{7, 2, 5, 17, 9}, ExpertCase{13, 4, 6, 64, 33},
          ExpertCase{5, 8, 16, 65, 20}, ExpertCase{6, 3, 3, 130, 64}}) {
      SCOPED_TRACE(std::to_string(c.tokens) + " tokens of " + std::to_string(c.hidden));
      check_experts(table(), reference(), queue(), dtype, c);
      if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace gemma4::testing

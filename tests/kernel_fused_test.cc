// The entries that stand for several others, of every vectorised table: the bits of those entries,
// or where a card has its own order the definition.

#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <string>

#include "tests/card_staging.h"
#include "tests/quantised_testing.h"

namespace gemma4::testing {
namespace {

class FusedKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, FusedKernels, ::testing::ValuesIn(kernels::all_cpu_tables()),
                         table_name);

constexpr int64_t kTokens[] = {1, 2, 7, 40};
constexpr int64_t kCols = 512;

// The weights of a test: packed blocks, blocks as they lie, and plain floats.
class Weights {
 public:
  Weights(Random& random, std::initializer_list<int64_t> rows) {
    for (const DType dtype : {DType::kQ4_0, DType::kQ8_0, DType::kQ6_K}) {
      std::vector<Matrix> packed, lying;
      for (const int64_t n : rows) {
        blocks_.push_back(std::make_unique<BlockWeight>(random, dtype, n, kCols));
        lying.push_back(blocks_.back()->matrix());
        packed.push_back(n % Matrix::kPackedRows == 0 ? blocks_.back()->packed() : lying.back());
      }
      sets_.push_back(packed);
      sets_.push_back(lying);
    }
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      std::vector<Matrix> set;
      for (const int64_t n : rows) {
        plain_.push_back(std::make_unique<Weight>(random, dtype, n, kCols));
        set.push_back(plain_.back()->matrix());
      }
      sets_.push_back(set);
    }
  }
  const std::vector<std::vector<Matrix>>& sets() const { return sets_; }

 private:
  std::vector<std::unique_ptr<BlockWeight>> blocks_;
  std::vector<std::unique_ptr<Weight>> plain_;
  std::vector<std::vector<Matrix>> sets_;
};

std::string said(const Matrix& weight, int64_t tokens) {
  return std::string(name_of(weight.dtype)) + (weight.packed != nullptr ? " packed" : "") + " " +
         std::to_string(tokens) + " tokens";
}

TEST_P(FusedKernels, LinearGroupIsItsProducts) {
  Random random(70);
  // One piece, several pieces, and rows that cannot be packed
  const Weights weights(random, {48, 2080, 21});
  for (const std::vector<Matrix>& set : weights.sets())
    for (const int64_t tokens : kTokens)
      for (int count = 1; count <= 3; ++count) {
        const std::vector<float> x = floats(random, tokens * kCols);
        std::array<std::unique_ptr<Output>, 3> outs;
        kernels::LinearGroupArgs args{.x = x.data(), .tokens = tokens, .count = count};
        for (int i = 0; i < count; ++i) {
          const auto at = static_cast<size_t>(count - 1 - i);  // the last one comes first too
          args.weight[i] = set[at];
          outs[at] = std::make_unique<Output>(tokens * set[at].rows);
          args.out[i] = outs[at]->data();
        }
        table().linear_group(queue(), args);
        for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
          Output expected(tokens * set[i].rows);
          table().linear(queue(), {expected.data(), x.data(), tokens, set[i]});
          ASSERT_NO_FATAL_FAILURE(
              expect_same_bits(outs[i]->values(), expected.values(), said(set[i], tokens)));
        }
      }
}

TEST_P(FusedKernels, GatedLinearIsItsProductsAndTheirGate) {
  Random random(71);
  for (const int64_t width : {int64_t{21}, int64_t{96}, int64_t{2080}}) {
    const Weights weights(random, {width, width});
    for (const std::vector<Matrix>& set : weights.sets())
      for (const int64_t tokens : kTokens)
        for (const bool has_up : {true, false}) {
          const std::vector<float> x = floats(random, tokens * kCols);
          const int64_t stride = width + 5;
          const std::vector<float> multiplier = floats(random, tokens * stride);
          Output out(tokens * width), gate(tokens * width), up(tokens * width);
          table().gated_linear(queue(), {.out = out.data(),
                                         .x = x.data(),
                                         .tokens = tokens,
                                         .gate = set[0],
                                         .up = has_up ? set[1] : Matrix(),
                                         .multiplier = has_up ? nullptr : multiplier.data(),
                                         .multiplier_stride = stride});
          table().linear(queue(), {gate.data(), x.data(), tokens, set[0]});
          if (has_up) table().linear(queue(), {up.data(), x.data(), tokens, set[1]});
          table().gated_gelu(queue(), {.out = gate.data(),
                                       .gate = gate.data(),
                                       .up = has_up ? up.data() : multiplier.data(),
                                       .rows = tokens,
                                       .cols = width,
                                       .gate_stride = width,
                                       .up_stride = has_up ? width : stride});
          ASSERT_NO_FATAL_FAILURE(
              expect_same_bits(out.values(), gate.values(), said(set[0], tokens)));
        }
  }
}

TEST_P(FusedKernels, AddNormedIsNormSumAndNorm) {
  Random random(72);
  for (const int64_t cols : kAwkwardCols)
    for (const int64_t rows : {1, 50})
      for (const bool weighted : {true, false}) {
        const std::vector<float> x = floats(random, rows * cols), h = floats(random, rows * cols);
        const std::vector<float> weight = floats(random, cols), next = floats(random, cols);
        const float* w = weighted ? weight.data() : nullptr;
        Output sum(x, 1), normed(rows * cols), scaled(rows * cols);
        Output update(rows * cols), expected(rows * cols);
        table().add_normed(queue(), {.sum = sum.data(),  // over x
                                     .x = sum.data(),
                                     .h = h.data(),
                                     .weight = w,
                                     .normed = {{.out = normed.data(), .weight = next.data()},
                                                {.out = scaled.data(), .weight = w, .scale = 0.3f}},
                                     .rows = rows,
                                     .cols = cols,
                                     .eps = 1e-6f,
                                     .scale = 0.7f});
        table().rms_norm(queue(), {update.data(), h.data(), w, rows, cols, 1e-6f});
        table().add(queue(), {expected.data(), x.data(), update.data(), rows * cols, 0.7f});
        expect_same_bits(sum.values(), expected.values(), "sum");
        table().rms_norm(queue(), {update.data(), expected.data(), next.data(), rows, cols, 1e-6f});
        expect_same_bits(normed.values(), update.values(), "normed");
        table().rms_norm(queue(), {update.data(), expected.data(), w, rows, cols, 1e-6f});
        table().scale(queue(), {update.data(), update.data(), nullptr, rows, cols, 0.3f});
        expect_same_bits(scaled.values(), update.values(), "scaled");
      }
}

// A stream's sums against the definition in double, with one, two and three norms of them, and with
// rows that blocks of a card hold in registers or do not.
class StreamKernels : public KernelTest {
 protected:
  using Row = std::vector<double>;
  // RMS(x) ⊙ weight, and the size of what it was rounded from
  static void norm(Row& x, Row& size, const float* weight) {
    double squares = 0;
    for (const double value : x) squares += value * value;
    const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + kEps);
    for (size_t j = 0; j < x.size(); ++j) {
      x[j] *= factor * weight[j];
      size[j] *= factor * std::abs(weight[j]);
    }
  }
  // `row` of x as such numbers
  static void read(const std::vector<float>& x, int64_t row, Row& values, Row& size) {
    for (size_t j = 0; j < values.size(); ++j) {
      values[j] = x[static_cast<size_t>(row) * values.size() + j];
      size[j] = std::abs(values[j]);
    }
  }
  static void add(Row& sum, Row& size, const Row& update, const Row& update_size, double scale) {
    for (size_t j = 0; j < sum.size(); ++j) {
      sum[j] = (sum[j] + update[j]) * scale;
      size[j] = (size[j] + update_size[j]) * scale;
    }
  }
  static constexpr double kEps = 1e-6;
};
INSTANTIATE_TEST_SUITE_P(All, StreamKernels, ::testing::ValuesIn(tables_and_card_under_test()),
                         table_name);

TEST_P(StreamKernels, SumsAndNormsAreThoseOfTheDefinition) {
  Random random(74);
  constexpr int64_t kRows = 3;
  constexpr float kScale = 0.7f, kFactors[] = {1.0f, 0.02f, 1.5f};
  for (const int64_t cols : {1, 7, 64, 1536, 2816, 5376, 9000})
    for (const int norms : {0, 1, 2, 3})
      for (const bool has_branches : {false, true}) {
        if (has_branches && table().add_branches == nullptr) continue;  // the CPU's
        const std::vector<float> x = floats(random, kRows * cols), h = floats(random, kRows * cols);
        const std::vector<float> other = floats(random, kRows * cols);
        std::vector<std::vector<float>> weights;
        for (int i = 0; i < 6; ++i) weights.push_back(floats(random, cols));
        std::deque<Output> outs;
        outs.emplace_back(x, 0);  // over x
        for (int i = 0; i < norms; ++i) outs.emplace_back(kRows * cols, 0);
        kernels::AddBranchesArgs args{.sum = {.sum = outs[0].data(),
                                              .x = outs[0].data(),
                                              .h = h.data(),
                                              .weight = weights[0].data(),
                                              .rows = kRows,
                                              .cols = cols,
                                              .eps = static_cast<float>(kEps),
                                              .scale = kScale},
                                      .h_weight = weights[1].data(),
                                      .other = other.data(),
                                      .other_weight = weights[2].data()};
        for (int i = 0; i < norms; ++i)
          args.sum.normed[i] = {outs[static_cast<size_t>(i) + 1].data(),
                                weights[static_cast<size_t>(i) + 3].data(), kFactors[i]};
        if (has_branches)
          table().add_branches(queue(), args);
        else
          table().add_normed(queue(), args.sum);

        const auto width = static_cast<size_t>(cols);
        std::vector<Row> expected(outs.size()), sizes(outs.size());
        for (int64_t r = 0; r < kRows; ++r) {
          Row sum(width), size(width), update(width), update_size(width);
          read(x, r, sum, size);
          read(h, r, update, update_size);
          if (has_branches) {
            Row second(width), second_size(width);
            read(other, r, second, second_size);
            norm(update, update_size, weights[1].data());
            norm(second, second_size, weights[2].data());
            add(update, update_size, second, second_size, 1);
          }
          norm(update, update_size, weights[0].data());
          add(sum, size, update, update_size, kScale);
          for (size_t i = 0; i < outs.size(); ++i) {
            Row row = sum, row_size = size;
            if (i > 0) {
              norm(row, row_size, weights[i + 2].data());
              add(row, row_size, Row(width), Row(width), kFactors[i - 1]);
            }
            expected[i].insert(expected[i].end(), row.begin(), row.end());
            sizes[i].insert(sizes[i].end(), row_size.begin(), row_size.end());
          }
        }
        // Three norms one after another, each a sum of squares
        const Tolerance one = Tolerance::sum(cols, 8);
        for (size_t i = 0; i < outs.size(); ++i)
          EXPECT_TRUE(all_near(outs[i].values(),
                               std::vector<float>(expected[i].begin(), expected[i].end()),
                               one.then(one).then(one), [&](size_t e) { return sizes[i][e]; }))
              << cols << " columns, " << norms << " norms, branches " << has_branches << ", out "
              << i;
      }
}

class RankingKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, RankingKernels, ::testing::ValuesIn(tables_and_card_under_test()),
                         table_name);

// Ties (every value comes often), NaN, rows that are shorter than what is asked for or mostly
// -infinity, and several pieces of a vocabulary.
TEST_P(RankingKernels, BestLogitsAreThoseOfTheDefinition) {
  Random random(73);
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  for (const int64_t cols : {int64_t{1}, int64_t{127}, int64_t{128}, int64_t{1000}, int64_t{8192},
                             int64_t{70001}, int64_t{262144}})
    for (const int64_t values : {int64_t{3}, int64_t{1} << 30})
      for (const bool damaged : {false, true}) {
        constexpr int64_t kRows = 3;
        std::vector<float> logits = floats(random, kRows * cols);
        for (float& logit : logits)
          logit = std::floor(logit * static_cast<float>(values)) / static_cast<float>(values);
        if (damaged)
          for (size_t i = 0; i < logits.size(); ++i)
            if (i % 50 != 0) logits[i] = i % 3 == 0 ? std::nanf("") : kNone;
        constexpr auto kCount = static_cast<size_t>(kernels::BestLogitsArgs::kCount);
        std::vector<kernels::RankedLogit> found(kRows * kCount), expected(kRows * kCount);
        table().best_logits(queue(), {found.data(), logits.data(), kRows, cols});
        kernels::reference_table().best_logits(queue(),
                                               {expected.data(), logits.data(), kRows, cols});
        for (size_t i = 0; i < found.size(); ++i) {
          ASSERT_EQ(found[i].id, expected[i].id) << cols << " logits, rank " << i;
          ASSERT_EQ(found[i].logit, expected[i].logit) << cols << " logits, rank " << i;
        }
      }
}

}  // namespace
}  // namespace gemma4::testing

// Products and look-ups with quantised weights, of every kernel table: types without a packed order
// against the definition to the last rounding of a sum, packed ones within what 8-bit activations
// imply, and a row's bits independent of its batch mates.

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "tests/quantised_testing.h"

namespace gemma4::testing {
namespace {

class QuantisedKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, QuantisedKernels, ::testing::ValuesIn(tables_under_test()),
                         table_name);

constexpr DType kBlockTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,   DType::kQ5_1,
                                 DType::kQ8_0, DType::kQ2_K, DType::kQ3_K,   DType::kQ4_K,
                                 DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS,
                                 DType::kMXFP4};
// How far an output may be off because its input was rounded: half a step for every column, where
// 127 steps are the largest magnitude of the column's 32.
std::vector<double> rounding_bounds(const std::vector<float>& x, int64_t tokens,
                                    const BlockWeight& weight) {
  const int64_t rows = weight.matrix().rows, cols = weight.matrix().cols;
  std::vector<double> bounds;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto row = x.begin() + t * cols;
    for (int64_t n = 0; n < rows; ++n) {
      double bound = 0;
      for (int64_t k = 0; k < cols; k += 32) {
        float largest = 0;
        double weights = 0;
        for (int64_t i = k; i < k + 32; ++i) {
          largest = std::max(largest, std::abs(row[i]));
          weights += std::abs(weight.at(n, i));
        }
        bound += largest / 254.0 * weights;
      }
      bounds.push_back(bound);
    }
  }
  return bounds;
}

TEST_P(QuantisedKernels, LinearOfEveryTypeAsItLies) {
  Random random(40);
  for (const DType dtype : kBlockTypes)
    for (const int64_t tokens : {1, 3, 7}) {
      const int64_t rows = 21, cols = 512;
      const BlockWeight weight(random, dtype, rows, cols);
      const std::vector<float> x = floats(random, tokens * cols);
      Output out(tokens * rows), expected(tokens * rows);
      table().linear(queue(), {out.data(), x.data(), tokens, weight.matrix()});
      reference().linear(queue(), {expected.data(), x.data(), tokens, weight.matrix()});
      const std::vector<double> sums = product_magnitudes(x, tokens, weight);
      ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(cols), [&](size_t i) {
        return sums[i];
      })) << name_of(dtype);
    }
}

TEST_P(QuantisedKernels, EmbeddingRowsAreExact) {
  Random random(41);
  const std::vector<int32_t> ids = {0, 6, 3, 3};
  for (const DType dtype : kBlockTypes) {
    const int64_t cols = 768;
    const BlockWeight weight(random, dtype, 7, cols);
    Output out(4 * cols);
    table().embed(queue(), {out.data(), ids.data(), 4, weight.matrix(), 3.0f});
    for (int64_t t = 0; t < 4; ++t)
      for (int64_t j = 0; j < cols; ++j)
        ASSERT_EQ(out.data()[t * cols + j], weight.at(ids[static_cast<size_t>(t)], j) * 3.0f)
            << name_of(dtype) << " " << t << " " << j;
  }
}

TEST_P(QuantisedKernels, PerLayerInputsReadAnyPartOfABlock) {
  Random random(42);
  const std::vector<int32_t> ids = {2, 0, 4};
  for (const DType dtype : kBlockTypes)
    for (const int64_t width : {8, 64, 256}) {
      const int64_t layers = 2, column = width;  // the slice begins in the second layer
      const BlockWeight weight(random, dtype, 5, 1024);
      const std::vector<float> context = floats(random, 3 * layers * width);
      const std::vector<float> norm = floats(random, width);
      Output out(3 * layers * width), expected(3 * layers * width);
      const auto run = [&](const kernels::Table& kernels, float* target) {
        kernels.combine_per_layer(
            queue(), {target, context.data(), ids.data(), 3, layers, width, weight.matrix(), column,
                      norm.data(), 1e-6f, 16.0f, 0.7f});
      };
      run(table(), out.data());
      run(reference(), expected.data());
      ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(width, 8),
                           [](size_t) { return 64.0 * 16; }))
          << name_of(dtype) << " width " << width;
    }
}

TEST_P(QuantisedKernels, PackedLinearErrsByTheRoundingOfItsInput) {
  Random random(43);
  for (const DType dtype : kPackedTypes)
    for (const int64_t columns : {32, 96, 512, 1056})
      for (const int64_t tokens : kAwkwardTokens)
        for (const Values values : {Values::kOrdinary, Values::kWorst}) {
          const int64_t cols = whole_blocks(dtype, columns);
          const int64_t rows = 16 * (1 + (columns / 32 + tokens) % 5);
          BlockWeight weight(random, dtype, rows, cols);
          const std::vector<float> x = floats(random, tokens * cols, values);
          Output out(tokens * rows), expected(tokens * rows);
          table().linear(queue(), {out.data(), x.data(), tokens, weight.packed()});
          reference().linear(queue(), {expected.data(), x.data(), tokens, weight.matrix()});
          const std::vector<double> sums = product_magnitudes(x, tokens, weight);
          const std::vector<double> rounded = rounding_bounds(x, tokens, weight);
          const Tolerance floats = Tolerance::sum(cols, 6);
          for (size_t i = 0; i < sums.size(); ++i)
            ASSERT_LE(std::abs(static_cast<double>(out.data()[i]) - expected.data()[i]),
                      rounded[i] * (1 + 1e-6) + floats.bound(sums[i]))
                << name_of(dtype) << " [" << tokens << ", " << cols << "] x " << rows << " at "
                << i;
        }
}

// Inputs that eight bits hold exactly: nothing but the sums in float32 may differ.
TEST_P(QuantisedKernels, PackedLinearOfWholeNumbersIsExactToASum) {
  Random random(44);
  for (const DType dtype : kPackedTypes)
    for (const int64_t tokens : {1, 4, 13}) {
      const int64_t rows = 48, cols = whole_blocks(dtype, 640);
      BlockWeight weight(random, dtype, rows, cols);
      std::vector<float> x;
      for (int64_t i = 0; i < tokens * cols; ++i)
        x.push_back(static_cast<float>(i % 32 == 5 ? 127 : random.between(-127, 127)));
      Output out(tokens * rows), expected(tokens * rows);
      table().linear(queue(), {out.data(), x.data(), tokens, weight.packed()});
      reference().linear(queue(), {expected.data(), x.data(), tokens, weight.matrix()});
      const std::vector<double> sums = product_magnitudes(x, tokens, weight);
      ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(cols / 32, 8),
                           [&](size_t i) { return sums[i]; }))
          << name_of(dtype);
    }
}

TEST_P(QuantisedKernels, ExtremeBytesDoNotOverflow) {
  for (const DType dtype : {DType::kQ4_0, DType::kQ8_0})
    for (const float sign : {1.0f, -1.0f}) {
      const int64_t rows = 16, cols = 1024;
      const DTypeInfo info = info_of(dtype);
      std::vector<std::byte> bytes(static_cast<size_t>(rows * row_bytes(dtype, cols)));
      const auto fill = dtype == DType::kQ8_0 ? std::byte{0x80} : std::byte{0x00};  // the lowest
      std::fill(bytes.begin(), bytes.end(), fill);
      const uint16_t one = 0x3c00;
      for (size_t i = 0; i < bytes.size(); i += static_cast<size_t>(info.block_bytes))
        std::memcpy(bytes.data() + i, &one, sizeof one);
      Matrix matrix{bytes.data(), dtype, rows, cols};
      alignas(64) std::array<std::byte, 16 * 34 * 32> packed;
      kernels::pack_rows(matrix, 0, rows, packed.data());
      matrix.packed = packed.data();
      matrix.packed_row_bytes = matrix.row_bytes();
      matrix.packed_row_bytes = matrix.row_bytes();
      const std::vector<float> x(static_cast<size_t>(cols), sign * 127);
      Output out(rows);
      table().linear(queue(), {out.data(), x.data(), 1, matrix});
      const float lowest = dtype == DType::kQ8_0 ? -128 : -8;
      for (int64_t n = 0; n < rows; ++n)
        ASSERT_NEAR(out.data()[n], sign * 127 * lowest * static_cast<float>(cols), 16)
            << name_of(dtype);
    }
}

TEST_P(QuantisedKernels, PackedRowsDoNotDependOnTheirBatchMates) {
  Random random(45);
  for (const DType dtype : kPackedTypes)
    for (const int64_t rows : {16, 48, 1040}) {
      const int64_t cols = whole_blocks(dtype, 672), most = 29;
      BlockWeight weight(random, dtype, rows, cols);
      const std::vector<float> x = floats(random, most * cols);
      std::vector<float> alone;
      for (int64_t t = 0; t < most; ++t) {
        Output one(rows, 2);
        table().linear(queue(), {one.data(), x.data() + t * cols, 1, weight.packed()});
        alone.insert(alone.end(), one.values().begin(), one.values().end());
      }
      for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 12, 29}) {
        Output together(tokens * rows);
        table().linear(queue(), {together.data(), x.data(), tokens, weight.packed()});
        ASSERT_EQ(std::memcmp(together.data(), alone.data(), together.values().size_bytes()), 0)
            << name_of(dtype) << " " << tokens << " tokens, " << rows << " rows";
      }
    }
}

// What an instruction set has beside itself may be faster and nothing else: sums over 32 columns
// are exact, and what follows them has one order.
TEST(QuantisedExtensions, HaveTheBitsOfTheirInstructionSet) {
  const std::map<std::string, std::string> set_of = {
      {"AMX", "AVX3_DL"}, {"AVX2_VNNI", "AVX2"}, {"NEON_I8MM", "NEON"}, {"NEON_DOTPROD", "NEON"}};
  std::map<std::string, kernels::Table> tables;
  for (const kernels::Table& table : kernels::all_cpu_tables()) tables[table.name] = table;
  ThreadPool pool(2);
  const kernels::Queue queue{&pool};
  Random random(47);
  for (const auto& [name, set] : set_of) {
    if (!tables.contains(name)) continue;
    for (const DType dtype : kPackedTypes)
      for (const int64_t tokens : {1, 7, 8, 33, 64}) {
        const int64_t rows = 80, cols = whole_blocks(dtype, 1120);
        BlockWeight weight(random, dtype, rows, cols);
        const std::vector<float> x = floats(random, tokens * cols, Values::kWorst);
        Output out(tokens * rows), expected(tokens * rows);
        tables.at(name).linear(queue, {out.data(), x.data(), tokens, weight.packed()});
        tables.at(set).linear(queue, {expected.data(), x.data(), tokens, weight.packed()});
        ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.values().size_bytes()), 0)
            << name << ", " << name_of(dtype) << ", " << tokens << " tokens";
      }
  }
}

// One expert of one choice is a gated MLP: its bits are those of the entries it is made of.
TEST_P(QuantisedKernels, PackedExpertsAreTheirParts) {
  Random random(46);
  const int64_t num_experts = 3, tokens = 9;
  for (const DType dtype : kPackedTypes) {
    const int64_t hidden = whole_blocks(dtype, 96), width = whole_blocks(dtype, 64);
    BlockWeight gate_up(random, dtype, num_experts * 2 * width, hidden);
    BlockWeight down(random, dtype, num_experts * hidden, width);
    const Matrix gate_up_matrix = gate_up.packed(), down_matrix = down.packed();
    const std::vector<float> x = floats(random, tokens * hidden);
    const std::vector<float> ones(static_cast<size_t>(tokens), 1.0f);
    std::vector<int32_t> chosen;
    for (int64_t t = 0; t < tokens; ++t) chosen.push_back(static_cast<int32_t>(t * t % 3));
    Output out(tokens * hidden),
        workspace(kernels::experts_workspace_floats(tokens, 1, hidden, width));
    table().experts(queue(), {out.data(), x.data(), chosen.data(), ones.data(), workspace.data(),
                              tokens, 1, num_experts, hidden, width, gate_up_matrix, down_matrix});
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t e = chosen[static_cast<size_t>(t)];
      Output inner(2 * width, 0), gated(width, 0), result(hidden, 0);
      table().linear(queue(), {inner.data(), x.data() + t * hidden, 1,
                               gate_up_matrix.row_slice(e * 2 * width, 2 * width)});
      table().gated_gelu(
          queue(), {gated.data(), inner.data(), inner.data() + width, 1, width, width, width});
      table().linear(queue(),
                     {result.data(), gated.data(), 1, down_matrix.row_slice(e * hidden, hidden)});
      for (int64_t j = 0; j < hidden; ++j)
        if (GetParam().reads_packed) {
          ASSERT_EQ(out.data()[t * hidden + j], result.data()[j]) << name_of(dtype) << " " << t;
        } else {  // the definition adds in double
          ASSERT_NEAR(out.data()[t * hidden + j], result.data()[j],
                      1e-5 * std::abs(result.data()[j]) + 1e-2);
        }
    }
  }
}

}  // namespace
}  // namespace gemma4::testing

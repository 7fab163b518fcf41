// Every element-wise row of every kernel table against the definition: awkward sizes, strides,
// addresses and values; nothing outside the output is written. Matrix products and attention are in
// kernel_products_test.cc.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

#include "tests/card_staging.h"
#include "tests/kernel_testing.h"

namespace gemma4::testing {
namespace {

using kernels::Table;

class ElementwiseKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, ElementwiseKernels, ::testing::ValuesIn(tables_and_card_under_test()),
                         table_name);

TEST_P(ElementwiseKernels, EmbedIsExact) {
  Random random(1);
  for (const DType dtype : kWeightTypes)
    for (const int64_t cols : kAwkwardCols)
      for (const Values values : {Values::kOrdinary, Values::kWorst}) {
        const Weight weight(random, dtype, 9, cols, 3, values);
        const std::vector<int32_t> ids = {8, 0, 3, 3, 7};
        Output out(5 * cols), expected(5 * cols, 0);
        const auto args = [&](float* data) {
          return kernels::EmbedArgs{data, ids.data(), 5, weight.matrix(), 39.1918f};
        };
        table().embed(queue(), args(out.data()));
        reference().embed(queue(), args(expected.data()));
        ASSERT_EQ(std::memcmp(out.data(), expected.data(), static_cast<size_t>(20 * cols)), 0)
            << name_of(dtype) << " " << cols;
      }
}

TEST_P(ElementwiseKernels, RmsNorm) {
  Random random(2);
  for (const int64_t cols : kAwkwardCols)
    for (const int64_t rows : kAwkwardTokens)
      for (const Values values : {Values::kOrdinary, Values::kWorst})
        for (const bool weighted : {false, true})
          for (const bool in_place : {false, true}) {
            const std::vector<float> x = floats(random, rows * cols, values);
            const std::vector<float> weight = floats(random, cols);
            Output out(x, 3), expected(rows * cols);
            kernels::RmsNormArgs args{out.data(),
                                      in_place ? out.data() : x.data(),
                                      weighted ? weight.data() : nullptr,
                                      rows,
                                      cols,
                                      1e-6f};
            table().rms_norm(queue(), args);
            args.out = expected.data();
            args.x = x.data();
            reference().rms_norm(queue(), args);
            ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(cols, 6)))
                << rows << "x" << cols;
          }
}

TEST_P(ElementwiseKernels, RmsNormOfZerosIsZero) {
  const std::vector<float> x(100, 0.0f);
  Output out(100);
  table().rms_norm(queue(), {out.data(), x.data(), nullptr, 2, 50, 1e-6f});
  for (const float value : out.values()) ASSERT_EQ(value, 0.0f);
}

TEST_P(ElementwiseKernels, CombinePerLayer) {
  Random random(3);
  for (const DType dtype : kWeightTypes)
    for (const int64_t width : {int64_t{1}, int64_t{17}, int64_t{64}, int64_t{65}, int64_t{130}})
      for (const bool in_place : {false, true}) {
        constexpr int64_t kTokens = 3, kLayers = 2, kAllLayers = 4, kVocabulary = 6;
        const Weight weight(random, dtype, kVocabulary, kAllLayers * width, 1);
        const std::vector<float> context = floats(random, kTokens * kLayers * width);
        const std::vector<float> norm = floats(random, width);
        const std::vector<int32_t> ids = {5, 0, 5};
        Output out(context, 1), expected(kTokens * kLayers * width);
        kernels::CombinePerLayerArgs args{out.data(),      in_place ? out.data() : context.data(),
                                          ids.data(),      kTokens,
                                          kLayers,         width,
                                          weight.matrix(),
                                          2 * width,  // the last two layers
                                          norm.data(),     1e-6f,
                                          16.0f,           0.70710678f};
        table().combine_per_layer(queue(), args);
        args.out = expected.data();
        args.context = context.data();
        reference().combine_per_layer(queue(), args);
        // Both summands are at most 16·max|table| + √width in size.
        ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(width, 8),
                             [&](size_t) { return 32 + std::sqrt(static_cast<double>(width)); }));
      }
}

TEST_P(ElementwiseKernels, RopeTableReducesItsArgumentsFully) {
  std::vector<int32_t> positions = {0, 1, 63, 64, 511, 4095, 65535, 131071, 262142, 262143};
  std::vector<float> inv_freq = {1.0f, 0.930572041f, 0.01f, 1.07460783e-4f, 0.0f};
  const auto tokens = static_cast<int64_t>(positions.size());
  const auto half = static_cast<int64_t>(inv_freq.size());
  Output cos(tokens * half), sin(tokens * half, 2);
  table().rope_table(queue(),
                     {cos.data(), sin.data(), positions.data(), inv_freq.data(), tokens, half});
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < half; ++i) {
      // The product is one float32 rounding; from there on the functions must be right to an ulp.
      const float angle =
          static_cast<float>(positions[static_cast<size_t>(t)]) * inv_freq[static_cast<size_t>(i)];
      const auto at = static_cast<size_t>(t * half + i);
      EXPECT_NEAR(cos.values()[at], std::cos(static_cast<double>(angle)), 0x1p-23) << angle;
      EXPECT_NEAR(sin.values()[at], std::sin(static_cast<double>(angle)), 0x1p-23) << angle;
    }
}

TEST_P(ElementwiseKernels, Rope) {
  Random random(5);
  for (const int64_t half : {1, 3, 16, 17, 32, 63, 128, 256})
    for (const int64_t tokens : {1, 3, 7})
      for (const int64_t heads : {1, 3}) {
        const std::vector<float> x = floats(random, tokens * heads * 2 * half);
        std::vector<float> cos(static_cast<size_t>(tokens * half)), sin(cos.size());
        for (size_t i = 0; i < cos.size(); ++i) {
          const double angle = random.unit() * 3;
          cos[i] = static_cast<float>(std::cos(angle));
          sin[i] = static_cast<float>(std::sin(angle));
        }
        Output out(x, 1), expected(x, 0);
        kernels::RopeArgs args{out.data(), cos.data(), sin.data(), tokens, heads, half};
        table().rope(queue(), args);
        args.x = expected.data();
        reference().rope(queue(), args);
        // |x·cos| + |y·sin| <= 2 for values below 1; three roundings.
        ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::roundings(3),
                             [](size_t) { return 2.0; }));
      }
}

TEST_P(ElementwiseKernels, GatedGelu) {
  Random random(7);
  for (const int64_t cols : kAwkwardCols)
    for (const int64_t rows : {1, 2, 7})
      for (const int padding : {0, 5}) {
        const int64_t stride = cols + padding;
        std::vector<float> gate = floats(random, rows * stride);
        for (float& x : gate) x *= 50;
        const std::vector<float> up = floats(random, rows * stride);
        Output out(rows * cols, 2), expected(rows * cols);
        kernels::GatedGeluArgs args{out.data(), gate.data(), up.data(), rows, cols, stride, stride};
        table().gated_gelu(queue(), args);
        args.out = expected.data();
        reference().gated_gelu(queue(), args);
        // The definition itself loses u·|x| where 1 + tanh cancels.
        ASSERT_TRUE(all_near(out.values(), expected.values(), Tolerance::roundings(8),
                             [&](size_t i) {
                               const auto at =
                                   static_cast<size_t>(static_cast<int64_t>(i) / cols * stride +
                                                       static_cast<int64_t>(i) % cols);
                               return std::abs(static_cast<double>(gate[at]) * up[at]);
                             }))
            << rows << "x" << cols;
      }
}

TEST_P(ElementwiseKernels, GatedGeluMayOverwriteItsInputs) {
  Random random(8);
  for (const int64_t cols : {3, 65, 1000}) {
    const std::vector<float> gate = floats(random, 2 * cols), up = floats(random, 2 * cols);
    Output expected(2 * cols), over_gate(gate, 1), over_up(up, 3);
    table().gated_gelu(queue(), {expected.data(), gate.data(), up.data(), 2, cols, cols, cols});
    table().gated_gelu(queue(),
                       {over_gate.data(), over_gate.data(), up.data(), 2, cols, cols, cols});
    table().gated_gelu(queue(), {over_up.data(), gate.data(), over_up.data(), 2, cols, cols, cols});
    const auto bytes = static_cast<size_t>(8 * cols);
    EXPECT_EQ(std::memcmp(expected.data(), over_gate.data(), bytes), 0);
    EXPECT_EQ(std::memcmp(expected.data(), over_up.data(), bytes), 0);
  }
}

TEST_P(ElementwiseKernels, GeluHasItsPublishedValuesAndTails) {
  // Values of spec/text-model.md, section 5.
  const std::vector<float> x = {-3, -1, 0.5f, 3, 0, -0.0f, 30, 50, 1e4f, 1e20f, 3e38f};
  const std::vector<float> y = {-0.00363739f, -0.158808009f, 0.345714010f, 2.99636261f, 0, 0, 30,
                                50,           1e4f,          1e20f,        3e38f};
  const std::vector<float> one(x.size(), 1.0f);
  Output out(static_cast<int64_t>(x.size()));
  const auto cols = static_cast<int64_t>(x.size());
  table().gated_gelu(queue(), {out.data(), x.data(), one.data(), 1, cols, cols, cols});
  // The scalar definition loses u·|x| where 1 + tanh cancels.
  EXPECT_TRUE(all_near(out.values(), y, Tolerance::roundings(4),
                       [&](size_t i) { return std::abs(static_cast<double>(x[i])); }));

  const std::vector<float> far = {-12, -20, -50, -1e3f, -1e10f, -1e20f, -1e30f, -3e38f};
  const auto tails = static_cast<int64_t>(far.size());
  Output tail(tails);
  table().gated_gelu(queue(), {tail.data(), far.data(), one.data(), 1, tails, tails, tails});
  for (int64_t i = 0; i < tails; ++i)
    EXPECT_LE(std::abs(tail.data()[i]), 1e-13f) << "gelu(" << far[static_cast<size_t>(i)] << ")";
}

TEST_P(ElementwiseKernels, AddAndScale) {
  Random random(9);
  for (const int64_t cols : kAwkwardCols)
    for (const Values values : {Values::kOrdinary, Values::kWorst}) {
      const int64_t rows = 5, n = rows * cols;
      const std::vector<float> a = floats(random, n, values), b = floats(random, n, values);
      const std::vector<float> weight = floats(random, cols);
      Output sum(n), sum_expected(n), in_place(a, 1), scaled(n), scaled_expected(n);
      const auto bytes = static_cast<size_t>(n) * sizeof(float);

      table().add(queue(), {sum.data(), a.data(), b.data(), n, 0.7f});
      reference().add(queue(), {sum_expected.data(), a.data(), b.data(), n, 0.7f});
      EXPECT_TRUE(all_near(sum.values(), sum_expected.values(), Tolerance::roundings(3)));
      table().add(queue(), {in_place.data(), in_place.data(), b.data(), n, 0.7f});
      EXPECT_EQ(std::memcmp(in_place.data(), sum.data(), bytes), 0);

      for (const float* w : {static_cast<const float*>(nullptr), weight.data()}) {
        Output over(a, 3);
        table().scale(queue(), {scaled.data(), a.data(), w, rows, cols, -3.3f});
        reference().scale(queue(), {scaled_expected.data(), a.data(), w, rows, cols, -3.3f});
        EXPECT_TRUE(all_near(scaled.values(), scaled_expected.values(), Tolerance::roundings(3)));
        table().scale(queue(), {over.data(), over.data(), w, rows, cols, -3.3f});
        EXPECT_EQ(std::memcmp(over.data(), scaled.data(), bytes), 0);
      }
    }
}

TEST_P(ElementwiseKernels, LargeSumsAreCutIntoPiecesWithoutSeams) {
  Random random(10);
  const int64_t n = 40'001;  // several pieces of work
  const std::vector<float> a = floats(random, n), b = floats(random, n);
  Output sum(n), cap(n);
  table().add(queue(), {sum.data(), a.data(), b.data(), n, 1.0f});
  table().soft_cap(queue(), {cap.data(), a.data(), n, 30.0f});
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    ASSERT_EQ(sum.values()[at], a[at] + b[at]);
    ASSERT_NEAR(cap.values()[at], 30 * std::tanh(a[at] / 30.0), 1e-6);
  }
}

TEST_P(ElementwiseKernels, SoftCap) {
  Random random(11);
  for (const int64_t n : kAwkwardCols) {
    std::vector<float> x = floats(random, n);
    for (float& value : x) value *= 200;
    Output out(n, 2), expected(n), in_place(x, 1);
    table().soft_cap(queue(), {out.data(), x.data(), n, 30.0f});
    reference().soft_cap(queue(), {expected.data(), x.data(), n, 30.0f});
    EXPECT_TRUE(all_near(out.values(), expected.values(), Tolerance::roundings(16)));
    table().soft_cap(queue(), {in_place.data(), in_place.data(), n, 30.0f});
    EXPECT_EQ(std::memcmp(in_place.data(), out.data(), static_cast<size_t>(n) * 4), 0);
  }
  const std::vector<float> x = {0, -0.0f, 1e-30f, 300, -300, 1e10f, -1e30f, 3e38f};
  const std::vector<float> y = {0, 0, 1e-30f, 30, -30, 30, -30, 30};
  Output out(8);
  table().soft_cap(queue(), {out.data(), x.data(), 8, 30.0f});
  EXPECT_TRUE(all_near(out.values(), y, Tolerance::roundings(64)));
}

TEST_P(ElementwiseKernels, GatherRows) {
  Random random(12);
  for (const int64_t cols : kAwkwardCols) {
    const std::vector<float> x = floats(random, 6 * cols);
    const std::vector<int32_t> rows = {5, 0, 0, 3};
    Output out(4 * cols);
    table().gather_rows(queue(), {out.data(), x.data(), rows.data(), 4, cols});
    for (int64_t r = 0; r < 4; ++r)
      EXPECT_EQ(std::memcmp(out.data() + r * cols, x.data() + rows[static_cast<size_t>(r)] * cols,
                            static_cast<size_t>(cols) * sizeof(float)),
                0);
  }
}

TEST_P(ElementwiseKernels, RouteChoosesTheLargestAndTiesByIndex) {
  Random random(13);
  for (const int64_t experts : {1, 2, 7, 128})
    for (const int64_t top_k : {int64_t{1}, std::min<int64_t>(experts, 8), experts}) {
      constexpr int64_t kTokens = 5;
      std::vector<float> logits = floats(random, kTokens * experts);
      for (float& x : logits) x = std::round(x * 4) * 0.5f;  // many ties
      const std::vector<float> scale = floats(random, experts);
      std::vector<int32_t> chosen(static_cast<size_t>(kTokens * top_k), -1);
      Output weights(kTokens * top_k);
      table().route(queue(), {chosen.data(), weights.data(), logits.data(), scale.data(), kTokens,
                              experts, top_k});
      for (int64_t t = 0; t < kTokens; ++t) {
        const float* z = logits.data() + t * experts;
        std::vector<int32_t> order(static_cast<size_t>(experts));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](int32_t a, int32_t b) { return z[a] > z[b]; });
        double total = 0;
        for (int64_t k = 0; k < top_k; ++k) total += std::exp(z[order[static_cast<size_t>(k)]]);
        for (int64_t k = 0; k < top_k; ++k) {
          const auto at = static_cast<size_t>(t * top_k + k);
          const int32_t e = order[static_cast<size_t>(k)];
          ASSERT_EQ(chosen[at], e);
          const double expected = std::exp(z[e]) / total * scale[static_cast<size_t>(e)];
          ASSERT_NEAR(weights.values()[at], expected, 1e-5 * std::abs(expected) + 1e-30);
        }
      }
    }
}

#if defined(__x86_64__)
// CPU flags of this machine, as the kernel reports them; empty where there is no such file.
std::set<std::string> cpu_flags() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  std::set<std::string> flags;
  while (std::getline(file, line) && flags.empty())
    if (line.starts_with("flags")) {
      std::istringstream words(line.substr(line.find(':') + 1));
      for (std::string word; words >> word;) flags.insert(word);
    }
  return flags;
}
#endif

TEST(KernelTables, EachInstructionSetOfThisMachineHasItsOwnKernels) {
  const std::vector<Table> tables = kernels::all_cpu_tables();
  ASSERT_FALSE(tables.empty());
  std::set<std::string> names;
  std::set<const void*> products;
  for (const Table& table : tables) {
    EXPECT_TRUE(names.insert(table.name).second) << table.name << " is listed twice";
    EXPECT_TRUE(products.insert(reinterpret_cast<const void*>(table.linear)).second)
        << table.name << " runs another set's code";
    EXPECT_NE(table.linear, kernels::reference_table().linear);
    EXPECT_NE(table.attention, kernels::reference_table().attention);
    EXPECT_NE(table.experts, kernels::reference_table().experts);
  }
#if defined(__x86_64__)
  const std::set<std::string> flags = cpu_flags();
  EXPECT_EQ(names.contains("AVX2"), flags.contains("avx2") && flags.contains("fma"));
  EXPECT_EQ(names.contains("AVX2_VNNI"), flags.contains("avx_vnni"));
  EXPECT_EQ(names.contains("AVX3"), flags.contains("avx512vl") && flags.contains("avx512dq"));
  EXPECT_EQ(names.contains("AMX"), flags.contains("amx_tile") && flags.contains("amx_int8"));
#elif defined(__aarch64__)
  EXPECT_TRUE(names.contains("NEON"));
#endif
  RecordProperty("tables", static_cast<int>(tables.size()));
  for (const std::string& name : names) printf("kernel table: %s\n", name.c_str());
}

TEST(KernelTables, EveryEntryOfEveryTableIsFilled) {
  for (const Table& table : tables_under_test()) {
    EXPECT_TRUE(table.embed && table.combine_per_layer && table.rms_norm && table.linear &&
                table.rope_table && table.rope && table.store_kv && table.attention &&
                table.gated_gelu && table.add && table.scale && table.gather_rows &&
                table.soft_cap && table.route && table.experts && table.subsample && table.clip &&
                table.silu && table.light_conv && table.local_attention)
        << table.name;
  }
}

TEST(KernelTables, TheEnvironmentChoosesOrSaysWhatThereIs) {
  const std::string best = kernels::all_cpu_tables().front().name;
  setenv("GEMMA4_KERNELS", "", 1);
  EXPECT_EQ(kernels::default_table().value().name, best);
  setenv("GEMMA4_KERNELS", "reference", 1);
  EXPECT_STREQ(kernels::default_table().value().name, "reference");
  for (const Table& table : kernels::all_cpu_tables()) {
    setenv("GEMMA4_KERNELS", table.name, 1);
    EXPECT_STREQ(kernels::default_table().value().name, table.name);
  }
  setenv("GEMMA4_KERNELS", "abacus", 1);
  const auto unknown = kernels::default_table();
  unsetenv("GEMMA4_KERNELS");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, ::testing::HasSubstr("abacus"));
  EXPECT_THAT(unknown.error().message, ::testing::HasSubstr("reference, " + best));
}

}  // namespace
}  // namespace gemma4::testing

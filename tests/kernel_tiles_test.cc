// Products by matrix tiles, on any machine: the tiles are written out here, and all that is around
// them is what a machine with AMX runs. The bits must be those of products without tiles.

#include <atomic>
#include <cstring>
#include <vector>

#include "kernels/cpu/experts-inl.h"
#include "kernels/cpu/tiles-inl.h"
#include "tests/quantised_testing.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// Sums as the hardware forms them, on threads that have configured it.
struct WrittenOutTiles {
  static inline thread_local int columns = 0;
  static inline std::atomic<int64_t> products{0};

  static void configure(int bytes) {
    EXPECT_EQ(columns, 0) << "configured twice";
    columns = bytes;
  }
  static void release() { columns = 0; }
  template <int kNumber>
  static void multiply(const int8_t* x, int64_t stride, const Words* w, TileSums& c) {
    EXPECT_NE(columns, 0) << "not configured";
    ++products;
    for (size_t t = 0; t < kTileSide; ++t)
      for (size_t n = 0; n < kTileSide; ++n) {
        c[t][n] = 0;
        for (int k = 0; k < columns; ++k)
          c[t][n] += x[static_cast<int64_t>(t) * stride + k] *
                     static_cast<int8_t>(w[k / 4][n] >> k % 4 * 8 & 255);
      }
  }
};
using WrittenOut = TiledProducts<WrittenOutTiles>;

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();

namespace gemma4::testing {
namespace {

namespace set = kernels::HWY_NAMESPACE;

class TiledKernels : public ::testing::TestWithParam<DType> {
 protected:
  kernels::Queue queue() { return {&pool_}; }
  // How many products of tiles `run` takes.
  template <class Run>
  static int64_t products_of(const Run& run) {
    const int64_t before = set::WrittenOutTiles::products;
    run();
    return set::WrittenOutTiles::products - before;
  }

 private:
  ThreadPool pool_{2};
};
INSTANTIATE_TEST_SUITE_P(All, TiledKernels, ::testing::ValuesIn(kPackedTypes),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST_P(TiledKernels, LinearHasTheBitsOfOtherProducts) {
  Random random(50);
  for (const int64_t columns : {32, 96, 1056})
    for (const int64_t tokens : {1, 7, 8, 15, 16, 17, 40})
      for (const Values values : {Values::kOrdinary, Values::kWorst}) {
        const int64_t cols = whole_blocks(GetParam(), columns);
        const int64_t rows = 16 * (1 + (columns / 32 + tokens) % 5);
        BlockWeight weight(random, GetParam(), rows, cols);
        const std::vector<float> x = floats(random, tokens * cols, values);
        Output out(tokens * rows), expected(tokens * rows);
        const int64_t products = products_of([&] {
          set::linear<set::WrittenOut>(queue(), {out.data(), x.data(), tokens, weight.packed()});
        });
        set::linear<set::SetProducts>(queue(),
                                      {expected.data(), x.data(), tokens, weight.packed()});
        ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.values().size_bytes()), 0)
            << "[" << tokens << ", " << cols << "] x " << rows;
        // Every tile is multiplied once, and too few tokens go another way.
        const int64_t parts = GetParam() == DType::kQ6_K ? 2 : 1;
        EXPECT_EQ(products,
                  tokens < 8 ? 0 : (tokens + 15) / 16 * (rows / 16) * (cols / 32) * parts);
      }
}

TEST_P(TiledKernels, ExpertsHaveTheBitsOfOtherProducts) {
  Random random(51);
  const int64_t num_experts = 3, tokens = 33, top_k = 2;
  const int64_t hidden = whole_blocks(GetParam(), 96), width = whole_blocks(GetParam(), 64);
  BlockWeight gate_up(random, GetParam(), num_experts * 2 * width, hidden);
  BlockWeight down(random, GetParam(), num_experts * hidden, width);
  const Matrix gate_up_matrix = gate_up.packed(), down_matrix = down.packed();
  const std::vector<float> x = floats(random, tokens * hidden);
  const std::vector<float> weights = floats(random, tokens * top_k);
  std::vector<int32_t> chosen;  // the second expert gets few
  for (int32_t t = 0; t < tokens; ++t) {
    chosen.push_back(t % 11 == 0 ? 1 : 0);
    chosen.push_back(2);
  }
  const auto run = [&](auto experts, float* out) {
    Output workspace(kernels::experts_workspace_floats(tokens, top_k, hidden, width));
    experts(queue(), {out, x.data(), chosen.data(), weights.data(), workspace.data(), tokens, top_k,
                      num_experts, hidden, width, gate_up_matrix, down_matrix});
  };
  Output out(tokens * hidden), expected(tokens * hidden);
  EXPECT_GT(products_of([&] { run(set::experts<set::WrittenOut>, out.data()); }), 0);
  run(set::experts<set::SetProducts>, expected.data());
  EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.values().size_bytes()), 0);
}

}  // namespace
}  // namespace gemma4::testing

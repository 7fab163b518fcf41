// Matrix products, attention and experts of every kernel table against the definition, and the
// promise that the engine rests on: a row's result does not depend on its batch mates, bit for bit.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernel_testing.h"

namespace gemma4::testing {
namespace {

class ProductKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, ProductKernels, ::testing::ValuesIn(tables_under_test()), table_name);

void expect_same_bits(std::span<const float> a, std::span<const float> b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0) << what;
}

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

// A cache with sequences in shuffled blocks, filled by the table that will read it. What no row may
// see is NaN.
struct Cache {
  const kernels::Table& kernels;
  kernels::Queue queue;
  std::vector<float> k, v;
  kernels::KvLayer layer{};
  std::vector<int32_t> table_offset, table_first, block_table;

  Cache(const kernels::Table& kernel_table, kernels::Queue on, Random random, int64_t heads,
        int64_t dim, int64_t block_tokens, const std::vector<std::pair<int64_t, int64_t>>& visible)
      : kernels(kernel_table), queue(on) {
    int64_t blocks = 2;
    for (const auto& [begin, end] : visible)
      blocks += (end + block_tokens - 1) / block_tokens - begin / block_tokens;
    const int64_t size = blocks * heads * block_tokens * dim;
    k.assign(static_cast<size_t>(size), std::nanf(""));
    v = k;
    layer = {k.data(), v.data(), heads, dim, block_tokens};
    std::vector<int32_t> free(static_cast<size_t>(blocks));
    std::iota(free.begin(), free.end(), 0);
    for (size_t i = free.size(); i > 1; --i)
      std::swap(free[i - 1], free[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
    for (const auto& [begin, end] : visible) {
      table_offset.push_back(static_cast<int32_t>(block_table.size()));
      table_first.push_back(static_cast<int32_t>(begin / block_tokens));
      for (int64_t block = begin / block_tokens; block * block_tokens < end; ++block) {
        block_table.push_back(free.back());
        for (int64_t p = std::max(begin, block * block_tokens);
             p < std::min(end, (block + 1) * block_tokens); ++p)
          fill(random, free.back(), p % block_tokens);
        free.pop_back();
      }
    }
  }

 private:
  void fill(Random& random, int64_t block, int64_t offset) {
    const std::vector<float> key = floats(random, layer.heads * layer.head_dim);
    const std::vector<float> value = floats(random, layer.heads * layer.head_dim);
    const auto slot = static_cast<int32_t>(block * layer.block_tokens + offset);
    kernels.store_kv(queue, {layer, key.data(), value.data(), &slot, 1});
  }
};

// The rows of a step: consecutive rows of one sequence, each with the keys it sees.
struct Rows {
  std::vector<int32_t> sequence, begin, end;
  std::vector<std::pair<int64_t, int64_t>> visible;  // by sequence

  int64_t size() const { return static_cast<int64_t>(sequence.size()); }
  void add_causal(int64_t first_position, int64_t tokens, int64_t window) {
    visible.emplace_back(std::max<int64_t>(0, first_position - window + 1),
                         first_position + tokens);
    for (int64_t t = 0; t < tokens; ++t)
      add_row(std::max<int64_t>(0, first_position + t - window + 1), first_position + t + 1);
  }
  // Any intervals, as bidirectional blocks will make them.
  void add_random(Random& random, int64_t low, int64_t high, int64_t tokens) {
    visible.emplace_back(low, high);
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t from = random.between(low, high - 1);
      add_row(t == 0 ? low : from, t == 0 ? high : random.between(from + 1, high));
    }
  }

 private:
  void add_row(int64_t from, int64_t to) {
    sequence.push_back(static_cast<int32_t>(visible.size() - 1));
    begin.push_back(static_cast<int32_t>(from));
    end.push_back(static_cast<int32_t>(to));
  }
};

struct AttentionShape {
  int64_t kv_heads, group, dim, block_tokens;
};

kernels::AttentionArgs attention_args(float* out, const float* q, const Cache& cache,
                                      const Rows& rows, int64_t q_heads, int64_t first,
                                      int64_t count) {
  const int64_t row_size = q_heads * cache.layer.head_dim;
  return {out + first * row_size,
          q + first * row_size,
          cache.layer,
          rows.begin.data() + first,
          rows.end.data() + first,
          rows.sequence.data() + first,
          cache.table_offset.data(),
          cache.table_first.data(),
          cache.block_table.data(),
          count,
          q_heads};
}

// Scores err by γ(Dh)·Σ|q·k| <= γ(Dh)·max|q|·Dh, which scales every weight; then comes the sum over
// the keys. All of V is below 1.
Tolerance attention_tolerance(int64_t dim, int64_t keys, float largest_query) {
  const Tolerance scores = Tolerance::sum(dim);
  Tolerance tolerance = Tolerance::sum(keys, 16);
  tolerance.gamma += 2 * scores.gamma * static_cast<double>(dim) * largest_query;
  return tolerance;
}

void check_attention(const kernels::Table& table, const kernels::Table& reference,
                     kernels::Queue queue, const AttentionShape& shape, float largest_query) {
  Random random(static_cast<uint64_t>(shape.dim * 1000 + shape.group * 10 + shape.kv_heads));
  Rows rows;
  const int64_t b = shape.block_tokens;
  rows.add_causal(0, 7, 1 << 20);            // a prompt from its beginning
  rows.add_causal(2 * b - 1, 1, 1 << 20);    // decoding at the last slot of a block
  rows.add_causal(2 * b, 1, b);              // a window that begins exactly at a block
  rows.add_causal(3 * b - 2, 5, b / 2 + 1);  // a chunk across a block border, sliding
  rows.add_causal(5 * b + 3, 3, 1);          // a window of one: the token itself
  rows.add_random(random, b + 1, 3 * b - 1, 6);
  rows.add_causal(1300, 2, 1 << 20);  // so many keys that threads share them
  const int64_t q_heads = shape.kv_heads * shape.group;
  const Cache cache(table, queue, random, shape.kv_heads, shape.dim, b, rows.visible);
  const Cache same(reference, queue, random, shape.kv_heads, shape.dim, b, rows.visible);
  std::vector<float> q = floats(random, rows.size() * q_heads * shape.dim);
  for (float& x : q) x *= largest_query;
  const auto size = static_cast<int64_t>(q.size());
  Output out(size), expected(size), alone(size, 2);
  table.attention(queue,
                  attention_args(out.data(), q.data(), cache, rows, q_heads, 0, rows.size()));
  reference.attention(
      queue, attention_args(expected.data(), q.data(), same, rows, q_heads, 0, rows.size()));
  ASSERT_TRUE(all_near(out.values(), expected.values(),
                       attention_tolerance(shape.dim, 1302, largest_query),
                       [](size_t) { return 1.0; }));
  for (int64_t t = 0; t < rows.size(); ++t)
    table.attention(queue, attention_args(alone.data(), q.data(), cache, rows, q_heads, t, 1));
  expect_same_bits(alone.values(), out.values(), "rows alone and together");
}

TEST_P(ProductKernels, AttentionOfEveryShape) {
  for (const int64_t group : {1, 2, 8, 16})
    for (const int64_t dim : {32, 64, 80, 256, 512}) {
      SCOPED_TRACE(std::to_string(group) + " query heads per KV head of " + std::to_string(dim));
      const int64_t kv_heads = group == 16 ? 1 : 2;
      check_attention(table(), reference(), queue(), {kv_heads, group, dim, 16}, 0.3f);
      if (HasFatalFailure()) return;
    }
}

TEST_P(ProductKernels, AttentionWithBlocksOfEverySize) {
  for (const int64_t block_tokens : {4, 5, 64, 100}) {
    SCOPED_TRACE(block_tokens);
    check_attention(table(), reference(), queue(), {2, 2, 36, block_tokens}, 1.0f);
    if (HasFatalFailure()) return;
  }
}

TEST_P(ProductKernels, AttentionWithHugeScoresPicksTheBestKey) {
  Random random(23);
  Rows rows;
  rows.add_causal(70, 3, 1 << 20);
  const Cache cache(table(), queue(), random, 1, 64, 64, rows.visible);
  const Cache same(reference(), queue(), random, 1, 64, 64, rows.visible);
  std::vector<float> q = floats(random, 3 * 64);
  for (float& x : q) x *= 1e6f;  // exp would overflow without the running maximum
  Output out(3 * 64), expected(3 * 64);
  table().attention(queue(), attention_args(out.data(), q.data(), cache, rows, 1, 0, 3));
  reference().attention(queue(), attention_args(expected.data(), q.data(), same, rows, 1, 0, 3));
  EXPECT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(73, 16),
                       [](size_t) { return 1.0; }));
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

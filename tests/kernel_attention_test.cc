// Attention and the key/value cache of every kernel table, over caches of every type, against the
// definition. Tables store the same narrow numbers and widen them exactly, so one float32 tolerance
// serves all types; how far a type itself is from the floats it was given is another test.

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "tests/kernel_testing.h"

namespace gemma4::testing {
namespace {

class AttentionKernels : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(All, AttentionKernels, ::testing::ValuesIn(tables_under_test()),
                         table_name);

bool fits(DType dtype, int64_t dim) { return dim % info_of(dtype).block_elements == 0; }

// A cache with sequences in shuffled blocks, filled by the table that will read it. What no row may
// see has all bits set: NaN, or a scale that is.
struct Cache {
  const kernels::Table& kernels;
  kernels::Queue queue;
  std::vector<std::byte> k, v;
  kernels::KvLayer layer{};
  std::vector<int32_t> table_offset, table_first, block_table;

  // `shape`: heads, head_dim, block_tokens and the type
  Cache(const kernels::Table& kernel_table, kernels::Queue on, Random random,
        const kernels::KvLayer& shape, const std::vector<std::pair<int64_t, int64_t>>& visible)
      : kernels(kernel_table), queue(on), layer(shape) {
    const int64_t block_tokens = shape.block_tokens;
    int64_t blocks = 2;
    for (const auto& [begin, end] : visible)
      blocks += (end + block_tokens - 1) / block_tokens - begin / block_tokens;
    k.assign(static_cast<size_t>(blocks * shape.heads * shape.part_bytes()), std::byte{0xff});
    v = k;
    layer.k = k.data();
    layer.v = v.data();
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
  DType dtype;

  kernels::KvLayer layer() const { return {nullptr, nullptr, kv_heads, dim, block_tokens, dtype}; }
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
// the keys. No element of V is
// above 1.
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
  const Cache cache(table, queue, random, shape.layer(), rows.visible);
  const Cache same(reference, queue, random, shape.layer(), rows.visible);
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

TEST_P(AttentionKernels, EveryShape) {
  for (const int64_t group : {1, 2, 4, 8, 16})
    for (const int64_t dim : {32, 64, 80, 256, 512}) {
      SCOPED_TRACE(std::to_string(group) + " query heads per KV head of " + std::to_string(dim));
      const int64_t kv_heads = group == 16 ? 1 : 2;
      check_attention(table(), reference(), queue(), {kv_heads, group, dim, 16, DType::kF32}, 0.3f);
      if (HasFatalFailure()) return;
    }
}

TEST_P(AttentionKernels, EveryType) {
  for (const DType dtype : kernels::kKvTypes)
    for (const auto& [kv_heads, group, dim] :
         {std::array<int64_t, 3>{2, 1, 96}, {2, 4, 32}, {1, 8, 256}, {1, 2, 512}}) {
      SCOPED_TRACE(std::string(name_of(dtype)) + ", " + std::to_string(group) +
                   " query heads per KV head of " + std::to_string(dim));
      check_attention(table(), reference(), queue(), {kv_heads, group, dim, 16, dtype}, 0.3f);
      if (HasFatalFailure()) return;
    }
}

TEST_P(AttentionKernels, BlocksOfEverySize) {
  for (const DType dtype : kernels::kKvTypes)
    for (const int64_t dim : {32, 36})
      for (const int64_t block_tokens : {4, 5, 64, 100}) {
        if (!fits(dtype, dim)) continue;
        SCOPED_TRACE(std::string(name_of(dtype)) + ", " + std::to_string(block_tokens));
        check_attention(table(), reference(), queue(), {2, 2, dim, block_tokens, dtype}, 1.0f);
        if (HasFatalFailure()) return;
      }
}

TEST_P(AttentionKernels, HugeScoresPickTheBestKey) {
  Random random(23);
  Rows rows;
  rows.add_causal(70, 3, 1 << 20);
  for (const DType dtype : kernels::kKvTypes) {
    const kernels::KvLayer shape{nullptr, nullptr, 1, 64, 64, dtype};
    const Cache cache(table(), queue(), random, shape, rows.visible);
    const Cache same(reference(), queue(), random, shape, rows.visible);
    std::vector<float> q = floats(random, 3 * 64);
    for (float& x : q) x *= 1e6f;  // exp would overflow without the running maximum
    Output out(3 * 64), expected(3 * 64);
    table().attention(queue(), attention_args(out.data(), q.data(), cache, rows, 1, 0, 3));
    reference().attention(queue(), attention_args(expected.data(), q.data(), same, rows, 1, 0, 3));
    EXPECT_TRUE(all_near(out.values(), expected.values(), Tolerance::sum(73, 16), [](size_t) {
      return 1.0;
    })) << name_of(dtype);
  }
}

// How rows lie in a head's part of a block is between a table's store_kv and its attention, but the
// part holds the definition's bytes, and slots that were not written keep theirs.
TEST_P(AttentionKernels, StoringPutsEachRowInItsSlotAndNothingElsewhere) {
  constexpr int64_t kBlocks = 3, kBlockTokens = 8;
  Random random(6);
  for (const DType dtype : kernels::kKvTypes)
    for (const int64_t dim : {1, 32, 65, 96})
      for (const int64_t heads : {1, 2, 4}) {
        if (!fits(dtype, dim)) continue;
        kernels::KvLayer layer{nullptr, nullptr, heads, dim, kBlockTokens, dtype};
        const int64_t floats_of_all = kBlocks * heads * layer.part_bytes() / 4;
        Output k(floats_of_all, 0), v(floats_of_all, 0);
        Output k_expected(floats_of_all, 0), v_expected(floats_of_all, 0);
        for (Output* out : {&k, &v, &k_expected, &v_expected})
          std::memset(out->data(), 0xff, out->values().size_bytes());
        const std::vector<int32_t> slots = {23, 0, 7, 8, 15, 16, 1};
        const auto tokens = static_cast<int64_t>(slots.size());
        const std::vector<float> k_rows = floats(random, tokens * heads * dim);
        const std::vector<float> v_rows = floats(random, tokens * heads * dim);
        const auto store = [&](const kernels::Table& kernels, Output& to_k, Output& to_v) {
          layer.k = to_k.data();
          layer.v = to_v.data();
          kernels.store_kv(queue(), {layer, k_rows.data(), v_rows.data(), slots.data(), tokens});
        };
        store(table(), k, v);
        store(reference(), k_expected, v_expected);
        const auto sorted_part = [&](const Output& all, int64_t part) {
          const auto* begin = reinterpret_cast<const uint8_t*>(all.values().data());
          std::vector<uint8_t> bytes(begin + part * layer.part_bytes(),
                                     begin + (part + 1) * layer.part_bytes());
          std::sort(bytes.begin(), bytes.end());
          return bytes;
        };
        for (int64_t part = 0; part < kBlocks * heads; ++part) {
          SCOPED_TRACE(std::string(name_of(dtype)) + ", part " + std::to_string(part));
          ASSERT_EQ(sorted_part(k, part), sorted_part(k_expected, part));
          ASSERT_EQ(sorted_part(v, part), sorted_part(v_expected, part));
        }
      }
}

// Half a step of what may stand in for x in a row whose largest magnitude is `largest`.
double rounding(DType dtype, double x, double largest) {
  switch (dtype) {
    case DType::kF16:
      return std::max(0x1p-11 * std::abs(x), 0x1p-25);  // subnormals are 2^-24 apart
    case DType::kBF16:
      return std::max(0x1p-8 * std::abs(x), 0x1p-134);
    case DType::kQ8_0:  // the scale is an f16 too
      return 0.5 * (1 + 0x1p-11) * largest / 127 + 127 * 0x1p-25;
    default:
      return 0;
  }
}

// The weight of a row's only key is 1: its value comes out as it was stored.
TEST_P(AttentionKernels, StoredValuesAreAsNearAsTheirTypeAllows) {
  constexpr int64_t kDim = 96, kBlockTokens = 8, kTokens = 13;
  Random random(24);
  for (const DType dtype : kernels::kKvTypes)
    for (const float size : {1.0f, 1e-3f, 300.0f}) {
      const kernels::KvLayer shape{nullptr, nullptr, 1, kDim, kBlockTokens, dtype};
      Rows rows;
      rows.add_causal(0, kTokens, 1);
      const Cache cache(table(), queue(), random, shape, rows.visible);
      std::vector<float> v = floats(random, kTokens * kDim);
      for (float& x : v) x *= size;
      std::vector<int32_t> slots;
      for (int64_t p = 0; p < kTokens; ++p)
        slots.push_back(static_cast<int32_t>(
            cache.block_table[static_cast<size_t>(p / kBlockTokens)] * kBlockTokens +
            p % kBlockTokens));
      table().store_kv(queue(), {cache.layer, v.data(), v.data(), slots.data(), kTokens});
      const std::vector<float> q = floats(random, kTokens * kDim);
      Output out(kTokens * kDim);
      table().attention(queue(), attention_args(out.data(), q.data(), cache, rows, 1, 0, kTokens));
      for (size_t i = 0; i < v.size(); ++i) {
        const auto group = v.begin() + static_cast<int64_t>(i / 32 * 32);
        const auto [low, high] = std::minmax_element(group, group + 32);
        ASSERT_NEAR(out.values()[i], v[i], rounding(dtype, v[i], std::max(-*low, *high)))
            << name_of(dtype) << ", element " << i;
      }
    }
}

// With elements off by at most e: scores by Dh·max|q|·e =: s, so weights by the factor exp(2s), and
// the sum of values by e and that.
TEST_P(AttentionKernels, NarrowCachesAreNearFloats) {
  constexpr int64_t kDim = 64;
  constexpr float kLargestQuery = 0.02f;
  Random random(25);
  Rows rows;
  rows.add_causal(0, 6, 3);
  rows.add_causal(700, 2, 1 << 20);
  const int64_t count = rows.size();
  std::vector<float> q = floats(random, count * 2 * kDim);
  for (float& x : q) x *= kLargestQuery;
  const auto answer = [&](const kernels::Table& kernels, DType dtype) {
    const Cache cache(kernels, queue(), random, {nullptr, nullptr, 2, kDim, 16, dtype},
                      rows.visible);
    std::vector<float> out(q.size());
    kernels.attention(queue(), attention_args(out.data(), q.data(), cache, rows, 2, 0, count));
    return out;
  };
  const std::vector<float> exact = answer(reference(), DType::kF32);
  for (const DType dtype : kernels::kKvTypes) {
    const double element = rounding(dtype, 1, 1);
    const double bound = element + std::expm1(2 * kDim * kLargestQuery * element) +
                         attention_tolerance(kDim, 702, kLargestQuery).bound(1);
    const std::vector<float> out = answer(table(), dtype);
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(out[i], exact[i], bound) << name_of(dtype) << ", element " << i;
  }
}

}  // namespace
}  // namespace gemma4::testing

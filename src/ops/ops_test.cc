// Ops check their contract and die on our own bugs; outputs come from the arena; a dry run touches
// nothing.

#include "ops/ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/registry.h"

namespace gemma4::ops {
namespace {

class Ops : public ::testing::Test {
 protected:
  View floats(std::initializer_list<int64_t> shape) {
    int64_t size = 1;
    for (const int64_t dim : shape) size *= dim;
    storage_.emplace_back(static_cast<size_t>(size));
    std::iota(storage_.back().begin(), storage_.back().end(), 1.0f);
    return {storage_.back().data(), DType::kF32, shape};
  }
  Matrix matrix(int64_t rows, int64_t cols) {
    return {floats({rows, cols}).data, DType::kF32, rows, cols};
  }
  View ints(std::initializer_list<int64_t> shape) {
    static int32_t zeros[64] = {};
    return {zeros, DType::kI32, shape};
  }
  kernels::KvLayer cache(int64_t heads, int64_t dim) {
    return {floats({heads * 64 * dim}).f32(), floats({heads * 64 * dim}).f32(), heads, dim, 64};
  }

  ThreadPool pool_{1};
  Arena arena_{1 << 20};
  Context ctx_{.kernels = &kernels::reference_table(), .queue = {&pool_}, .arena = &arena_};

 private:
  std::vector<std::vector<float>> storage_;
};
using OpsDeathTest = Ops;

TEST_F(Ops, OutputsHaveTheShapesOfTheHeader) {
  const std::vector<int32_t> ids = {1, 0};
  EXPECT_EQ(embed(ctx_, matrix(3, 4), ids, 1).shape, (std::array<int64_t, 4>{2, 4}));
  EXPECT_EQ(linear(ctx_, floats({2, 3, 4}), {matrix(5, 12)}).shape, (std::array<int64_t, 4>{2, 5}));
  EXPECT_EQ(gather_rows(ctx_, floats({3, 2, 4}), ids).shape, (std::array<int64_t, 4>{2, 2, 4}));
  EXPECT_EQ(rms_norm(ctx_, floats({3, 2, 4}), {}).shape, (std::array<int64_t, 4>{3, 2, 4}));
  EXPECT_EQ(gated_linear(ctx_, floats({2, 5}), {matrix(4, 5)}, floats({2, 3, 4}), 2).shape,
            (std::array<int64_t, 4>{2, 4}));
  const Linear first{matrix(6, 4)}, third{matrix(2, 4)};
  const auto [q, k, v] = linear_group(ctx_, floats({3, 4}), {&first, nullptr, &third});
  EXPECT_EQ(q.shape, (std::array<int64_t, 4>{3, 6}));
  EXPECT_FALSE(k);
  EXPECT_EQ(v.shape, (std::array<int64_t, 4>{3, 2}));
}

TEST_F(Ops, GatedLinearTakesTheSliceOfTheLayer) {
  // Row t, layer l, element j of `per_layer` is 1 + 6t + 2l + j; the gate of a large x is x itself.
  const View x = floats({2, 1});
  x.f32()[0] = x.f32()[1] = 100;
  Matrix ones = matrix(2, 1);
  const std::vector<float> weight = {1, 1};
  ones.data = weight.data();
  const View out = gated_linear(ctx_, x, {ones}, floats({2, 3, 2}), 1);
  const float expected[] = {300, 400, 900, 1000};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(out.f32()[i], expected[i]);
}

TEST_F(Ops, AddNormedWritesOverItsTarget) {
  const View x = floats({2, 3});
  const View h = floats({2, 3});
  const View buffer = floats({2, 3});
  const Norm norm{.eps = 1e-6f};
  const NormedSum fresh = add_normed(ctx_, x, h, norm, {.scale = 0.5f, .next = &norm});
  const NormedSum over =
      add_normed(ctx_, x, h, norm, {.scale = 0.5f, .next = &norm, .target = {x, buffer}});
  EXPECT_EQ(over.sum.data, x.data);
  EXPECT_EQ(over.normed.data, buffer.data);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(x.f32()[i], fresh.sum.f32()[i]);
    EXPECT_EQ(buffer.f32()[i], fresh.normed.f32()[i]);
  }
  EXPECT_FALSE(add_normed(ctx_, x, h, norm).normed);
}

// The entries for several operations at once, and the operations one by one.
TEST_F(Ops, FusedEntriesGiveWhatTheirPartsGive) {
  kernels::Table parts = kernels::reference_table();
  parts.linear_group = nullptr;
  parts.gated_linear = nullptr;
  parts.prepare_heads = nullptr;
  parts.add_normed = nullptr;
  parts.add_branches = nullptr;
  Context composed = ctx_;
  composed.kernels = &parts;
  const auto same = [](View a, View b) {
    ASSERT_EQ(a.shape, b.shape);
    EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(a.size()) * 4), 0);
  };
  const View x = floats({2, 4});
  const Linear wide{matrix(8, 4)}, up{matrix(8, 4)};
  const auto group = linear_group(ctx_, x, {&wide, &up, nullptr});
  const auto one_by_one = linear_group(composed, x, {&wide, &up, nullptr});
  for (const size_t i : {size_t{0}, size_t{1}}) same(group[i], one_by_one[i]);
  same(gated_linear(ctx_, x, wide, up), gated_linear(composed, x, wide, up));
  const View per_layer = floats({2, 3, 8});
  same(gated_linear(ctx_, x, wide, per_layer, 1), gated_linear(composed, x, wide, per_layer, 1));
  const Norm norm{.weight = floats({4}).f32()};
  const NormedSum sum = add_normed(ctx_, x, floats({2, 4}), norm, {.scale = 3, .next = &norm});
  const NormedSum sum_of_parts =
      add_normed(composed, x, floats({2, 4}), norm, {.scale = 3, .next = &norm});
  same(sum.sum, sum_of_parts.sum);
  same(sum.normed, sum_of_parts.normed);
  const Branch one{floats({2, 4}), norm}, other{floats({2, 4}), {}};
  const AddNormed options{.scale = 3, .next = &norm, .further = {{{&norm, 0.3f}, {&norm}}}};
  const NormedSum branches = add_branches(ctx_, x, one, other, norm, options);
  const NormedSum branches_of_parts = add_branches(composed, x, one, other, norm, options);
  same(branches.sum, branches_of_parts.sum);
  same(branches.normed, branches_of_parts.normed);
  for (const size_t i : {size_t{0}, size_t{1}})
    same(branches.further[i], branches_of_parts.further[i]);

  const Rope rope{floats({2, 2}), floats({2, 2})};
  const std::vector<int32_t> slots = {5, 17};
  const kernels::KvLayer cached = cache(1, 4), cached_by_parts = cache(1, 4);
  const View q = floats({2, 8}), q_again = floats({2, 8}), k = floats({2, 4});
  same(prepare_heads(ctx_, q, k, k, norm, norm, rope, cached, slots),
       prepare_heads(composed, q_again, k, k, norm, norm, rope, cached_by_parts, slots));
  EXPECT_EQ(std::memcmp(cached.k, cached_by_parts.k, 64 * 4 * 4), 0);
  EXPECT_EQ(std::memcmp(cached.v, cached_by_parts.v, 64 * 4 * 4), 0);
  EXPECT_NE(static_cast<const float*>(cached.k)[5 * 4], 5 * 4 + 1) << "nothing was stored";
}

TEST_F(Ops, BestLogitsAreSortedAndEndWithNothing) {
  const View logits = floats({2, 5});
  const float values[] = {1, 3, NAN, 3, -2, 0, -0.0f, 7, 7, -INFINITY};
  std::copy(values, values + 10, logits.f32());
  const auto best = best_logits(ctx_, logits);
  ASSERT_EQ(static_cast<int64_t>(best.size()), 2 * kernels::BestLogitsArgs::kCount);
  const auto ids = [&](size_t first) {
    std::vector<int32_t> out;
    for (size_t i = first; i < first + 6; ++i) out.push_back(best[i].id);
    return out;
  };
  EXPECT_EQ(ids(0), (std::vector<int32_t>{1, 3, 0, 4, 2, -1}));
  EXPECT_EQ(ids(kernels::BestLogitsArgs::kCount), (std::vector<int32_t>{2, 3, 0, 1, 4, -1}));
  kernels::Table without = kernels::reference_table();
  without.best_logits = nullptr;
  Context other = ctx_;
  other.kernels = &without;
  EXPECT_TRUE(best_logits(other, logits).empty());
}

TEST_F(Ops, WeightsOfDifferentTypesAreNotGrouped) {
  const View x = floats({2, 4});
  std::vector<uint16_t> half(8 * 4, 0x3F80);  // ones
  const Linear wide{matrix(8, 4)};
  const Linear other{Matrix{half.data(), DType::kBF16, 8, 4}};
  const auto outs = linear_group(ctx_, x, {&wide, &other, nullptr});
  EXPECT_EQ(outs[1].f32()[0], 1 + 2 + 3 + 4);
  EXPECT_TRUE(gated_linear(ctx_, x, wide, other));
}

TEST_F(Ops, AProfileCountsCallsAndTheWeightsTheyRead) {
  Profile profile;
  Context timed = ctx_;
  timed.profile = &profile;
  const View x = floats({2, 4});
  linear(timed, x, {matrix(5, 4)});
  linear(timed, x, {matrix(3, 4)});
  scale(timed, x, 2, nullptr);
  ASSERT_EQ(profile.entries().size(), 2u);
  const Profile::Entry& products = profile.entries().find("linear")->second;
  EXPECT_EQ(products.calls, 2);
  EXPECT_EQ(products.weight_bytes, (5 + 3) * 4 * 4);
  EXPECT_GT(products.seconds, 0);
  EXPECT_EQ(profile.entries().find("scale")->second.weight_bytes, 0);
  // Two of four experts are met by one token, all of them by three.
  kernels::ExpertsArgs experts{.tokens = 1, .top_k = 2, .num_experts = 4};
  experts.gate_up = matrix(4 * 2 * 3, 4);
  experts.down = matrix(4 * 4, 3);
  EXPECT_EQ(weight_bytes(experts), (24 * 4 + 16 * 3) * 4 / 2);
  experts.tokens = 3;
  EXPECT_EQ(weight_bytes(experts), (24 * 4 + 16 * 3) * 4);
}

TEST_F(Ops, ADryRunTouchesNothingAndTellsNobody) {
  class Nobody : public Tape, public Probe {
    void record(std::string_view, const void*, size_t) override { ADD_FAILURE(); }
    void observe(std::string_view, int, const View&) override { ADD_FAILURE(); }
  } nobody;
  Arena measure = Arena::measuring();
  Context dry = ctx_;
  dry.arena = &measure;
  dry.kernels = nullptr;
  dry.tape = &nobody;
  dry.probe = &nobody;
  const std::vector<int32_t> ids(1000);
  const View x = embed(dry, matrix(3, 4), ids, 1);
  probe(dry, "x", 0, linear(dry, x, {matrix(5, 4)}));
  EXPECT_GE(measure.high_water_bytes(), 1000u * 9 * 4);
}

TEST_F(OpsDeathTest, WrongShapesAreBugs) {
  const std::vector<int32_t> two = {0, 0};
  const Rope rope{floats({2, 4}), floats({2, 4})};
  const Linear wide{matrix(5, 4)};
  EXPECT_DEATH(linear(ctx_, floats({2, 3}), {matrix(5, 4)}), "internal error");
  EXPECT_DEATH(linear(ctx_, ints({2, 4}), {matrix(5, 4)}), "internal error");
  const auto heads = [&](View q, View k, View v) {
    prepare_heads(ctx_, q, k, v, {}, {}, rope, cache(2, 8), two);
  };
  EXPECT_DEATH(heads(floats({3, 8}), {}, {}), "internal error");
  EXPECT_DEATH(heads(floats({2, 12}), {}, {}), "internal error");
  EXPECT_DEATH(heads(floats({2, 8}), floats({3, 16}), floats({2, 16})), "internal error");
  EXPECT_DEATH(heads(floats({2, 8}), floats({2, 16}), floats({2, 8})), "internal error");
  EXPECT_DEATH(prepare_heads(ctx_, floats({2, 8}), {}, {}, {}, {}, rope, cache(2, 4), two),
               "internal error");
  EXPECT_DEATH(attention(ctx_, floats({2, 4}), cache(1, 4), {}), "internal error");
  EXPECT_DEATH(attention(ctx_, floats({2, 3, 4}), cache(2, 4), {}), "internal error");
  EXPECT_DEATH(attention(ctx_, floats({2, 2, 8}), cache(2, 4), {}), "internal error");
  EXPECT_DEATH(linear_group(ctx_, floats({2, 3}), {&wide, nullptr, nullptr}), "internal error");
  EXPECT_DEATH(gated_linear(ctx_, floats({2, 4}), wide, {matrix(6, 4)}), "internal error");
  EXPECT_DEATH(gated_linear(ctx_, floats({2, 4}), wide, floats({2, 3, 5}), 3), "internal error");
  EXPECT_DEATH(gated_linear(ctx_, floats({2, 4}), wide, floats({3, 3, 5}), 0), "internal error");
  EXPECT_DEATH(gated_linear(ctx_, floats({2, 4}), wide, floats({2, 3, 4}), 0), "internal error");
  EXPECT_DEATH(add_normed(ctx_, floats({2, 4}), floats({2, 5}), {}), "internal error");
  EXPECT_DEATH(add(ctx_, floats({2, 4}), floats({2, 5})), "internal error");
  EXPECT_DEATH(route(ctx_, floats({2, 4}), nullptr, 5), "internal error");
  EXPECT_DEATH(combine_per_layer(ctx_, floats({2, 3, 4}), two, matrix(3, 12), 1, {}, 1, 1),
               "internal error");
  EXPECT_DEATH(combine_per_layer(ctx_, floats({3, 3, 4}), two, matrix(3, 12), 0, {}, 1, 1),
               "internal error");
  const Routing routing{ints({2, 1}), floats({2, 1})};
  EXPECT_DEATH(experts(ctx_, floats({2, 4}), routing, matrix(12, 4), matrix(8, 2), 3),
               "internal error");
  EXPECT_DEATH(experts(ctx_, floats({2, 4}), routing, matrix(10, 4), matrix(12, 2), 3),
               "internal error");
}

}  // namespace
}  // namespace gemma4::ops

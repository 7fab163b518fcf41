// Ops check their contract and die on our own bugs; outputs come from the arena; a dry run touches
// nothing.

#include "ops/ops.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(gate_per_layer(ctx_, floats({2, 4}), floats({2, 3, 4}), 2).shape,
            (std::array<int64_t, 4>{2, 4}));
}

TEST_F(Ops, GatePerLayerTakesTheSliceOfTheLayer) {
  const View gate = floats({2, 2});
  const View per_layer = floats({2, 3, 2});  // row t, layer l, element j is 1 + 6t + 2l + j
  const View out = gate_per_layer(ctx_, gate, per_layer, 1);
  const View up = floats({2, 2});
  const float expected[] = {3, 4, 9, 10};
  std::copy(expected, expected + 4, up.f32());
  const View same = gated_gelu(ctx_, gate, up);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(out.f32()[i], same.f32()[i]);
}

TEST_F(Ops, AssignCopiesOverTheTarget) {
  const View target = floats({2, 3});
  const View x = add(ctx_, target, target, 0.5f);
  x.f32()[4] = 77;
  assign(ctx_, target, x);
  EXPECT_EQ(target.f32()[4], 77);
  EXPECT_EQ(target.f32()[0], 1);
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
  EXPECT_DEATH(linear(ctx_, floats({2, 3}), {matrix(5, 4)}), "internal error");
  EXPECT_DEATH(linear(ctx_, ints({2, 4}), {matrix(5, 4)}), "internal error");
  EXPECT_DEATH(apply_rope(ctx_, floats({2, 8}), rope), "internal error");
  EXPECT_DEATH(apply_rope(ctx_, floats({3, 1, 8}), rope), "internal error");
  EXPECT_DEATH(apply_rope(ctx_, floats({2, 1, 6}), rope), "internal error");
  EXPECT_DEATH(store_kv(ctx_, cache(1, 4), floats({3, 1, 4}), floats({2, 1, 4}), two),
               "internal error");
  EXPECT_DEATH(store_kv(ctx_, cache(2, 4), floats({2, 1, 4}), floats({2, 2, 4}), two),
               "internal error");
  EXPECT_DEATH(attention(ctx_, floats({2, 4}), cache(1, 4), {}), "internal error");
  EXPECT_DEATH(attention(ctx_, floats({2, 3, 4}), cache(2, 4), {}), "internal error");
  EXPECT_DEATH(attention(ctx_, floats({2, 2, 8}), cache(2, 4), {}), "internal error");
  EXPECT_DEATH(gated_gelu(ctx_, floats({2, 4}), floats({2, 5})), "internal error");
  EXPECT_DEATH(gate_per_layer(ctx_, floats({2, 4}), floats({2, 3, 4}), 3), "internal error");
  EXPECT_DEATH(gate_per_layer(ctx_, floats({2, 4}), floats({3, 3, 4}), 0), "internal error");
  EXPECT_DEATH(gate_per_layer(ctx_, floats({2, 4}), floats({2, 3, 5}), 0), "internal error");
  EXPECT_DEATH(add(ctx_, floats({2, 4}), floats({2, 5})), "internal error");
  EXPECT_DEATH(assign(ctx_, floats({2, 4}), floats({2, 5})), "internal error");
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

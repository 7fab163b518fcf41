// Numbers computed from the formula by another program (Python integers, no shared code).

#include "model/formula_weights.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace gemma4::model {
namespace {

constexpr std::string_view kEmbedding = "model.language_model.embed_tokens.weight";

TEST(FormulaWeights, HashIsFnv1a) {
  EXPECT_EQ(fnv1a_64(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a_64("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(fnv1a_64(kEmbedding), 0xddb796cdcc616f74u);
  EXPECT_NE(fnv1a_64("\xff"), fnv1a_64("\x7f"));  // bytes, not signed characters
}

TEST(FormulaWeights, UnitValuesAreTheFormulas) {
  const uint64_t hash = fnv1a_64(kEmbedding);
  const auto unit = [&](uint64_t index) { return static_cast<double>(formula_unit(hash, index)); };
  const double published[] = {-0.25653815, 0.99624455, 0.98421297};  // vision.md, section 19
  for (uint64_t i = 0; i < 3; ++i)
    EXPECT_NEAR(static_cast<double>(formula_unit(fnv1a_64("a"), i)), published[i], 6e-8) << i;
  EXPECT_EQ(unit(0), 86561 / 8388608.0 - 1);
  EXPECT_EQ(unit(1), 16641861 / 8388608.0 - 1);
  EXPECT_EQ(unit(402653183), 6953748 / 8388608.0 - 1);   // the last element of E2B's table
  EXPECT_EQ(unit(8589934592), 8563259 / 8388608.0 - 1);  // beyond 32 bits
}

void expect_bf16(std::string_view name, const std::vector<int64_t>& shape, uint64_t index,
                 uint16_t expected) {
  uint16_t value = 0;
  formula_bf16(name, shape, index, {&value, 1});
  EXPECT_EQ(value, expected) << name << " " << index;
}

TEST(FormulaWeights, Bf16ValuesAreTheFormulas) {
  expect_bf16(kEmbedding, {262144, 1536}, 0, 0xbd33);
  expect_bf16(kEmbedding, {262144, 1536}, 1, 0x3d32);
  expect_bf16(kEmbedding, {262144, 1536}, 2, 0xbc58);
  expect_bf16(kEmbedding, {262144, 1536}, 402653183, 0xbbf8);
  expect_bf16("model.language_model.layers.3.layer_scalar", {1}, 0, 0x3f36);
  expect_bf16("model.language_model.layers.0.self_attn.q_norm.weight", {256}, 0, 0x3f7b);
  expect_bf16("model.language_model.layers.0.self_attn.q_norm.weight", {256}, 255, 0x3f68);
}

TEST(FormulaWeights, OffsetAndScaleGoByTheKindOfTensor) {
  const auto expect = [](std::string_view name, std::vector<int64_t> shape, float offset,
                         float scale) {
    const auto found = formula_offset_scale(name, shape);
    EXPECT_FLOAT_EQ(found.offset, offset) << name;
    EXPECT_FLOAT_EQ(found.scale, scale) << name;
  };
  expect("a.input_min", {}, -8, 1);
  expect("a.output_max", {}, 8, 1);
  expect("layers.0.layer_scalar", {1}, 0.85f, 0.25f);
  expect("layers.0.router.scale", {64}, 1, 0.5f);
  expect("layers.0.router.per_expert_scale", {8}, 1, 0.5f);
  expect("vision.std_scale", {8}, 1, 0.5f);
  expect("audio.per_dim_scale", {8}, 0, 0.5f);
  expect("output_proj.bias", {8}, 0, 0.5f);
  expect("patch_embedder.position_embedding_table", {2, 10, 8}, 0, 0.5f);
  expect("layers.0.input_layernorm.weight", {96}, 1, 0.2f);
  expect("pos_norm.bias", {96}, 0, 0.5f);
  expect("q_proj.weight", {64, 48}, 0, std::sqrt(3.0f / 48));
  expect("experts.down_proj", {4, 32, 12}, 0, std::sqrt(3.0f / 12));
  expect("layer0.conv.weight", {32, 4, 3, 3}, 0, std::sqrt(3.0f / 36));
  expect("depthwise_conv1d.weight", {32, 1, 5}, 0, std::sqrt(3.0f / 5));
}

TEST(FormulaWeights, PiecesJoinSeamlessly) {
  std::array<uint16_t, 100> whole{}, pieces{};
  const std::vector<int64_t> shape = {10, 10};
  formula_bf16("x.weight", shape, 0, whole);
  for (size_t begin = 0; begin < 100; begin += 7)
    formula_bf16("x.weight", shape, begin,
                 std::span(pieces).subspan(begin, std::min<size_t>(7, 100 - begin)));
  EXPECT_EQ(whole, pieces);
}

}  // namespace
}  // namespace gemma4::model

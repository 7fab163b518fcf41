// The worked examples of the specification, with its own numbers: rotary embedding in two axes, the
// tower on a picture of 9 x 6 patches, and the layout without an encoder. They were made in double
// precision.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/registry.h"
#include "media/image_processor.h"
#include "model/formula_weights.h"
#include "model/model.h"
#include "model/vision_tensors.h"
#include "model/vision_tower.h"
#include "tests/kernel_testing.h"
#include "tests/tiny_models.h"
#include "tests/tower_testing.h"

namespace gemma4::testing {
namespace {

constexpr double kNear = 3e-5;       // float32 against double precision, of one number
constexpr double kNearOfSum = 5e-6;  // of a sum of magnitudes, relative

// v(y, x, c) = (37 x + 101 y + 59 c + 13) mod 256
media::Image pattern(int64_t width, int64_t height) {
  media::Image image{width, height, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        image.rgb.push_back(static_cast<uint8_t>((37 * x + 101 * y + 59 * c + 13) % 256));
  return image;
}

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::ranges::any_of(ends, [&](std::string_view end) { return name.ends_with(end); });
}

model::OffsetScale example_weights(std::string_view name, const std::vector<int64_t>& shape) {
  if (ends_with_any(name, {"input_min", "output_min"})) return {-1.5f, 0.5f};
  if (ends_with_any(name, {"input_max", "output_max"})) return {1.5f, 0.5f};
  if (name.ends_with("std_scale")) return {1, 0.5f};
  if (ends_with_any(name, {"std_bias", ".bias", "position_embedding_table", "pos_embedding"}))
    return {0, 0.5f};
  if (shape.size() == 1) return {1, 0.2f};  // norms
  return {0, std::sqrt(3.0f / static_cast<float>(shape.back()))};
}

io::TensorStore example_store(const std::vector<model::TensorEntry>& entries) {
  std::vector<std::vector<std::byte>> copies;
  io::TensorMap tensors;
  for (const model::TensorEntry& entry : entries) {
    const auto [offset, scale] = example_weights(entry.name, entry.shape);
    const uint64_t hash = model::fnv1a_64(entry.name);
    std::vector<float> values;
    for (int64_t i = 0; i < num_elements(entry.shape); ++i)
      values.push_back(offset + scale * model::formula_unit(hash, static_cast<uint64_t>(i)));
    const auto bytes = std::as_bytes(std::span(values));
    copies.emplace_back(bytes.begin(), bytes.end());
    tensors[entry.name] = {DType::kF32, entry.shape, copies.back()};
  }
  return io::TensorStore("examples", {}, std::move(copies), std::move(tensors));
}

class VisionExamples : public ::testing::TestWithParam<kernels::Table> {
 protected:
  // What the tower of such a model shows of P(144, 96), taken as resized already.
  std::map<std::string, std::vector<float>> observe(const model::Config& config) {
    model::VisionWeights weights;
    const io::TensorStore store = example_store(model::vision_tensors(config, weights));
    const auto device = kernels::make_cpu_device(GetParam(), {.num_threads = 2});
    const auto tower = model::VisionTower::create(config, store, device);
    EXPECT_TRUE(tower.ok()) << tower.error().message;
    const int64_t side = tower.value().patch_side();
    const std::vector<float> pixels = media::cut_patches(pattern(144, 96), side);
    const model::VisionInput input{pixels, {144 / side, 96 / side}};
    Observed observed;
    EXPECT_TRUE(tower.value().encode({&input, 1}, &observed).ok());
    return observed.values;
  }
};
INSTANTIATE_TEST_SUITE_P(All, VisionExamples, ::testing::ValuesIn(tables_under_test()), table_name);

void expect_row(const std::vector<float>& values, int64_t width, int64_t row,
                const std::vector<double>& expected) {
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(values.at(static_cast<size_t>(row * width) + i), expected[i], kNear)
        << "row " << row << ", element " << i;
}

void expect_sum(const std::vector<float>& values, double expected) {
  double sum = 0;
  for (const float value : values) sum += std::abs(static_cast<double>(value));
  EXPECT_NEAR(sum, expected, kNearOfSum * expected);
}

// D 24, two heads of 12, I 40, two layers, a table of 16 positions, text of 20
model::Config example_config(bool clipped) {
  model::Config config = load_tiny("tiny-e")->config();
  config.text.hidden_size = 20;
  config.vision->hidden_size = 24;
  config.vision->intermediate_size = 40;
  config.vision->num_hidden_layers = 2;
  config.vision->num_attention_heads = 2;
  config.vision->head_dim = 12;
  config.vision->position_embedding_size = 16;
  config.vision->use_clipped_linears = clipped;
  config.vision->standardize = !clipped;
  return config;
}

TEST_P(VisionExamples, TheTowerWithClippedLinears) {
  auto values = observe(example_config(true));
  expect_row(values["vision.embedded"], 24, 0, {-0.011520, -1.008369, -0.155761, -0.080604});
  expect_row(values["vision.embedded"], 24, 53, {0.291307, -0.986270, -1.127020, 0.309668});
  expect_sum(values["vision.embedded"], 758.94105);
  expect_row(values["vision.layer.0"], 24, 0, {-0.180883, 0.494579, 2.260774, -0.104184});
  expect_row(values["vision.layer.0"], 24, 53, {-1.009494, -1.000852, -0.956828, 2.729764});
  expect_sum(values["vision.layer.0"], 1659.04115);
  expect_row(values["vision.layer.1"], 24, 0, {-0.742442, 2.614514, 1.089759, -0.358268});
  expect_sum(values["vision.layer.1"], 2263.59637);
  expect_row(values["vision.tower"], 24, 0, {-3.723826, 1.434114, -0.316409, -0.372014});
  expect_row(values["vision.tower"], 24, 5, {-0.846610, -0.173931, -4.820052, 1.705189});
  expect_sum(values["vision.tower"], 577.56672);
  expect_row(values["vision.soft"], 20, 0, {-1.136849, 0.420109, -0.212476, 0.079626});
  expect_row(values["vision.soft"], 20, 1, {-0.670424, 0.079512, -0.014496, 0.099375});
  expect_row(values["vision.soft"], 20, 5, {-1.142360, -0.010119, -0.424027, -0.887352});
  expect_sum(values["vision.soft"], 106.94555);
}

TEST_P(VisionExamples, TheTowerThatIsStandardised) {
  auto values = observe(example_config(false));
  expect_row(values["vision.layer.0"], 24, 0, {0.219127, -0.610593, 3.210810, -1.204465});
  expect_row(values["vision.layer.0"], 24, 53, {1.095896, -1.513800, -1.915693, 0.874958});
  expect_sum(values["vision.layer.0"], 1631.33684);
  expect_row(values["vision.layer.1"], 24, 0, {-0.098813, 0.021792, 1.945517, -1.494029});
  expect_sum(values["vision.layer.1"], 2301.50265);
  expect_row(values["vision.tower"], 24, 0, {-0.135245, -1.494212, 1.393122, 3.439302});
  expect_row(values["vision.tower"], 24, 5, {-0.558001, -3.202176, -3.906899, -0.928779});
  expect_sum(values["vision.tower"], 555.24405);
  expect_row(values["vision.soft"], 20, 0, {-0.932059, 0.053897, -1.779363, -0.424368});
  expect_row(values["vision.soft"], 20, 1, {-1.587138, -0.154655, -1.527821, 0.199953});
  expect_row(values["vision.soft"], 20, 5, {-0.882394, 0.194980, -1.265149, 0.125992});
  expect_sum(values["vision.soft"], 100.82953);
}

TEST_P(VisionExamples, SquaresWithoutAnEncoder) {
  model::Config config = load_tiny("tiny-12b")->config();
  config.text.hidden_size = 20;
  config.vision->mm_embed_dim = 24;
  config.vision->mm_posemb_size = 8;
  auto values = observe(config);
  expect_row(values["vision.tower"], 24, 0, {0.054645, 0.106839, -0.686533, -0.111604});
  expect_row(values["vision.tower"], 24, 1, {-0.714290, -1.315774, -0.169218, 0.357288});
  expect_row(values["vision.tower"], 24, 5, {0.277263, -0.337775, -1.556227, 0.192610});
  expect_sum(values["vision.tower"], 112.65093);
  expect_row(values["vision.soft"], 20, 0, {1.881586, -1.430711, -0.341288, -1.508274});
  expect_row(values["vision.soft"], 20, 1, {1.851458, -1.035034, -0.035777, -1.262579});
  expect_row(values["vision.soft"], 20, 5, {0.762127, -1.139341, -0.564834, -0.640163});
  expect_sum(values["vision.soft"], 105.76519);
}

// v[i] = (i + 1) / Dh at column 5 of row 2
TEST_P(VisionExamples, RotationInTwoAxes) {
  struct Example {
    int64_t head_dim;
    std::map<size_t, double> elements;
    double sum;
  };
  const Example examples[] = {{64,
                               {{0, 0.2591465},
                                {1, 0.1349776},
                                {15, 0.2161312},
                                {16, 0.0603646},
                                {31, 0.5155457},
                                {32, -0.9107566},
                                {33, -0.7415900},
                                {48, 0.1502441},
                                {63, 1.0196448}},
                               21.797958},
                              {72,
                               {{0, 0.2569892},
                                {1, 0.1644804},
                                {17, 0.2172126},
                                {18, 0.0615369},
                                {35, 0.5150910},
                                {36, -0.9084554},
                                {37, -0.7658328},
                                {54, 0.1493879},
                                {71, 1.0190375}},
                               24.635900}};
  ThreadPool pool(1);
  for (const Example& example : examples) {
    const int64_t quarter = example.head_dim / 4;
    std::vector<float> frequencies, x;
    for (int64_t j = 0; j < quarter; ++j)
      frequencies.push_back(std::pow(100.0f, -static_cast<float>(j) / static_cast<float>(quarter)));
    for (int64_t i = 0; i < example.head_dim; ++i)
      x.push_back(static_cast<float>(i + 1) / static_cast<float>(example.head_dim));
    std::vector<float> cos(static_cast<size_t>(2 * quarter)), sin(cos.size());
    const int32_t positions[] = {5, 2};
    GetParam().rope_table({.pool = &pool},
                          {cos.data(), sin.data(), positions, frequencies.data(), 2, quarter});
    GetParam().rope_axes({.pool = &pool}, {x.data(), cos.data(), sin.data(), 1, 1, 2, quarter});
    double sum = 0;
    for (const float value : x) sum += value;
    EXPECT_NEAR(sum, example.sum, 1e-5);
    for (const auto& [i, value] : example.elements) EXPECT_NEAR(x[i], value, 1e-6) << i;
  }
}

}  // namespace
}  // namespace gemma4::testing

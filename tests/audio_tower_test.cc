// The audio tower against the numbers of audio.md, section 13, and multimodal-prompt.md, section
// 9.4, on every kernel table.

#include "model/audio_tower.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/registry.h"
#include "model/audio_tensors.h"
#include "tests/kernel_testing.h"
#include "tests/tower_testing.h"

namespace gemma4::testing {
namespace {

using model::AudioTower;

// offset + scale · the formula's number, as float32
std::vector<float> formula(const std::string& name, size_t count, float offset, float scale) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i)
    out[i] = offset + scale * model::formula_unit(model::fnv1a_64(name), i);
  return out;
}

model::OffsetScale rule_of(const model::TensorEntry& entry) {
  if (entry.name.ends_with("_min")) return {-1.5f, 0.5f};
  if (entry.name.ends_with("_max")) return {1.5f, 0.5f};
  return model::formula_offset_scale(entry.name, entry.shape);
}

io::TensorStore published_store(const model::Config& config) {
  model::AudioWeights weights;
  std::vector<std::vector<std::byte>> copies;
  io::TensorMap tensors;
  for (const model::TensorEntry& entry : model::audio_tensors(config, weights)) {
    io::Tensor tensor{DType::kF32, entry.shape, {}};
    const auto [offset, scale] = rule_of(entry);
    const std::vector<float> values =
        formula(entry.name, static_cast<size_t>(num_elements(entry.shape)), offset, scale);
    const auto bytes = std::as_bytes(std::span(values));
    copies.emplace_back(bytes.begin(), bytes.end());
    tensor.bytes = copies.back();
    tensors[entry.name] = tensor;
  }
  return io::TensorStore("formula", {}, std::move(copies), std::move(tensors));
}

model::Config small_config() {
  model::Config config;
  config.text.hidden_size = 20;
  config.audio = {.hidden_size = 32,
                  .num_hidden_layers = 2,
                  .num_attention_heads = 2,
                  .conv_kernel_size = 5,
                  .subsampling_conv_channels = {16, 8},
                  .output_proj_dims = 24,
                  .mel_bands = 16};
  return config;
}

void expect_row(const std::vector<float>& values, size_t row, size_t width,
                const std::array<double, 4>& published, const std::string& what) {
  for (size_t i = 0; i < published.size(); ++i)
    EXPECT_NEAR(values.at(row * width + i), published[i], 2e-5) << what << " row " << row;
}

double sum_of_magnitudes(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += std::abs(value);
  return sum;
}

class AudioTowerOnTables : public ::testing::TestWithParam<kernels::Table> {
 protected:
  std::shared_ptr<kernels::Device> device_ =
      kernels::make_cpu_device(GetParam(), {.num_threads = 2});
};
INSTANTIATE_TEST_SUITE_P(All, AudioTowerOnTables, ::testing::ValuesIn(tables_under_test()),
                         table_name);

TEST_P(AudioTowerOnTables, HasThePublishedNumbers) {
  const model::Config config = small_config();
  const io::TensorStore store = published_store(config);
  const auto tower = AudioTower::create(config, store, device_);
  ASSERT_TRUE(tower.ok()) << tower.error().message;
  const std::vector<float> input = formula("input_features", 121 * 16, -2, 3);
  Observed observed;
  const auto soft = tower.value().encode(input, &observed);
  ASSERT_TRUE(soft.ok()) << soft.error().message;
  ASSERT_EQ(soft.value().size(), 31u * 20u);
  ASSERT_EQ(tower.value().num_tokens(121), 31);

  const auto& subsampled = observed.values.at("audio.subsampled");
  expect_row(subsampled, 0, 32, {0.385979, 1.446601, 1.170877, -0.749234}, "front end");
  expect_row(subsampled, 30, 32, {0.920251, 1.270743, 2.051337, -0.675803}, "front end");
  EXPECT_NEAR(sum_of_magnitudes(subsampled), 659.89092, 2e-3);
  const auto& first = observed.values.at("audio.layer.0");
  expect_row(first, 0, 32, {1.110534, -1.567831, 0.374187, -0.912289}, "layer 0");
  expect_row(first, 30, 32, {1.150220, -0.058951, 1.149370, -1.444531}, "layer 0");
  EXPECT_NEAR(sum_of_magnitudes(first), 864.19319, 2e-3);
  const auto& second = observed.values.at("audio.layer.1");
  expect_row(second, 0, 32, {0.144249, 1.434082, 1.518828, 0.750265}, "layer 1");
  expect_row(second, 30, 32, {0.631448, 1.892231, 2.590136, 0.769844}, "layer 1");
  EXPECT_NEAR(sum_of_magnitudes(second), 776.63358, 2e-3);
  const auto& tower_out = observed.values.at("audio.tower");
  expect_row(tower_out, 0, 24, {-1.967236, 1.005895, -0.762094, -0.871071}, "tower");
  expect_row(tower_out, 30, 24, {-2.465916, -0.313613, 0.279755, -0.637874}, "tower");
  EXPECT_NEAR(sum_of_magnitudes(tower_out), 648.24890, 2e-3);
  expect_row(soft.value(), 0, 20, {0.153119, 0.121949, -1.302248, 1.499443}, "soft");
  expect_row(soft.value(), 12, 20, {-0.158830, 0.160616, -0.770200, 1.188110}, "soft");
  expect_row(soft.value(), 30, 20, {0.025901, 0.045477, -1.188043, 0.922007}, "soft");
  EXPECT_NEAR(sum_of_magnitudes(soft.value()), 490.64746, 2e-3);
}

TEST_P(AudioTowerOnTables, HasThePublishedNumbersWithoutAnEncoder) {
  model::Config config;
  config.text.hidden_size = 20;
  config.audio.emplace().unified = true;
  const io::TensorStore store = published_store(config);
  const auto tower = AudioTower::create(config, store, device_);
  ASSERT_TRUE(tower.ok()) << tower.error().message;
  std::vector<float> samples = formula("wave", 1500, 0, 0.1f);
  samples.resize(3 * 640);
  const auto soft = tower.value().encode(samples);
  ASSERT_TRUE(soft.ok()) << soft.error().message;
  expect_row(soft.value(), 0, 20, {-1.466578, -1.062303, 0.081788, 1.017937}, "soft");
  expect_row(soft.value(), 2, 20, {-0.226209, -1.023165, 0.604064, -0.153482}, "soft");
  EXPECT_NEAR(sum_of_magnitudes(soft.value()), 43.20310, 2e-3);

  const auto silence = tower.value().encode(std::vector<float>(640));
  for (const float value : silence.value()) EXPECT_EQ(value, 0.0f);
}

// A layer sees 12 rows back, the front end one frame ahead: what comes later changes nothing.
TEST_P(AudioTowerOnTables, LaterSoundDoesNotChangeEarlierTokens) {
  const model::Config config = small_config();
  const io::TensorStore store = published_store(config);
  const AudioTower tower = AudioTower::create(config, store, device_).value();
  const std::vector<float> all = formula("input_features", 121 * 16, -2, 3);
  const std::vector<float> whole = tower.encode(all).value();
  for (const int64_t frames : {1, 2, 3, 4, 5, 60, 100}) {
    const std::span<const float> part = std::span(all).first(static_cast<size_t>(frames * 16));
    const std::vector<float> soft = tower.encode(part).value();
    ASSERT_EQ(soft.size(), static_cast<size_t>(tower.num_tokens(frames) * 20));
    // Token t reads frames up to 4t + 3.
    const auto same = static_cast<size_t>(frames / 4 * 20);
    for (size_t i = 0; i < same; ++i) ASSERT_EQ(soft[i], whole[i]) << frames;
  }
}

TEST(AudioTower, NamesWhatIsMissing) {
  const auto device = kernels::make_cpu_device(kernels::reference_table(), {.num_threads = 1});
  model::Config config = small_config();
  const auto missing = AudioTower::create(config, io::TensorStore(), device);
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("layer0.conv.weight"), std::string::npos);
  const io::TensorStore store = published_store(config);
  config.audio->mel_bands = 32;
  const auto misshapen = AudioTower::create(config, store, device);
  ASSERT_FALSE(misshapen.ok());
  EXPECT_NE(misshapen.error().message.find("input_proj_linear"), std::string::npos);
  config.audio.reset();
  const auto deaf = AudioTower::create(config, store, device);
  ASSERT_FALSE(deaf.ok());
  EXPECT_EQ(deaf.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace gemma4::testing

// The audio keys of the goldens, on every kernel table: the numbers of the reference
// implementation.

#include <gtest/gtest.h>

#include <cstdlib>

#include "kernels/registry.h"
#include "media/log_mel.h"
#include "model/audio_tensors.h"
#include "model/audio_tower.h"
#include "model/model.h"
#include "tests/card_staging.h"
#include "tests/tower_testing.h"

namespace gemma4::testing {
namespace {

const std::string kGolden = std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/";

// What the reference heard: the features of a sound, without those of its padding.
std::vector<float> golden_features(const std::string& sound) {
  const auto store = io::TensorStore::open(kGolden + "audio/features.safetensors").value();
  std::vector<float> features = io::read_floats(*store.find(sound + ".input_features")).value();
  const auto mask = io::read_integers(*store.find(sound + ".mask")).value();
  const auto valid = std::count(mask.begin(), mask.end(), 1);
  features.resize(static_cast<size_t>(valid * media::kMelBands));
  return features;
}

class GoldenAudio : public ::testing::TestWithParam<kernels::Table> {
 protected:
  std::shared_ptr<kernels::Device> device_ = device_with(GetParam());
};
INSTANTIATE_TEST_SUITE_P(All, GoldenAudio, ::testing::ValuesIn(tables_and_card_under_test()),
                         table_name);

TEST_P(GoldenAudio, TheTinyTowerAgrees) {
  const auto model = model::Model::load(kGolden + "tiny-e");
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto golden = io::TensorStore::open(kGolden + "tiny-e/golden.safetensors").value();
  const auto tower =
      model::AudioTower::create(model.value().config(), model.value().store(), device_);
  ASSERT_TRUE(tower.ok()) << tower.error().message;
  Observed observed;
  const auto soft = tower.value().encode(golden_features("sound1"), &observed);
  ASSERT_TRUE(soft.ok()) << soft.error().message;
  const double tower_error =
      relative_error(observed.values.at("audio.tower"), *golden.find("audio.tower"));
  const double soft_error = relative_error(soft.value(), *golden.find("audio.soft"));
  printf("audio.tower %.1e, audio.soft %.1e\n", tower_error, soft_error);
  // A float32 tower of two layers; the bar for goldens is 1e-3.
  EXPECT_LE(tower_error, 1e-5);
  EXPECT_LE(soft_error, 1e-5);
  for (const int64_t set : io::read_integers(*golden.find("audio.mask")).value()) EXPECT_EQ(set, 1);
}

// At its real size, with weights by the formula.
TEST(GoldenAudioFullSize, TheTowerOfE2bAgrees) {
  const char* folder = std::getenv("GEMMA4_GOLDENS");
  if (folder == nullptr)
    GTEST_SKIP() << "GEMMA4_GOLDENS does not name the folder with full-size/e2b-towers.safetensors";
  const auto golden =
      io::TensorStore::open(std::string(folder) + "/full-size/e2b-towers.safetensors");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const auto config =
      model::parse_config(io::read_file(kGolden + "spec/configs/e2b.json").value()).value();
  const auto device = kernels::open_cpu_device({}).value();
  model::AudioWeights weights;
  const io::TensorStore store =
      formula_store(model::audio_tensors(config, weights), *device->queue().pool);
  const auto tower = model::AudioTower::create(config, store, device);
  ASSERT_TRUE(tower.ok()) << tower.error().message;
  Observed observed;
  const auto soft = tower.value().encode(golden_features("sound1"), &observed);
  ASSERT_TRUE(soft.ok()) << soft.error().message;
  const double tower_error =
      relative_error(observed.values.at("audio.tower"), *golden.value().find("audio.tower"));
  const double soft_error = relative_error(soft.value(), *golden.value().find("audio.soft"));
  printf("audio.tower %.1e, audio.soft %.1e\n", tower_error, soft_error);
  EXPECT_LE(tower_error, 1e-3);
  EXPECT_LE(soft_error, 1e-3);
}

}  // namespace
}  // namespace gemma4::testing

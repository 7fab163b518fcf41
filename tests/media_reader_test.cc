// Media through the towers: what shares a pass gets the same soft tokens, bit by bit, as what is
// encoded alone, and frames with alpha are what each model takes them for.

#include "answer/media_reader.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "apps/model_source.h"
#include "base/splitmix.h"
#include "kernels/registry.h"
#include "media/image.h"
#include "model/formula_weights.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4::answer {
namespace {

class MediaReading : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!media::decodes_images()) GTEST_SKIP() << "this build has no decoders (GEMMA4_IMAGES=OFF)";
    const std::string path = folder_ / "model.gguf";
    const Outcome outcome =
        run_program({"convert", kGoldens + "/" + GetParam(), path, "--synthetic-vocabulary"});
    ASSERT_EQ(outcome.exit_code, 0) << ::testing::PrintToString(outcome);
    auto loaded = apps::load_model(path, kernels::open_cpu_device({.num_threads = 2}).value(), {});
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    model_ = std::move(loaded).value();
  }
  std::unique_ptr<MediaReader> reader() {
    return std::make_unique<MediaReader>(model_.model, model_.tokenizer, model_.model->device(),
                                         MediaLimits());
  }
  // A picture of noise
  std::string picture(int64_t width, int64_t height) {
    media::Image image{width, height,
                       std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
    uint64_t state = static_cast<uint64_t>(width * 1000 + height);
    for (uint8_t& sample : image.rgb)
      sample = static_cast<uint8_t>(splitmix(state += kSplitMixStep) >> 56);
    const std::string path =
        folder_ / (std::to_string(width) + "x" + std::to_string(height) + ".png");
    EXPECT_TRUE(media::write_png(path, image).ok());
    return path;
  }
  // Soft tokens of all, encoded together by a reader that knows nothing
  static std::vector<model::MediaItem> encode(MediaReader& reader,
                                              const std::vector<PreparedMedia>& media) {
    auto items = reader.encode(media);
    EXPECT_TRUE(items.ok()) << items.error().message;
    return items.ok() ? items.value() : std::vector<model::MediaItem>();
  }

  const TemporaryFolder folder_;
  LoadedModel model_;
};
INSTANTIATE_TEST_SUITE_P(Tiny, MediaReading,
                         ::testing::Values("tiny-e", "tiny-12b", "tiny-31b", "tiny-26b"),
                         [](const ::testing::TestParamInfo<const char*>& test) {
                           return std::string(test.param).replace(4, 1, "_");
                         });

TEST_P(MediaReading, PicturesOfAQuestionShareAPass) {
  const std::vector<std::string> sources = {picture(300, 300), picture(200, 100), picture(90, 400),
                                            picture(300, 300)};
  const auto together = reader();
  std::vector<PreparedMedia> all;
  for (const std::string& source : sources) all.push_back(together->image(source, 70).value());
  const std::vector<model::MediaItem> items = encode(*together, all);
  ASSERT_EQ(items.size(), sources.size());
  EXPECT_EQ(together->num_passes(), 1);
  EXPECT_EQ(together->num_encoded(), 3);  // one is there twice
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto alone = reader();
    const auto item = encode(*alone, {alone->image(sources[i], 70).value()});
    ASSERT_EQ(item.size(), 1u);
    EXPECT_EQ(item[0].kind, model::MediaKind::kImage);
    EXPECT_EQ(item[0].tokens->values, items[i].tokens->values) << sources[i];
  }
  EXPECT_NE(items[0].tokens->values, items[1].tokens->values);
  // Asked again, nothing is computed.
  EXPECT_EQ(encode(*together, all)[2].tokens, items[2].tokens);
  EXPECT_EQ(together->num_passes(), 1);
}

// More than a pass takes goes through the tower in several, in the order of the prompt.
TEST_P(MediaReading, PassesAreBounded) {
  const auto together = reader();
  std::vector<PreparedMedia> all;
  const int64_t count = 12;  // of 64 soft tokens, which are 576 patches
  for (int64_t i = 0; i < count; ++i)
    all.push_back(together->image(picture(100 + i, 100 + i), 70).value());
  const std::vector<model::MediaItem> items = encode(*together, all);
  const bool unified = model_.model->config().vision->unified;
  const int64_t patches = unified ? 64 : 576;
  const int64_t per_pass = 2560 / patches;
  EXPECT_EQ(together->num_passes(), (count + per_pass - 1) / per_pass);
  ASSERT_EQ(items.size(), all.size());
  for (const size_t i : {size_t{0}, size_t{4}, all.size() - 1}) {
    const auto alone = reader();
    const auto size = 100 + static_cast<int64_t>(i);
    EXPECT_EQ(encode(*alone, {alone->image(picture(size, size), 70).value()})[0].tokens->values,
              items[i].tokens->values)
        << i;
  }
}

// FFmpeg reads a picture as a film of one frame. The towers with an encoder see it over white, the
// one without sees the colours behind its alpha, as pictures are seen by all.
TEST_P(MediaReading, FramesWithAlphaAreBlendedUnlessThereIsNoEncoder) {
  if (!media::decodes_av()) GTEST_SKIP() << "this build has no FFmpeg (GEMMA4_AV=OFF)";
  const auto reading = reader();
  const std::string source = kGoldens + "/image/formats/rgba8.png";
  const auto film = reading->film(source, {});
  ASSERT_TRUE(film.ok()) << film.error().message;
  const PreparedMedia still = reading->image(source, 70).value();
  const std::vector<uint8_t>& frame = film.value()[0].content->pictures.at(0).image.rgb;
  if (model_.model->config().vision->unified)
    EXPECT_EQ(frame, still.content->pictures.at(0).image.rgb);
  else
    EXPECT_NE(frame, still.content->pictures.at(0).image.rgb);
}

// Frames and pictures share passes, too; sounds have their place between them.
TEST_P(MediaReading, AllKindsComeInTheirOrder) {
  if (!media::decodes_av()) GTEST_SKIP() << "this build has no FFmpeg (GEMMA4_AV=OFF)";
  const auto together = reader();
  std::vector<PreparedMedia> all = {together->image(picture(50, 60), 70).value()};
  const bool hears = model_.model->config().audio.has_value();
  if (hears) all.push_back(together->sound(kGoldens + "/audio/sound0.wav").value());
  all.push_back(together->film(kGoldens + "/image/formats/rgba8.png", {}).value()[0]);
  const std::vector<model::MediaItem> items = encode(*together, all);
  ASSERT_EQ(items.size(), all.size());
  EXPECT_EQ(together->num_passes(), 1);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(items[i].kind, all[i].content->kind) << i;
  EXPECT_EQ(items.back().kind, model::MediaKind::kVideo);
}

}  // namespace
}  // namespace gemma4::answer

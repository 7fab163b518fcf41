// The worked examples of the specification: sizes, weights, pixels, patches.

#include "media/image_processor.h"

#include <gtest/gtest.h>

#include <numeric>

#include "media/image_resize_weights.h"

namespace gemma4::media {
namespace {

Image pattern(int64_t width, int64_t height) {
  Image image{width, height, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        image.rgb.push_back(static_cast<uint8_t>((37 * x + 101 * y + 59 * c + 13) % 256));
  return image;
}

int64_t sum(const Image& image) {
  return std::accumulate(image.rgb.begin(), image.rgb.end(), int64_t{0});
}

std::vector<int> pixel(const Image& image, int64_t row, int64_t col) {
  const uint8_t* at = image.rgb.data() + 3 * (row * image.width + col);
  return {at[0], at[1], at[2]};
}

TEST(ImageProcessor, SizesOfTheTable) {
  struct Case {
    ImageSize source;
    ImageSize targets[5];
  };
  const Case cases[] = {
      {{640, 427}, {{480, 288}, {672, 432}, {960, 624}, {1344, 912}, {1920, 1296}}},
      {{4032, 3024}, {{432, 336}, {624, 480}, {912, 672}, {1296, 960}, {1824, 1344}}},
      {{1, 1}, {{384, 384}, {528, 528}, {768, 768}, {1104, 1104}, {1584, 1584}}},
      {{960, 672}, {{480, 336}, {672, 432}, {960, 672}, {1344, 912}, {1920, 1344}}},
      {{3000, 100}, {{2160, 48}, {3072, 96}, {4368, 144}, {6192, 192}, {8784, 288}}},
      {{1000, 1}, {{3360, 48}, {6720, 48}, {13440, 48}, {26880, 48}, {50784, 48}}},
      {{300, 1}, {{3360, 48}, {6720, 48}, {13440, 48}, {19632, 48}, {27792, 48}}},
      {{20, 2000}, {{48, 3360}, {48, 5664}, {48, 8016}, {96, 11328}, {144, 16032}}},
  };
  for (const Case& c : cases)
    for (size_t i = 0; i < kImageBudgets.size(); ++i)
      EXPECT_EQ(target_size(c.source, kImageBudgets[i]).value(), c.targets[i])
          << c.source.width << "x" << c.source.height << " at " << kImageBudgets[i];
  EXPECT_EQ(target_size({640, 427}, 280).value().soft_tokens(), 260);
  EXPECT_EQ(target_size({640, 427}, 280).value().patches(), 2340);
  // Double rounding at a multiple of 48 is the reference's too.
  EXPECT_EQ(target_size({154, 55}, 70).value(), (ImageSize{672, 192}));
  EXPECT_FALSE(target_size({640, 427}, 100).ok());
  EXPECT_EQ(fitting_budget({300, 300}), 70);
  EXPECT_EQ(fitting_budget({5000, 3000}), 1120);
}

TEST(ImageProcessor, WeightsOfTheExamples) {
  const AxisWeights up = axis_weights(4, 6, ResizeVariant::kTorchvision);
  EXPECT_EQ(up.precision, 14);
  EXPECT_EQ(up.first, (std::vector<int32_t>{0, 0, 0, 0, 1, 2}));
  EXPECT_EQ(std::vector<int32_t>(up.of(2), up.of(2) + 4),
            (std::vector<int32_t>{-948, 15360, 2162, -190}));
  const AxisWeights down = axis_weights(8, 3, ResizeVariant::kPillow);
  EXPECT_EQ(down.precision, 22);
  EXPECT_EQ(std::vector<int32_t>(down.of(0), down.of(0) + 7),
            (std::vector<int32_t>{1357984, 1678094, 1096189, 261175, -104842, -91194, -3102}));
}

TEST(ImageProcessor, PixelsOfTheExamples) {
  ThreadPool pool(2);
  for (const ResizeVariant variant : {ResizeVariant::kTorchvision, ResizeVariant::kPillow}) {
    const bool pillow = variant == ResizeVariant::kPillow;
    EXPECT_EQ(sum(resize_bicubic(pattern(10, 7), 14, 12, variant)), pillow ? 64651 : 64650);
    const Image small = resize_bicubic(pattern(10, 7), 6, 4, variant);
    EXPECT_EQ(pixel(small, 0, 0), (std::vector<int>{76, 132, 138}));
    EXPECT_EQ(pixel(small, 3, 5), (std::vector<int>{124, 180, 93}));
    const Image large = resize_bicubic(pattern(640, 427), 960, 624, variant, &pool);
    EXPECT_EQ(sum(large), pillow ? 229429594 : 229429632);
    EXPECT_EQ(pixel(large, 0, 0), (std::vector<int>{5, 64, 122}));
    EXPECT_EQ(pixel(large, 100, 200), (std::vector<int>{29, 110, 176}));
    EXPECT_EQ(pixel(large, 623, 959), (std::vector<int>{131, 189, 248}));
    EXPECT_EQ(resize_bicubic(pattern(640, 427), 960, 624, variant).rgb, large.rgb);
  }
}

TEST(ImageProcessor, PatchesAreRowColumnChannel) {
  const std::vector<float> patches = cut_patches(pattern(960, 624), 16);
  const float* const patch = patches.data() + 63 * 768;
  EXPECT_FLOAT_EQ(patch[0], 77 / 255.0f);
  EXPECT_FLOAT_EQ(patch[3], 114 / 255.0f);
  EXPECT_FLOAT_EQ(patch[48], 178 / 255.0f);
}

TEST(ImageProcessor, ReductionIsToldAndEqualPicturesHaveEqualHashes) {
  const ProcessedImage large = process_image(pattern(2000, 1000), {.budget = 70}).value();
  EXPECT_TRUE(large.reduced());
  EXPECT_FALSE(process_image(pattern(100, 90), {.budget = 70}).value().reduced());
  EXPECT_EQ(large.hash, process_image(pattern(2000, 1000), {.budget = 70}).value().hash);
  EXPECT_NE(large.hash, process_image(pattern(2000, 1001), {.budget = 70}).value().hash);
}

}  // namespace
}  // namespace gemma4::media

// The worked examples of the specification: sizes, weights, pixels, patches.

#include "media/image_processor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "base/strings.h"
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

Image gradient(int64_t width, int64_t height) {
  Image image{width, height, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (const int64_t value :
           {x * 255 / (width - 1), y * 255 / (height - 1), (x + y) * 255 / (width + height - 2)})
        image.rgb.push_back(static_cast<uint8_t>(value));
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
    int64_t soft_tokens[5];  // of which each is nine patches
  };
  const Case cases[] = {
      {{640, 427},
       {{480, 288}, {672, 432}, {960, 624}, {1344, 912}, {1920, 1296}},
       {60, 126, 260, 532, 1080}},
      {{4032, 3024},
       {{432, 336}, {624, 480}, {912, 672}, {1296, 960}, {1824, 1344}},
       {63, 130, 266, 540, 1064}},
      {{1920, 1080},
       {{528, 288}, {720, 384}, {1056, 576}, {1488, 816}, {2112, 1200}},
       {66, 120, 264, 527, 1100}},
      {{1280, 640},
       {{528, 240}, {768, 384}, {1104, 528}, {1584, 768}, {2256, 1104}},
       {55, 128, 253, 528, 1081}},
      {{1, 1},
       {{384, 384}, {528, 528}, {768, 768}, {1104, 1104}, {1584, 1584}},
       {64, 121, 256, 529, 1089}},
      {{960, 672},
       {{480, 336}, {672, 432}, {960, 672}, {1344, 912}, {1920, 1344}},
       {70, 126, 280, 532, 1120}},
      {{3000, 100},
       {{2160, 48}, {3072, 96}, {4368, 144}, {6192, 192}, {8784, 288}},
       {45, 128, 273, 516, 1098}},
      {{1000, 1},
       {{3360, 48}, {6720, 48}, {13440, 48}, {26880, 48}, {50784, 48}},
       {70, 140, 280, 560, 1058}},
      {{300, 1},
       {{3360, 48}, {6720, 48}, {13440, 48}, {19632, 48}, {27792, 48}},
       {70, 140, 280, 409, 579}},
      {{20, 2000},
       {{48, 3360}, {48, 5664}, {48, 8016}, {96, 11328}, {144, 16032}},
       {70, 118, 167, 472, 1002}},
  };
  for (const Case& c : cases)
    for (size_t i = 0; i < kImageBudgets.size(); ++i) {
      const auto size = target_size(c.source, kImageBudgets[i]).value();
      SCOPED_TRACE(str_cat(c.source.width, "x", c.source.height, " at ", kImageBudgets[i]));
      EXPECT_EQ(size, c.targets[i]);
      EXPECT_EQ(size.soft_tokens(), c.soft_tokens[i]);
      EXPECT_EQ(size.patches(), 9 * c.soft_tokens[i]);
    }
  // Sizes that the table has in one row with others
  const std::pair<ImageSize, ImageSize> alike[] = {
      {{612, 408}, {640, 427}},   {{640, 480}, {4032, 3024}}, {{1024, 768}, {4032, 3024}},
      {{224, 224}, {1, 1}},       {{640, 640}, {1, 1}},       {{16, 16}, {1, 1}},
      {{640, 360}, {1920, 1080}}, {{1280, 720}, {1920, 1080}}};
  for (const auto& [one, other] : alike)
    for (const int64_t budget : kImageBudgets)
      EXPECT_EQ(target_size(one, budget).value(), target_size(other, budget).value())
          << one.width << "x" << one.height << " at " << budget;
  // Double rounding at a multiple of 48 is the reference's too.
  EXPECT_EQ(target_size({154, 55}, 70).value(), (ImageSize{672, 192}));
  EXPECT_FALSE(target_size({640, 427}, 100).ok());
  EXPECT_EQ(fitting_budget({300, 300}), 70);
  EXPECT_EQ(fitting_budget({5000, 3000}), 1120);
}

// `rows` are the first outputs; the last ones mirror them.
void expect_weights(const AxisWeights& axis, const std::vector<std::vector<int32_t>>& rows) {
  const auto outputs = static_cast<int64_t>(axis.first.size());
  const auto weights_of = [&](int64_t i) {
    return std::vector<int32_t>(axis.of(i), axis.of(i) + axis.count[static_cast<size_t>(i)]);
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(weights_of(static_cast<int64_t>(i)), rows[i]) << i;
    const std::vector<int32_t> mirrored(rows[i].rbegin(), rows[i].rend());
    EXPECT_EQ(weights_of(outputs - 1 - static_cast<int64_t>(i)), mirrored) << i;
  }
}

TEST(ImageProcessor, WeightsOfTheExamples) {
  const AxisWeights up = axis_weights(4, 6, ResizeVariant::kTorchvision);
  EXPECT_EQ(up.precision, 14);
  EXPECT_EQ(up.first, (std::vector<int32_t>{0, 0, 0, 0, 1, 2}));
  expect_weights(up, {{17462, -1078}, {8674, 8674, -964}, {-948, 15360, 2162, -190}});
  const AxisWeights up_pillow = axis_weights(4, 6, ResizeVariant::kPillow);
  EXPECT_EQ(up_pillow.precision, 22);
  expect_weights(
      up_pillow,
      {{4470245, -275941}, {2220514, 2220514, -246724}, {-242726, 3932160, 553415, -48545}});
  const AxisWeights down = axis_weights(8, 3, ResizeVariant::kTorchvision);
  EXPECT_EQ(down.precision, 16);
  EXPECT_EQ(down.first, (std::vector<int32_t>{0, 0, 1}));
  expect_weights(down, {{21219, 26220, 17128, 4081, -1638, -1425, -48},
                        {-1776, 930, 11444, 22169, 22169, 11444, 930, -1776}});
  const AxisWeights down_pillow = axis_weights(8, 3, ResizeVariant::kPillow);
  EXPECT_EQ(down_pillow.precision, 22);
  expect_weights(down_pillow, {{1357984, 1678094, 1096189, 261175, -104842, -91194, -3102},
                               {-113649, 59548, 732425, 1418827, 1418827, 732425, 59548, -113649}});
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
    const Image first = resize_bicubic(pattern(10, 7), 14, 12, variant);
    const int red[] = {3, 23, 53, 79, 104, 140, 179, 205, 250, 191, 8, 27, 64, 84};
    const int blue[] = {247, 97, 0, 31, 55, 92, 131, 157, 183, 217, 236, 53, 0, 36};
    for (int64_t x = 0; x < 14; ++x) {
      EXPECT_EQ(pixel(first, 0, x)[0], red[x]) << x;
      EXPECT_EQ(pixel(first, 11, x)[2], blue[x]) << x;
    }
    const Image shades = resize_bicubic(gradient(640, 427), 960, 624, variant);
    EXPECT_EQ(sum(shades), pillow ? 228307851 : 228308041);
    EXPECT_EQ(pixel(shades, 100, 200), (std::vector<int>{53, 40, 48}));
  }
}

TEST(ImageProcessor, PatchesAreRowColumnChannel) {
  const std::vector<float> patches = cut_patches(pattern(960, 624), 16);
  const float* const patch = patches.data() + 63 * 768;
  EXPECT_FLOAT_EQ(patch[0], 77 / 255.0f);
  EXPECT_FLOAT_EQ(patch[3], 114 / 255.0f);
  EXPECT_FLOAT_EQ(patch[48], 178 / 255.0f);
  const float mapped[] = {-0.396078f, 0.066667f, 0.529412f};  // as the tower maps them
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(2 * (patch[i] - 0.5f), mapped[i], 1e-6) << i;
}

// Where single samples of 960 x 624 pixels come to lie.
TEST(ImageProcessor, PatchesOfSinglePixels) {
  const auto place = [](int64_t row, int64_t col, int64_t channel) {
    Image image{960, 624, std::vector<uint8_t>(960 * 624 * 3)};
    image.rgb[static_cast<size_t>((row * 960 + col) * 3 + channel)] = 255;
    const std::vector<float> patches = cut_patches(image, 16);
    return std::max_element(patches.begin(), patches.end()) - patches.begin();
  };
  EXPECT_EQ(place(17, 33, 1), 62 * 768 + 52);
  EXPECT_EQ(place(623, 959, 2), 2339 * 768 + 767);
}

TEST(ImageProcessor, TheVariantsDifferInFewSamplesByOne) {
  const auto resized = [](ResizeVariant variant) {
    return resize_bicubic(pattern(640, 427), 960, 624, variant).rgb;
  };
  const auto a = resized(ResizeVariant::kTorchvision), b = resized(ResizeVariant::kPillow);
  int64_t differ = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_LE(std::abs(a[i] - b[i]), 1);
    differ += a[i] != b[i] ? 1 : 0;
  }
  EXPECT_EQ(differ, 6534);
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

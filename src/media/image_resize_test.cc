// The resampler against the examples of the specification, and its vectors against the definition
// on every instruction set of this machine.

#include "media/image_resize.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>

#include "base/splitmix.h"
#include "media/image_resize_weights.h"

namespace gemma4::media {
namespace {

constexpr ResizeVariant kVariants[] = {ResizeVariant::kTorchvision, ResizeVariant::kPillow};

Image grey(const std::vector<uint8_t>& samples, bool upright) {
  const auto size = static_cast<int64_t>(samples.size());
  Image image{upright ? 1 : size, upright ? size : 1, {}};
  for (const uint8_t sample : samples) image.rgb.insert(image.rgb.end(), 3, sample);
  return image;
}

TEST(ImageResize, LinesOfTheExamples) {
  for (const ResizeVariant variant : kVariants)
    for (const bool upright : {false, true}) {
      const auto line = [&](const std::vector<uint8_t>& samples, int64_t size) {
        return resize_bicubic(grey(samples, upright), upright ? 1 : size, upright ? size : 1,
                              variant)
            .rgb;
      };
      EXPECT_EQ(line({10, 50, 200, 90}, 6), grey({7, 20, 72, 189, 151, 83}, upright).rgb);
      EXPECT_EQ(line({10, 50, 200, 90, 30, 255, 0, 128}, 3), grey({75, 117, 103}, upright).rgb);
    }
}

// Output (row, column, channel) is (37 x + 101 y + 59 c + 13) mod 256 at first, 10 x 7.
TEST(ImageResize, PixelsOfTheExample) {
  const int expected[3][4][6] = {{{76, 136, 120, 138, 97, 119},
                                  {176, 123, 124, 131, 161, 140},
                                  {117, 147, 101, 143, 110, 164},
                                  {77, 137, 184, 128, 91, 124}},
                                 {{132, 165, 128, 72, 119, 179},
                                  {92, 146, 113, 155, 109, 139},
                                  {116, 95, 125, 132, 133, 80},
                                  {137, 159, 118, 136, 120, 180}},
                                 {{138, 134, 116, 113, 153, 117},
                                  {132, 141, 140, 86, 130, 149},
                                  {101, 155, 116, 164, 116, 155},
                                  {129, 109, 108, 122, 150, 93}}};
  Image image{10, 7, {}};
  for (int64_t y = 0; y < 7; ++y)
    for (int64_t x = 0; x < 10; ++x)
      for (int64_t c = 0; c < 3; ++c)
        image.rgb.push_back(static_cast<uint8_t>((37 * x + 101 * y + 59 * c + 13) % 256));
  for (const ResizeVariant variant : kVariants) {
    const Image out = resize_bicubic(image, 6, 4, variant);
    for (size_t y = 0; y < 4; ++y)
      for (size_t x = 0; x < 6; ++x)
        for (size_t c = 0; c < 3; ++c)
          EXPECT_EQ(out.rgb[3 * (6 * y + x) + c], expected[c][y][x]) << y << " " << x << " " << c;
  }
}

// One axis by the definition in image_resize_weights.h: samples `stride` apart, `lines` of them.
std::vector<uint8_t> resample(const std::vector<uint8_t>& in, int64_t n_in, int64_t n_out,
                              int64_t stride, ResizeVariant variant) {
  const AxisWeights axis = axis_weights(n_in, n_out, variant);
  const int64_t lines = static_cast<int64_t>(in.size()) / n_in;
  std::vector<uint8_t> out(static_cast<size_t>(lines * n_out));
  for (int64_t line = 0; line < lines; ++line) {
    const int64_t outer = line / stride, inner = line % stride;
    for (int64_t i = 0; i < n_out; ++i) {
      int64_t sum = int64_t{1} << (axis.precision - 1);
      for (int64_t j = 0; j < axis.count[static_cast<size_t>(i)]; ++j)
        sum += int64_t{axis.of(i)[j]} *
               in[static_cast<size_t>(
                   (outer * n_in + axis.first[static_cast<size_t>(i)] + j) * stride + inner)];
      out[static_cast<size_t>((outer * n_out + i) * stride + inner)] =
          static_cast<uint8_t>(std::clamp<int64_t>(sum >> axis.precision, 0, 255));
    }
  }
  return out;
}

void expect_the_definition(int64_t width, int64_t height, int64_t to_width, int64_t to_height) {
  Image image{width, height, {}};
  uint64_t state = static_cast<uint64_t>(width * 1000 + height);
  for (int64_t i = 0; i < 3 * width * height; ++i) {
    const uint64_t bits = splitmix(state += kSplitMixStep);
    // Full contrast as well, so that values leave the range of a byte
    image.rgb.push_back(static_cast<uint8_t>(bits % 3 == 0 ? (bits >> 8) % 2 * 255 : bits >> 8));
  }
  for (const ResizeVariant variant : kVariants) {
    const std::vector<uint8_t> columns = resample(image.rgb, width, to_width, 3, variant);
    EXPECT_EQ(resize_bicubic(image, to_width, to_height, variant).rgb,
              resample(columns, height, to_height, 3 * to_width, variant))
        << width << "x" << height << " to " << to_width << "x" << to_height;
  }
}

TEST(ImageResize, EveryInstructionSetComputesTheDefinition) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    for (const int64_t width : {1, 2, 3, 5, 33, 100})
      for (const int64_t to_width : {1, 2, 7, 48, 97}) {
        if (width == to_width) continue;
        expect_the_definition(width, 13, to_width, 6);
        expect_the_definition(13, width, 6, to_width);
      }
    expect_the_definition(1000, 3, 48, 48);
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace
}  // namespace gemma4::media

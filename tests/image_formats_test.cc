// Small files of every kind of picture that the decoders promise (tests/golden/image/formats, made
// with ImageMagick): one gradient, red 10 x, green 15 y, blue 6 (x + y), 24 by 16.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "io/mapped_file.h"
#include "media/image.h"

namespace gemma4::media {
namespace {

constexpr int64_t kWidth = 24, kHeight = 16;

std::string path_of(const std::string& name) {
  return std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/image/formats/" + name;
}

using Colour = std::array<double, 3>;
Colour gradient(int64_t x, int64_t y) {
  return {10.0 * static_cast<double>(x), 15.0 * static_cast<double>(y),
          6.0 * static_cast<double>(x + y)};
}
// Luma of ITU-R 709, of which grey files were made
Colour grey(int64_t x, int64_t y) {
  const auto [r, g, b] = gradient(x, y);
  const double luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return {luma, luma, luma};
}

// The largest and the mean difference over all pixels and colours.
struct Difference {
  double largest = 0;
  double mean = 0;
};
Difference difference(const Image& image, const std::function<Colour(int64_t, int64_t)>& expected) {
  Difference result;
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) {
      const Colour colour = expected(x, y);
      for (size_t c = 0; c < 3; ++c) {
        const double d =
            std::abs(image.rgb[static_cast<size_t>(3 * (y * image.width + x)) + c] - colour[c]);
        result.largest = std::max(result.largest, d);
        result.mean += d / static_cast<double>(image.rgb.size());
      }
    }
  return result;
}

class ImageFormats : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!decodes_images()) GTEST_SKIP() << "this build has no decoders (GEMMA4_IMAGES=OFF)";
  }
};

struct File {
  const char* name;
  double mean;     // of the differences, what its coding may lose
  double largest;  // of the differences
};

TEST_F(ImageFormats, PixelsAreThoseOfTheGradient) {
  for (const File& file :
       {File{"rgb8.png", 0, 0}, File{"rgb16.png", 0, 0},
        File{"rgba8.png", 0, 0},  // alpha is dropped, not composed
        File{"interlaced.png", 0, 0}, File{"lossless.webp", 0, 0}, File{"palette.png", 20, 110},
        File{"plain.gif", 20, 110}, File{"interlaced.gif", 20, 110},
        File{"two_frames.gif", 20, 110}, File{"444.jpg", 1, 6}, File{"440.jpg", 4, 24},
        File{"422.jpg", 4, 24}, File{"420.jpg", 4, 24}, File{"411.jpg", 8, 40},
        File{"progressive.jpg", 4, 24}, File{"cmyk.jpg", 3, 12}, File{"lossy.webp", 6, 40}}) {
    const auto image = read_image(path_of(file.name));
    ASSERT_TRUE(image.ok()) << file.name << ": " << image.error().message;
    ASSERT_EQ(image.value().width, kWidth) << file.name;
    ASSERT_EQ(image.value().height, kHeight) << file.name;
    const Difference d = difference(image.value(), gradient);
    EXPECT_LE(d.mean, file.mean) << file.name;
    EXPECT_LE(d.largest, file.largest) << file.name;
  }
  for (const char* name : {"grey.jpg", "grey8.png"})
    EXPECT_LE(difference(read_image(path_of(name)).value(), grey).largest, 3) << name;
}

TEST_F(ImageFormats, InterlacedAndPlainAreTheSame) {
  EXPECT_EQ(read_image(path_of("interlaced.gif")).value().rgb,
            read_image(path_of("plain.gif")).value().rgb);
  EXPECT_EQ(read_image(path_of("palette.png")).value().rgb,
            read_image(path_of("plain.gif")).value().rgb);
  EXPECT_EQ(read_image(path_of("two_frames.gif")).value().rgb,  // the first of them
            read_image(path_of("plain.gif")).value().rgb);
}

// 444.jpg behind an EXIF segment with this orientation, as a camera writes it.
std::vector<std::byte> oriented(int orientation) {
  const auto file = io::read_file(path_of("444.jpg")).value();
  std::string exif(
      "\xff\xe1\x00\x22"
      "Exif\0\0"
      "MM\0\x2a\0\0\0\x08"
      "\0\x01"
      "\x01\x12\0\x03"
      "\0\0\0\x01"
      "\0\x00\0\0"
      "\0\0\0\0",
      36);
  exif[29] = static_cast<char>(orientation);
  const auto all = std::as_bytes(std::span(file.data(), file.size()));
  std::vector<std::byte> result(all.begin(), all.begin() + 2);  // SOI
  const auto segment = std::as_bytes(std::span(exif));
  result.insert(result.end(), segment.begin(), segment.end());
  result.insert(result.end(), all.begin() + 2, all.end());
  return result;
}

// EXIF 2.3, 4.6.4: where row 0 and column 0 of what is stored are in what is seen.
TEST_F(ImageFormats, OrientationsTurnAndMirror) {
  const auto stored = [](int orientation, int64_t x, int64_t y) -> std::pair<int64_t, int64_t> {
    constexpr int64_t kRight = kWidth - 1, kBottom = kHeight - 1;
    switch (orientation) {
      case 2:
        return {kRight - x, y};
      case 3:
        return {kRight - x, kBottom - y};
      case 4:
        return {x, kBottom - y};
      case 5:
        return {y, x};
      case 6:
        return {y, kBottom - x};
      case 7:
        return {kRight - y, kBottom - x};
      case 8:
        return {kRight - y, x};
      default:
        return {x, y};
    }
  };
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const auto image = decode_image(oriented(orientation));
    ASSERT_TRUE(image.ok()) << image.error().message;
    EXPECT_EQ(image.value().width, orientation < 5 ? kWidth : kHeight) << orientation;
    EXPECT_EQ(image.value().height, orientation < 5 ? kHeight : kWidth) << orientation;
    const Difference d = difference(image.value(), [&](int64_t x, int64_t y) {
      const auto [column, row] = stored(orientation, x, y);
      return gradient(column, row);
    });
    EXPECT_LE(d.largest, 6) << orientation;
  }
}

TEST_F(ImageFormats, FilesThatEndEarlyAreOneError) {
  for (const char* name : {"420.jpg", "progressive.jpg", "rgb8.png", "palette.png", "plain.gif",
                           "lossless.webp", "lossy.webp"}) {
    const auto file = io::read_file(path_of(name)).value();
    const auto all = std::as_bytes(std::span(file.data(), file.size()));
    for (size_t size = 0; size < all.size() - 20; size += 7) {
      const auto image = decode_image(all.first(size));
      if (image.ok()) {
        ADD_FAILURE() << name << " of " << size << " bytes was taken";
        break;
      }
      EXPECT_EQ(image.error().message.find('\n'), std::string::npos);
      EXPECT_FALSE(image.error().message.empty());
    }
  }
}

TEST_F(ImageFormats, LongThinPicturesAreTakenUpToTheLimit) {
  const std::string path = ::testing::TempDir() + "gemma4_thin.png";
  const Image thin{100'000, 1, std::vector<uint8_t>(300'000, 7)};
  ASSERT_TRUE(write_png(path, thin).ok());
  EXPECT_EQ(read_image(path).value().rgb, thin.rgb);
  const auto refused = read_image(path, {.max_side = 99'999});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted) << refused.error().message;
  std::remove(path.c_str());
}

}  // namespace
}  // namespace gemma4::media

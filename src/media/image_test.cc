// Own parsers, and what every decoder owes its caller. Pixels of real files are in tests/golden.

#include "media/image.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "media/data_url.h"
#include "media/image_exif.h"

namespace gemma4::media {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Exif, OrientationInBothByteOrders) {
  using namespace std::string_view_literals;
  const auto big = "Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"sv;
  const auto little = "II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0"sv;
  EXPECT_EQ(exif_orientation(bytes(big)), 6);
  EXPECT_EQ(exif_orientation(bytes(little)), 8);
  for (size_t size = 0; size < big.size(); ++size)  // cut off anywhere
    EXPECT_EQ(exif_orientation(bytes(big.substr(0, size))), 1) << size;
}

TEST(DataUrl, Base64AndPercent) {
  const auto text = [](std::string_view url) {
    const DataUrl parsed = parse_data_url(url, 100).value();
    return std::string(reinterpret_cast<const char*>(parsed.bytes.data()), parsed.bytes.size());
  };
  EXPECT_EQ(text("data:image/png;base64,aGk="), "hi");
  EXPECT_EQ(text("DATA:;base64,aGk"), "hi");
  EXPECT_EQ(text("data:text/plain,a%20b"), "a b");
  for (const char* bad : {"data:", "http://x", "data:;base64,a", "data:;base64,a$==", "data:,%2"})
    EXPECT_FALSE(parse_data_url(bad, 100).ok()) << bad;
  EXPECT_EQ(parse_data_url("data:,abcd", 1).error().code, ErrorCode::kResourceExhausted);
}

TEST(Image, WhatIsNoPictureIsOneError) {
  EXPECT_EQ(decode_image({}).error().code, ErrorCode::kInvalidData);
  EXPECT_EQ(decode_image(bytes("hello")).error().code, ErrorCode::kUnsupported);
  for (const char* head : {"\xff\xd8\xff\xe0", "\x89PNG\r\n\x1a\n", "RIFF0000WEBP", "GIF89a"})
    EXPECT_FALSE(decode_image(bytes(head)).ok());
}

TEST(Image, MediaTypesFollowFromTheFirstBytes) {
  EXPECT_EQ(image_media_type(bytes("\xff\xd8\xff\xe0")), "image/jpeg");
  EXPECT_EQ(image_media_type(bytes("\x89PNG\r\n\x1a\n")), "image/png");
  EXPECT_EQ(image_media_type(bytes("RIFF0000WEBP")), "image/webp");
  EXPECT_EQ(image_media_type(bytes("GIF89a")), "image/gif");
  EXPECT_EQ(image_media_type(bytes("RIFF0000WAVE")), "");
}

TEST(Image, DataUrlsAreNamedInOneLine) {
  const auto image = image_from_data_url("data:a\nb;base64,aGk=");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().message.find('\n'), std::string::npos) << image.error().message;
}

TEST(Image, PngSurvivesAndLimitsHold) {
  if (!decodes_images()) GTEST_SKIP() << "this build has no decoders (GEMMA4_IMAGES=OFF)";
  const std::string path = std::filesystem::temp_directory_path() / "gemma4_image_test.png";
  const Image image{3, 2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}};
  ASSERT_TRUE(write_png(path, image).ok());
  EXPECT_EQ(read_image(path).value().rgb, image.rgb);
  EXPECT_EQ(read_image(path, {.max_pixels = 5}).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(read_image(path, {.max_file_bytes = 5}).error().code, ErrorCode::kResourceExhausted);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace gemma4::media

// Small files that promise much: bounded time and memory, and one sentence where they are refused.
// Pictures with few pixels and gigabytes behind them, headers of sounds and films that lie.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <ctime>

#include "media/image.h"
#include "media/sound.h"
#include "media/video.h"

namespace gemma4::media {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Runs `work`, which must not take longer than that: what is inflated here takes tens of seconds.
template <typename Work>
auto within(double cpu_seconds, const Work& work) {
  const std::clock_t begin = std::clock();
  auto result = work();
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, cpu_seconds);
  return result;
}

std::string big_endian(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}

std::string deflated(const std::string& text) {
  uLongf size = compressBound(text.size());
  std::string out(size, '\0');
  EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                      reinterpret_cast<const Bytef*>(text.data()), text.size(), 9),
            Z_OK);
  out.resize(size);
  return out;
}

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto sum = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(sum);
}

// An RGB picture whose header is true or not, of pixels that are deflated
std::string png(uint32_t width, uint32_t height, const std::string& chunks_before,
                const std::string& pixels, bool interlaced = false) {
  std::string header = big_endian(width) + big_endian(height) + "\x08\x02";
  header += std::string(2, '\0') + (interlaced ? '\1' : '\0');
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunks_before + chunk("IDAT", pixels) +
         chunk("IEND", "");
}

// Rows without a filter
std::string rows(size_t width, size_t height, char value) {
  std::string out;
  for (size_t y = 0; y < height; ++y) out += '\0' + std::string(3 * width, value);
  return out;
}

class HostilePictures : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!decodes_images()) GTEST_SKIP() << "this build has no decoders (GEMMA4_IMAGES=OFF)";
  }
};

TEST_F(HostilePictures, TextsAndProfilesAreNotInflated) {
  const std::string megabytes = deflated(std::string(7'900'000, 'A'));  // 7.7 KB
  std::string texts;
  for (int i = 0; i < 300; ++i)
    texts +=
        chunk(i % 2 == 0 ? "zTXt" : "iTXt", i % 2 == 0 ? std::string("k\0\0", 3) + megabytes
                                                       : std::string("k\0\1\0\0\0", 6) + megabytes);
  texts += chunk("iCCP", std::string("k\0\0", 3) + megabytes);
  const std::string file = png(8, 8, texts, deflated(rows(8, 8, 'x')));
  const auto image = within(3, [&] { return decode_image(bytes_of(file)); });
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image.value().rgb, std::vector<uint8_t>(8 * 8 * 3, 'x'));
}

// `begin` and then `megabytes` of zeros, deflated, without an end: blocks that begin afresh may be
// repeated.
std::string deflated_bomb(const std::string& begin, int megabytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit(&stream, 9), Z_OK);
  const auto flush = [&](std::string text) {
    std::string out(compressBound(text.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(text.data());
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FULL_FLUSH), Z_OK);
    out.resize(out.size() - stream.avail_out);
    return out;
  };
  std::string out = flush(begin);
  const std::string block = flush(std::string(1 << 20, '\0'));
  deflateEnd(&stream);
  for (int i = 0; i < megabytes; ++i) out += block;
  return out;
}

TEST_F(HostilePictures, WhatFollowsTheLastPixelIsNotInflated) {
  std::string passes;  // of 8 x 8 interlaced pixels
  const std::pair<size_t, size_t> sizes[] = {{1, 1}, {1, 1}, {2, 1}, {2, 2},
                                             {4, 2}, {4, 4}, {8, 4}};
  for (const auto& [width, height] : sizes) passes += rows(width, height, 'x');
  for (const bool interlaced : {false, true}) {
    const std::string pixels = deflated_bomb(interlaced ? passes : rows(8, 8, 'x'), 5000);
    const std::string file = png(8, 8, "", pixels, interlaced);
    const auto image = within(3, [&] { return decode_image(bytes_of(file)); });
    ASSERT_TRUE(image.ok()) << image.error().message;
    EXPECT_EQ(image.value().rgb, std::vector<uint8_t>(8 * 8 * 3, 'x')) << interlaced;
  }
}

TEST_F(HostilePictures, ThinAndLyingOnesAreReadOrRefused) {
  const auto thin = decode_image(bytes_of(png(1, 100'000, "", deflated(rows(1, 100'000, 'x')))));
  ASSERT_TRUE(thin.ok()) << thin.error().message;
  EXPECT_EQ(thin.value().height, 100'000);
  const auto refusal = [](const std::string& file) {
    const auto image = within(3, [&] { return decode_image(bytes_of(file)); });
    return image.ok() ? std::string("read") : image.error().message;
  };
  EXPECT_THAT(refusal(png(1, 200'000, "", deflated(rows(1, 200'000, 'x')))),
              HasSubstr("131072 on a side"));
  EXPECT_THAT(refusal(png(15'000, 15'000, "", "")), HasSubstr("limit of 100000000 pixels"));
  EXPECT_THAT(refusal(png(4000, 4000, "", deflated(rows(1, 1, 'x')))), HasSubstr("PNG: "));
  // GIF: the screen, and a frame that is larger than it
  const auto gif = [](const std::string& screen, const std::string& frame) {
    return "GIF89a" + screen + std::string("\x80\0\0\0\0\0\xff\xff\xff", 9) + ',' +
           std::string(4, '\0') + frame + std::string("\0\2\2\x44\1\0;", 7);
  };
  EXPECT_THAT(refusal(gif("\xff\xff\xff\xff", "\xff\xff\xff\xff")), HasSubstr("beyond the limit"));
  EXPECT_THAT(refusal(gif(std::string("\x8\0\x8\0", 4), "\xff\xff\xff\xff")),
              HasSubstr("beyond the limit"));
  EXPECT_THAT(refusal(gif(std::string("\0\x8\0\x8", 4), std::string("\0\x8\0\x8", 4))),
              HasSubstr("GIF: "));
  // WebP, lossless: 14 bits for each side
  const std::string webp = std::string("\x2f\xff\xff\xff\x0f", 5) + std::string(41, '\0');
  EXPECT_THAT(refusal("RIFF" + std::string("\x3a\0\0\0", 4) + "WEBPVP8L" +
                      std::string("\x2e\0\0\0", 4) + webp),
              HasSubstr("16384x16384 pixels is beyond the limit"));
}

std::string little_endian(uint32_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

struct Wave {
  uint32_t rate = 16000;
  uint32_t channels = 1;
  uint32_t promised_bytes = 0;
};
std::string wav(const Wave& wave, const std::string& samples) {
  return "RIFF" + little_endian(36 + wave.promised_bytes, 4) + "WAVEfmt " + little_endian(16, 4) +
         little_endian(1, 2) + little_endian(wave.channels, 2) + little_endian(wave.rate, 4) +
         little_endian(2 * wave.rate * wave.channels, 4) + little_endian(2 * wave.channels, 2) +
         little_endian(16, 2) + "data" + little_endian(wave.promised_bytes, 4) + samples;
}

class HostileClips : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!decodes_av()) GTEST_SKIP() << "this build has no FFmpeg (-DGEMMA4_AV=ON)";
  }
};

TEST_F(HostileClips, SoundsThatPromiseMoreGiveWhatThereIs) {
  const std::string second(32'000, 'x');
  for (const uint32_t promised : {36'000u * 32'000u, 0xffffffffu}) {
    const auto sound = within(
        3, [&] { return decode_sound(bytes_of(wav({.promised_bytes = promised}, second))); });
    ASSERT_TRUE(sound.ok()) << sound.error().message;
    EXPECT_EQ(sound.value().samples.size(), 16'000u);
    EXPECT_FALSE(sound.value().was_cut);
  }
  for (const Wave& wave : {Wave{.promised_bytes = 0}, Wave{.rate = 0, .promised_bytes = 32'000},
                           Wave{.rate = 0x7fffffff, .promised_bytes = 32'000},
                           Wave{.channels = 65'535, .promised_bytes = 32'000}}) {
    const std::string file = wav(wave, wave.promised_bytes == 0 ? "" : second);
    const auto sound = within(3, [&] { return decode_sound(bytes_of(file)); });
    ASSERT_FALSE(sound.ok()) << wave.rate << " " << wave.channels;
    EXPECT_EQ(sound.error().message.find('\n'), std::string::npos);
  }
}

std::string box(const std::string& type, const std::string& content) {
  return big_endian(static_cast<uint32_t>(8 + content.size())) + type + content;
}

// A table of 2^31 - 1 samples in two hundred bytes.
std::string lying_mp4(bool is_sound) {
  const std::string most = big_endian(0x7fffffff), one = big_endian(1), none = big_endian(0);
  const std::string sample =
      is_sound ? box("sowt", std::string(6, '\0') + std::string("\0\1", 2) + std::string(8, '\0') +
                                 std::string("\0\1\0\x10\0\0\0\0\x3e\x80\0\0", 12))
               : box("mp4v", std::string(6, '\0') + std::string("\0\1", 2) + std::string(16, '\0') +
                                 std::string("\0\x40\0\x30", 4) + std::string(50, '\0'));
  const std::string table =
      box("stbl", box("stsd", none + one + sample) + box("stts", none + one + most + one) +
                      box("stsc", none + one + one + most + one) +
                      box("stsz", none + big_endian(is_sound ? 2 : 1000) + most) +
                      box("stco", none + one + big_endian(32)));
  const std::string header = box("mdhd", none + none + none + big_endian(16'000) + most + none);
  const std::string handler =
      box("hdlr", std::string(8, '\0') + (is_sound ? "soun" : "vide") + std::string(13, '\0'));
  const std::string track =
      box("trak", box("tkhd", std::string("\0\0\0\1", 4) + std::string(80, '\0')) +
                      box("mdia", header + handler + box("minf", table)));
  return box("ftyp", std::string("isom\0\0\0\0isom", 12)) +
         box("moov", box("mvhd", std::string(100, '\0')) + track) +
         box("mdat", std::string(1000, '\0'));
}

TEST_F(HostileClips, TablesThatLieCostNothing) {
  const auto film = within(3, [&] {
    return decode_video(bytes_of(lying_mp4(false)), {}, {}, [](VideoFrame&&) { return Status(); });
  });
  ASSERT_FALSE(film.ok());
  EXPECT_EQ(film.error().message.find('\n'), std::string::npos) << film.error().message;
  const auto sound = within(3, [&] { return decode_sound(bytes_of(lying_mp4(true))); });
  if (sound.ok()) {
    EXPECT_LE(sound.value().samples.size(), 1000u);
  } else {
    EXPECT_EQ(sound.error().message.find('\n'), std::string::npos) << sound.error().message;
  }
}

TEST_F(HostileClips, RatesThatLieChangeTimesAlone) {
  for (const char* rate : {"2000000000:1", "1:2000000000"}) {
    std::string film = std::string("YUV4MPEG2 W32 H16 F") + rate + " Ip A1:1 C444\n";
    for (int i = 0; i < 40; ++i) film += "FRAME\n" + std::string(3 * 32 * 16, 'x');
    int frames = 0;
    const auto summary = within(3, [&] {
      return decode_video(bytes_of(film), {}, {}, [&](VideoFrame&& frame) {
        EXPECT_LE(time_stamp(frame.seconds).size(), 16u);
        ++frames;
        return Status();
      });
    });
    ASSERT_TRUE(summary.ok()) << summary.error().message;
    EXPECT_EQ(frames, 32) << rate;
  }
}

}  // namespace
}  // namespace gemma4::media

#include "media/sound.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numbers>

#include "io/mapped_file.h"

namespace gemma4::media {
namespace {

using ::testing::HasSubstr;

std::string golden(const std::string& name) {
  return std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/audio/" + name;
}

void append(std::string& out, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

// A WAV file of 16-bit samples (format 1) or of floats (format 3).
std::string wav(uint32_t rate, uint32_t channels, const std::string& data, uint32_t format = 1,
                uint32_t claimed_bytes = 0) {
  const uint32_t width = format == 1 ? 2 : 4;
  const auto bytes = claimed_bytes != 0 ? claimed_bytes : static_cast<uint32_t>(data.size());
  std::string out = "RIFF";
  append(out, 36 + bytes, 4);
  out += "WAVEfmt ";
  append(out, 16, 4);
  append(out, format, 2);
  append(out, channels, 2);
  append(out, rate, 4);
  append(out, rate * channels * width, 4);
  append(out, channels * width, 2);
  append(out, 8 * width, 2);
  out += "data";
  append(out, bytes, 4);
  return out + data;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// `count` samples of a tone in every channel, of amplitude `amplitudes[channel]`
std::string tone(uint32_t rate, int64_t count, const std::vector<double>& amplitudes) {
  std::string data;
  for (int64_t n = 0; n < count; ++n)
    for (const double amplitude : amplitudes)
      append(data,
             static_cast<uint32_t>(static_cast<int32_t>(std::lround(
                 32767 * amplitude *
                 std::sin(2 * std::numbers::pi * 440 * static_cast<double>(n) / rate)))),
             2);
  return data;
}

class Sounds : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!decodes_av()) GTEST_SKIP() << "this build has no FFmpeg (-DGEMMA4_AV=ON)";
  }
};

TEST_F(Sounds, SixteenBitSamplesArriveAsTheyAre) {
  const std::string file = io::read_file(golden("sound1.wav")).value();
  const auto sound = read_sound(golden("sound1.wav"));
  ASSERT_TRUE(sound.ok()) << sound.error().message;
  ASSERT_EQ(sound.value().samples.size(), 16000u);
  EXPECT_FALSE(sound.value().was_cut);
  EXPECT_FALSE(sound.value().is_damaged);
  for (size_t i = 0; i < 16000; ++i) {
    int16_t word = 0;
    std::memcpy(&word, file.data() + 44 + 2 * i, 2);
    ASSERT_EQ(sound.value().samples[i], static_cast<float>(word) / 32768.0f) << i;
  }
}

TEST_F(Sounds, ChannelsAreAveraged) {
  for (const uint32_t channels : {2u, 3u, 6u, 8u, 12u, 24u}) {
    std::vector<double> amplitudes(channels);
    double mean = 0;
    for (size_t i = 0; i < channels; ++i) {
      amplitudes[i] = static_cast<double>(i + 1) / channels;
      mean += amplitudes[i] / channels;
    }
    const auto sound = decode_sound(bytes_of(wav(16000, channels, tone(16000, 800, amplitudes))));
    ASSERT_TRUE(sound.ok()) << channels << ": " << sound.error().message;
    ASSERT_EQ(sound.value().samples.size(), 800u);
    for (size_t n = 0; n < 800; ++n)
      ASSERT_NEAR(sound.value().samples[n],
                  mean * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(n) / 16000),
                  1e-4)
          << channels << " channels, sample " << n;
  }
}

TEST_F(Sounds, RatesAreConverted) {
  for (const uint32_t rate :
       {8000u, 11025u, 22050u, 44100u, 48000u, 96000u, 192000u, 384000u, 768000u}) {
    const auto sound = decode_sound(bytes_of(wav(rate, 1, tone(rate, rate, {0.5}))));
    ASSERT_TRUE(sound.ok()) << rate << ": " << sound.error().message;
    const std::vector<float>& samples = sound.value().samples;
    EXPECT_NEAR(static_cast<double>(samples.size()), 16000, 8) << rate;
    for (size_t n = 400; n < 15600; ++n)  // away from the ends, where the filter sees silence
      ASSERT_NEAR(samples[n],
                  0.5 * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(n) / 16000), 2e-3)
          << rate << " Hz, sample " << n;
  }
}

TEST_F(Sounds, WhatIsTooLongIsCutAndSaidSo) {
  const std::string data(2 * 20000, '\1');
  const auto cut = decode_sound(bytes_of(wav(16000, 1, data)), {.max_samples = 1000});
  ASSERT_TRUE(cut.ok()) << cut.error().message;
  EXPECT_EQ(cut.value().samples.size(), 1000u);
  EXPECT_TRUE(cut.value().was_cut);
  const auto whole = decode_sound(bytes_of(wav(16000, 1, data)), {.max_samples = 20000});
  EXPECT_EQ(whole.value().samples.size(), 20000u);
  EXPECT_FALSE(whole.value().was_cut);
  const auto large = decode_sound(bytes_of(wav(16000, 1, data)), {.max_file_bytes = 100});
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code, ErrorCode::kResourceExhausted);
}

// Ten hours by its header, of which forty seconds are there and thirty are decoded.
TEST_F(Sounds, LongSoundsCostNoMoreThanTheirBeginning) {
  constexpr uint32_t kBytesPerSecond = 2 * 8000;
  const std::string file =
      wav(8000, 1, std::string(size_t{40} * kBytesPerSecond, '\0'), 1, 36000 * kBytesPerSecond);
  const auto sound = decode_sound(bytes_of(file));
  ASSERT_TRUE(sound.ok()) << sound.error().message;
  EXPECT_EQ(static_cast<int64_t>(sound.value().samples.size()), kClipSamples);
  EXPECT_TRUE(sound.value().was_cut);
}

// Ten hours that are there, at the lowest rate: 72 MB.
TEST_F(Sounds, TenHoursCostNoMoreThanTheirBeginning) {
  constexpr uint32_t kRate = 1000;
  const std::string file = wav(kRate, 1, std::string(size_t{2} * kRate * 36000, '\1'));
  const auto start = std::chrono::steady_clock::now();
  const auto sound = decode_sound(bytes_of(file));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(sound.ok()) << sound.error().message;
  EXPECT_EQ(static_cast<int64_t>(sound.value().samples.size()), kClipSamples);
  EXPECT_TRUE(sound.value().was_cut);
  EXPECT_LT(took.count(), 10);  // a hundredth of it, without sanitizers
}

TEST_F(Sounds, SilenceIsASoundToo) {
  for (const uint32_t rate : {8000u, 16000u, 44100u}) {
    const auto sound = decode_sound(bytes_of(wav(rate, 2, std::string(size_t{4} * rate, '\0'))));
    ASSERT_TRUE(sound.ok()) << sound.error().message;
    EXPECT_NEAR(static_cast<double>(sound.value().samples.size()), 16000, 8) << rate;
    EXPECT_FALSE(sound.value().is_damaged);
    for (const float sample : sound.value().samples) ASSERT_EQ(sample, 0.0f) << rate;
  }
}

TEST_F(Sounds, RatesThatAreNoneOfSoundAreNamed) {
  for (const uint32_t rate : {1u, 999u, 768001u, 0x7fffffffu}) {
    const auto sound = decode_sound(bytes_of(wav(rate, 1, std::string(64, 'a'))));
    ASSERT_FALSE(sound.ok()) << rate;
    EXPECT_THAT(sound.error().message,
                HasSubstr(std::to_string(rate) + " samples per second, expected 1000 to 768000"));
  }
}

TEST_F(Sounds, TheTimeOfWorkIsLimited) {
  const auto sound =
      decode_sound(bytes_of(wav(8000, 1, std::string(1 << 20, '\1'))), {.max_seconds = 0});
  ASSERT_FALSE(sound.ok());
  EXPECT_EQ(sound.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(sound.error().message, HasSubstr("takes longer than 0 seconds"));
}

TEST_F(Sounds, LyingAndTruncatedHeadersGetOneSentence) {
  // More data announced than there are: what is there is taken.
  const auto truncated = decode_sound(bytes_of(wav(16000, 1, std::string(640, '\2'), 1, 1 << 30)));
  ASSERT_TRUE(truncated.ok()) << truncated.error().message;
  EXPECT_EQ(truncated.value().samples.size(), 320u);

  const std::string whole = io::read_file(golden("sound0.wav")).value();
  const std::vector<std::string> broken = {
      "",
      "RIFF",
      "this is a text and no sound",
      std::string(5000, '\0'),
      whole.substr(0, 20),
      whole.substr(0, 44),  // no samples
      wav(16000, 1, ""),    // none on purpose
      wav(0, 1, std::string(64, 'a')),
      wav(1, 1, std::string(64, 'a')),
      wav(0x7fffffff, 1, std::string(64, 'a')),
      wav(16000, 65535, std::string(64, 'a')),
      wav(16000, 0, std::string(64, 'a')),
      "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
      "ffconcat version 1.0\nfile /etc/passwd\n",
  };
  for (const std::string& file : broken) {
    const auto sound = decode_sound(bytes_of(file));
    ASSERT_FALSE(sound.ok()) << file.substr(0, 60);
    EXPECT_FALSE(sound.error().message.empty());
    EXPECT_EQ(sound.error().message.find('\n'), std::string::npos) << sound.error().message;
  }
}

TEST_F(Sounds, NumbersThatAreNoneBecomeSilence) {
  std::string data;
  for (const float value : {0.5f, std::nanf(""), INFINITY, -0.25f})
    append(data, std::bit_cast<uint32_t>(value), 4);
  const auto sound = decode_sound(bytes_of(wav(16000, 1, data, 3)));
  ASSERT_TRUE(sound.ok()) << sound.error().message;
  EXPECT_EQ(sound.value().samples, (std::vector<float>{0.5f, 0, 0, -0.25f}));
  EXPECT_TRUE(sound.value().is_damaged);
}

TEST_F(Sounds, ComeFromDataUrlsToo) {
  std::string url = "data:audio/wav,";
  for (const char c : wav(16000, 1, std::string(64, '\1'))) {
    char hex[4];
    std::snprintf(hex, sizeof hex, "%%%02x", static_cast<unsigned>(static_cast<uint8_t>(c)));
    url += hex;
  }
  const auto sound = sound_from_data_url(url);
  ASSERT_TRUE(sound.ok()) << sound.error().message;
  EXPECT_EQ(sound.value().samples.size(), 32u);
  const auto missing = read_sound("/nowhere/at/all.wav");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("/nowhere/at/all.wav"));
}

}  // namespace
}  // namespace gemma4::media

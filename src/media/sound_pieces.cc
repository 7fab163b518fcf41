#include "media/sound_pieces.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "media/log_mel.h"

namespace gemma4::media {
namespace {

constexpr int64_t kPause = kSampleRate / 5;  // as long as one between words
constexpr int64_t kStep = kSampleRate / 100;

// The middle of the quietest `pause` samples of at least as many.
int64_t quietest(std::span<const float> samples, int64_t pause) {
  const auto energy = [&](int64_t begin) {
    double sum = 0;
    for (const float sample :
         samples.subspan(static_cast<size_t>(begin), static_cast<size_t>(pause)))
      sum += static_cast<double>(sample) * static_cast<double>(sample);
    return sum;
  };
  int64_t best = 0;
  double least = energy(0);
  for (int64_t begin = kStep; begin + pause <= std::ssize(samples); begin += kStep)
    if (const double sum = energy(begin); sum < least) {
      least = sum;
      best = begin;
    }
  return best + pause / 2;
}

void append(std::string& bytes, uint32_t number, size_t count) {
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
}

}  // namespace

std::vector<std::span<const float>> split_sound(std::span<const float> samples, int64_t most) {
  const int64_t pause = std::clamp<int64_t>(most / 10, 1, kPause);
  const int64_t search = std::max(most / 5, pause);
  std::vector<std::span<const float>> pieces;
  while (std::ssize(samples) > most) {
    const int64_t from = most - search;
    const std::span<const float> end =
        samples.subspan(static_cast<size_t>(from), static_cast<size_t>(search));
    const auto cut = static_cast<size_t>(std::max<int64_t>(1, from + quietest(end, pause)));
    pieces.push_back(samples.first(cut));
    samples = samples.subspan(cut);
  }
  pieces.push_back(samples);
  return pieces;
}

std::string wav_of(std::span<const float> samples) {
  constexpr uint32_t kFloat = 3, kBytes = sizeof(float), kRate = kSampleRate;
  const auto size = static_cast<uint32_t>(samples.size_bytes());
  std::string file = "RIFF";
  append(file, 36 + size, 4);
  file += "WAVEfmt ";
  append(file, 16, 4);
  append(file, kFloat, 2);
  append(file, 1, 2);  // channels
  append(file, kRate, 4);
  append(file, kRate * kBytes, 4);
  append(file, kBytes, 2);
  append(file, 8 * kBytes, 2);
  file += "data";
  append(file, size, 4);
  for (const float sample : samples) append(file, std::bit_cast<uint32_t>(sample), kBytes);
  return file;
}

}  // namespace gemma4::media

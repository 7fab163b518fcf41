// Films and sounds made in the test, by FFmpeg's muxers and its MPEG-4 and PCM encoders: what no
// file in the repository has to be kept for.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gemma4::testing {

struct FilmPictures {
  int width = 64;
  int height = 48;
  int frames = 10;
  // Of the stream, as containers keep it (a, b, c, d of x' = a x + c y, y' = b x + d y); all zero:
  // none
  std::array<int, 4> matrix = {0, 0, 0, 0};
};

struct FilmSound {
  double value = 0.5;  // of all its samples
  double seconds = 1;
  int rate = 16000;
  int channels = 1;
};

struct FilmTracks {
  std::string format = "matroska";  // a muxer of libavformat
  int fps = 10;
  std::vector<FilmPictures> pictures = {};
  std::vector<FilmSound> sounds = {};
};

// Frame i is grey 20 + 8·i, but for its first quarter, the upper left, which is white.
std::string make_film(const FilmTracks& tracks);

}  // namespace gemma4::testing

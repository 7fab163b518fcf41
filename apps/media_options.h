// Options about pictures, sounds and films, which several commands share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "answer/media_reader.h"

namespace CLI {
class App;
}

namespace gemma4::apps {

// --image-tokens, --audio-seconds, --video-frames, --video-fps, --video-max-frames, --video-tokens,
// --max-image-pixels, --max-media-mb, --max-decode-seconds
struct MediaArguments {
  int64_t image_budget = media::kDefaultImageBudget;  // soft tokens of a picture; 0: what fits it
  answer::FilmOptions film;
  answer::MediaLimits limits;
};
void add_media_arguments(CLI::App& command, MediaArguments& arguments);

// A file or data URL that a command line names.
struct GivenMedium {
  enum class Kind { kImage, kAudio, kVideo };
  Kind kind = Kind::kImage;
  std::string source;
};
// --image, --audio and --video, each as often as wanted.
void add_given_media(CLI::App& command);
// What they named, in the order of the command line, once that is parsed.
std::vector<GivenMedium> given_media(const CLI::App& command);

// "--image" of a picture
const char* option_of(GivenMedium::Kind kind);

}  // namespace gemma4::apps

#include "apps/media_options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <map>

#include "apps/option_checks.h"
#include "base/strings.h"

namespace gemma4::apps {
namespace {

constexpr uint64_t kMegabyte = uint64_t{1} << 20;

using Kind = GivenMedium::Kind;

struct GivenOption {
  Kind kind;
  const char* name;
  const char* help;
};
constexpr std::array<GivenOption, 3> kGivenOptions = {{
    {Kind::kImage, "--image",
     "Picture (JPEG, PNG, WebP, GIF) before the prompt, a file or a data URL; several are allowed, "
     "mixed with --audio and --video in any order"},
    {Kind::kAudio, "--audio",
     "Sound before the prompt, of any format of FFmpeg, a file or a data URL; several are allowed"},
    {Kind::kVideo, "--video",
     "Film before the prompt, its sound after it, a file or a data URL; several are allowed"},
}};

void add_film_arguments(CLI::App& command, answer::FilmOptions& film) {
  auto* frames = command
                     .add_option("--video-frames", film.sampling.num_frames,
                                 "Frames of a film, spread over the whole")
                     ->capture_default_str()
                     ->check(whole_number(1));
  command
      .add_option("--video-fps", film.sampling.fps,
                  "Frames of each second of a film, instead of --video-frames")
      ->check(number("above 0", [](double v) { return v > 0; }))
      ->excludes(frames);
  command
      .add_option("--video-max-frames", film.sampling.max_frames,
                  "Most frames of a film, however they are chosen")
      ->capture_default_str()
      ->check(whole_number(1, 10'000));
  std::vector<std::string> budgets;
  for (const int64_t budget : media::kImageBudgets) budgets.push_back(std::to_string(budget));
  command
      .add_option("--video-tokens", film.frame_budget,
                  "Soft tokens of each frame: 70, 140, 280, 560 or 1120")
      ->capture_default_str()
      ->check(one_of(std::move(budgets)));
}

// What a file may cost. Beyond, it is refused; the defaults are stated as the structs have them.
void add_limits(CLI::App& command, answer::MediaLimits& limits) {
  const answer::MediaLimits defaults;
  command
      .add_option("--max-image-pixels", limits.image.max_pixels,
                  str_cat("Refuse larger pictures before they are decoded (default: ",
                          defaults.image.max_pixels, ")"))
      ->check(whole_number(1));
  command
      .add_option_function<uint64_t>(
          "--max-media-mb",
          [&limits](uint64_t megabytes) {
            limits.image.max_file_bytes = megabytes * kMegabyte;
            limits.sound.max_file_bytes = limits.video.max_file_bytes = megabytes * kMegabyte;
          },
          str_cat("Refuse larger files, in MB (default: ",
                  defaults.image.max_file_bytes / kMegabyte, " for pictures, ",
                  defaults.sound.max_file_bytes / kMegabyte, " for sounds and films)"))
      ->check(whole_number(1, 1 << 20));
  command
      .add_option_function<double>(
          "--max-decode-seconds",
          [&limits](double seconds) {
            limits.sound.max_seconds = limits.video.max_seconds = seconds;
          },
          str_cat("Give up on a file that takes longer to decode (default: ",
                  defaults.sound.max_seconds, " for sounds, ", defaults.video.max_seconds,
                  " for films)"))
      ->check(number("above 0", [](double v) { return v > 0; }));
}

}  // namespace

const char* option_of(Kind kind) {
  for (const GivenOption& option : kGivenOptions)
    if (option.kind == kind) return option.name;
  return "";
}

void add_media_arguments(CLI::App& command, MediaArguments& arguments) {
  const auto parse_budget = [&arguments](const std::string& text) {
    const Result<int64_t> parsed = answer::image_budget(text);
    if (!parsed.ok()) throw CLI::ValidationError("--image-tokens", parsed.error().message);
    arguments.image_budget = parsed.value();
  };
  command
      .add_option_function<std::string>(
          "--image-tokens", parse_budget,
          "Soft tokens of a picture: 70, 140, 280, 560, 1120, or auto for those that do not reduce "
          "it")
      ->default_str("280");
  command
      .add_option_function<double>(
          "--audio-seconds",
          [&arguments](double seconds) {
            arguments.limits.sound.max_samples =
                static_cast<int64_t>(seconds * static_cast<double>(media::kSampleRate));
          },
          "Seconds that are heard of a sound; more than 30 only by models without an audio encoder "
          "(12B)")
      ->default_str("30")
      ->check(number("from 0.02 to 3600", [](double v) { return v >= 0.02 && v <= 3600; }));
  add_film_arguments(command, arguments.film);
  add_limits(command, arguments.limits);
}

void add_given_media(CLI::App& command) {
  for (const GivenOption& option : kGivenOptions)
    command.add_option(option.name, option.help)->expected(1, 1 << 20)->type_name("TEXT");
}

std::vector<GivenMedium> given_media(const CLI::App& command) {
  std::vector<GivenMedium> given;
  std::map<const CLI::Option*, size_t> taken;
  for (const CLI::Option* option : command.parse_order())
    for (const GivenOption& known : kGivenOptions)
      if (option == command.get_option(known.name))
        given.push_back({known.kind, option->results().at(taken[option]++)});
  return given;
}

}  // namespace gemma4::apps

// Sounds and films of MediaReader.

#include <algorithm>

#include "answer/audio_input.h"
#include "answer/media_reader.h"
#include "base/content_hash.h"
#include "base/strings.h"
#include "media/data_url.h"
#include "media/sound.h"

namespace gemma4::answer {
namespace {

// What an audio encoder is given at most; without one there is no such limit.
constexpr int64_t kMostSamples = media::kClipSamples;
constexpr double kSecondsMeantFor = 60;  // of a film

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

void add_note(const std::string& name, const std::string& what, std::string& note) {
  note += (note.empty() ? name + ": " : std::string("; ")) + what;
}

// What the user should know about the frames of a film.
std::string notes_on(const std::string& name, const media::VideoSummary& film, size_t num_frames) {
  std::string note;
  if (film.fps_is_assumed)
    add_note(name, "it does not say its frame rate, 24 per second are assumed", note);
  if (film.seconds() > kSecondsMeantFor)
    add_note(name, "it is longer than the 60 s that models know", note);
  if (film.frames_left_out > 0)
    add_note(name,
             str_cat("of the ", static_cast<int64_t>(num_frames) + film.frames_left_out,
                     " frames that were asked for the model sees ", num_frames,
                     ", spread over the whole; --video-max-frames takes more"),
             note);
  if (film.is_damaged) add_note(name, "parts are damaged, frames before them stand for them", note);
  return note;
}

}  // namespace

Status MediaReader::check_hears() const {
  if (!model_->config().audio)
    return Error{
        ErrorCode::kUnsupported,
        "this model does not hear: it has no audio tower; E2B, E4B and 12B have one, and a "
        "GGUF model's projector is named with --mmproj"};
  for (const char* marker : {"<|audio>", "<|audio|>", "<audio|>"})
    if (!tokenizer_->added_token(marker))
      return Error{ErrorCode::kUnsupported,
                   str_cat("this model does not hear: its vocabulary has no ", marker)};
  return {};
}

Result<MediaReader::Tokens> MediaReader::encode_sound(std::span<const float> sound) {
  G4_ASSIGN_OR_RETURN(const model::AudioTower* const tower, audio_tower());
  const auto bytes = std::as_bytes(sound);
  const engine::EncodingCache::Key key{
      .kind = model::MediaKind::kAudio,
      .hash = content_hash(bytes),
      .width = tower->input_width(),
      .content = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}};
  Tokens tokens = cache_.find(key);
  if (tokens != nullptr) return tokens;
  G4_ASSIGN_OR_RETURN(std::vector<float> soft, tower->encode(sound));
  ++num_encoded_;
  tokens =
      std::make_shared<const model::SoftTokens>(model::SoftTokens{tower->width(), std::move(soft)});
  cache_.insert(key, tokens);
  return tokens;
}

Result<PreparedMedia> MediaReader::sound(const std::string& source) {
  G4_RETURN_IF_ERROR(check_hears());
  const bool is_url = media::is_data_url(source);
  const std::string name = is_url ? "sound" : source;
  G4_ASSIGN_OR_RETURN(const model::AudioTower* const tower, audio_tower());
  media::SoundLimits limits = limits_.sound;
  if (!tower->reads_samples()) limits.max_samples = std::min(limits.max_samples, kMostSamples);
  G4_ASSIGN_OR_RETURN(const media::Sound sound, is_url ? media::sound_from_data_url(source, limits)
                                                       : media::read_sound(source, limits));
  auto input = audio_input(*tower, sound.samples);
  if (!input.ok()) return input.error().with_context(name);
  const int64_t soft_tokens =
      tower->num_tokens(static_cast<int64_t>(input.value().size()) / tower->input_width());
  const double seconds =
      static_cast<double>(sound.samples.size()) / static_cast<double>(media::kSampleRate);
  PreparedMedia prepared{
      .part = {.type = chat::ContentPart::Type::kAudio, .source = source},
      .text = {chat::ContentPart::Type::kAudio, chat::audio_text(soft_tokens)},
      .summary = str_cat(name, ": ", seconds_text(seconds), ", ", soft_tokens, " soft tokens")};
  if (sound.was_cut)
    add_note(name,
             str_cat("the model hears its first ", seconds_text(seconds),
                     tower->reads_samples() || limits.max_samples < kMostSamples
                         ? "; --audio-seconds takes more"
                         : ""),
             prepared.note);
  if (sound.is_damaged) add_note(name, "parts are damaged and left out", prepared.note);
  prepared.content = std::make_shared<MediaContent>(
      MediaContent{.kind = model::MediaKind::kAudio, .sound = std::move(input).value()});
  return prepared;
}

Result<std::vector<PreparedMedia>> MediaReader::film(const std::string& source,
                                                     const FilmOptions& options) {
  G4_RETURN_IF_ERROR(check_sees());
  const bool is_url = media::is_data_url(source);
  const std::string name = is_url ? "film" : source;
  G4_ASSIGN_OR_RETURN(const auto device, cpu());
  const auto content =
      std::make_shared<MediaContent>(MediaContent{.kind = model::MediaKind::kVideo});
  std::vector<media::ProcessedImage>& frames = content->pictures;
  std::string text;
  int64_t soft_tokens = 0;
  media::VideoSampling sampling = options.sampling;
  if (model_->config().vision->unified) sampling.alpha = media::FrameAlpha::kDropped;
  const auto take = [&](media::VideoFrame&& frame) -> Status {
    G4_ASSIGN_OR_RETURN(media::ProcessedImage image,
                        media::process_image(frame.image, {.budget = options.frame_budget,
                                                           .pool = device->queue().pool}));
    const int64_t count = image.size().soft_tokens();
    soft_tokens += count;
    if (!text.empty()) text += ' ';
    text += chat::frame_text(media::time_stamp(frame.seconds), count);
    frames.push_back(std::move(image));
    return {};
  };
  G4_ASSIGN_OR_RETURN(const media::VideoSummary summary,
                      is_url ? media::video_from_data_url(source, sampling, limits_.video, take)
                             : media::read_video(source, sampling, limits_.video, take));
  const media::ImageSize own = frames.front().source, seen = frames.front().size();
  std::vector<PreparedMedia> film = {
      {.part = {.type = chat::ContentPart::Type::kVideo, .source = source},
       .text = {chat::ContentPart::Type::kVideo, std::move(text)},
       .summary = str_cat(name, ": ", frames.size(), " of ", summary.total_frames, " frames of ",
                          seconds_text(summary.seconds()), ", ", own.width, "x", own.height,
                          " pixels seen at ", seen.width, "x", seen.height, ", ", soft_tokens,
                          " soft tokens"),
       .note = notes_on(name, summary, frames.size()),
       .content = content}};
  if (summary.has_sound) add_sound_track(source, film);
  return film;
}

// The sound of a film comes after the text; a film whose sound cannot be used is still seen.
void MediaReader::add_sound_track(const std::string& source, std::vector<PreparedMedia>& film) {
  const std::string name = media::is_data_url(source) ? "film" : source;
  if (!check_hears().ok())
    return add_note(name, "its sound is left out, this model does not hear", film[0].note);
  Result<PreparedMedia> track = sound(source);
  if (!track.ok()) {
    std::string reason = track.error().message;
    if (reason.starts_with(name + ": ")) reason.erase(0, name.size() + 2);
    return add_note(name, "its sound is left out: " + reason, film[0].note);
  }
  track.value().after_text = true;
  film.push_back(std::move(track).value());
}

}  // namespace gemma4::answer

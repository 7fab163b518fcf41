// Sounds and films of MediaReader.

#include "answer/audio_input.h"
#include "answer/media_reader.h"
#include "base/strings.h"
#include "media/data_url.h"
#include "media/sound.h"

namespace gemma4::answer {
namespace {

constexpr int64_t kFrameBudget = 70;     // soft tokens of a frame
constexpr double kSecondsMeantFor = 60;  // of a film

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
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

Result<const model::AudioTower*> MediaReader::audio_tower() {
  if (!audio_tower_) {
    G4_ASSIGN_OR_RETURN(const auto device, cpu());
    G4_ASSIGN_OR_RETURN(model::AudioTower tower,
                        model::AudioTower::create(model_->config(), model_->store(), device));
    audio_tower_ = std::move(tower);
  }
  return &*audio_tower_;
}

Result<PreparedMedia> MediaReader::sound(const std::string& source) {
  G4_RETURN_IF_ERROR(check_hears());
  const bool is_url = media::is_data_url(source);
  const std::string name = is_url ? "sound" : source;
  G4_ASSIGN_OR_RETURN(const media::Sound sound,
                      is_url ? media::sound_from_data_url(source) : media::read_sound(source));
  G4_ASSIGN_OR_RETURN(const model::AudioTower* const tower, audio_tower());
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
    prepared.note = str_cat(name, ": the model hears its first ", seconds_text(seconds));
  if (sound.is_damaged)
    prepared.note += str_cat(prepared.note.empty() ? name + ": " : std::string("; "),
                             "parts are damaged and left out");
  struct Kept {
    std::vector<float> input;
    std::shared_ptr<const model::SoftTokens> tokens;  // once they were asked for
  };
  prepared.encode =
      [tower, kept = std::make_shared<Kept>(Kept{
                  std::move(input).value(), nullptr})]() -> Result<std::vector<model::MediaItem>> {
    if (kept->tokens == nullptr) {
      G4_ASSIGN_OR_RETURN(std::vector<float> soft, tower->encode(kept->input));
      kept->tokens = std::make_shared<const model::SoftTokens>(
          model::SoftTokens{tower->width(), std::move(soft)});
    }
    return std::vector<model::MediaItem>{{model::MediaKind::kAudio, kept->tokens}};
  };
  return prepared;
}

Result<std::vector<PreparedMedia>> MediaReader::film(const std::string& source,
                                                     const media::VideoSampling& sampling) {
  G4_RETURN_IF_ERROR(check_sees());
  const bool is_url = media::is_data_url(source);
  const std::string name = is_url ? "film" : source;
  G4_ASSIGN_OR_RETURN(const auto device, cpu());
  const auto frames = std::make_shared<std::vector<media::ProcessedImage>>();
  std::string text;
  int64_t soft_tokens = 0;
  const auto take = [&](media::VideoFrame&& frame) -> Status {
    G4_ASSIGN_OR_RETURN(
        media::ProcessedImage image,
        media::process_image(frame.image, {.budget = kFrameBudget, .pool = device->queue().pool}));
    const int64_t count = image.size().soft_tokens();
    soft_tokens += count;
    if (!text.empty()) text += ' ';
    text += chat::frame_text(media::time_stamp(frame.seconds), count);
    frames->push_back(std::move(image));
    return {};
  };
  G4_ASSIGN_OR_RETURN(const media::VideoSummary summary,
                      is_url ? media::video_from_data_url(source, sampling, {}, take)
                             : media::read_video(source, sampling, {}, take));
  PreparedMedia film{
      .part = {.type = chat::ContentPart::Type::kVideo, .source = source},
      .text = {chat::ContentPart::Type::kVideo, std::move(text)},
      .summary = str_cat(name, ": ", frames->size(), " frames of ", seconds_text(summary.seconds()),
                         ", ", soft_tokens, " soft tokens")};
  const auto note = [&](const std::string& what) {
    film.note += (film.note.empty() ? name + ": " : std::string("; ")) + what;
  };
  if (summary.fps_is_assumed) note("it does not say its frame rate, 24 per second are assumed");
  if (summary.seconds() > kSecondsMeantFor) note("it is longer than the 60 s that models know");
  if (summary.is_damaged) note("parts are damaged, frames before them stand for them");
  film.encode = [this, frames]() -> Result<std::vector<model::MediaItem>> {
    std::vector<model::MediaItem> items;
    for (const media::ProcessedImage& frame : *frames) {
      G4_ASSIGN_OR_RETURN(const std::vector<model::MediaItem> encoded, encode(frame));
      for (const model::MediaItem& item : encoded)
        items.push_back({model::MediaKind::kVideo, item.tokens});
    }
    return items;
  };
  std::vector<PreparedMedia> all = {std::move(film)};
  if (summary.has_sound && check_hears().ok()) {
    G4_ASSIGN_OR_RETURN(PreparedMedia track, sound(source));
    track.after_text = true;
    all.push_back(std::move(track));
  }
  return all;
}

}  // namespace gemma4::answer

// Media that a user gives, made ready for a prompt: read and checked at once, encoded by the towers
// when the prompt runs. Towers are loaded with the first medium that needs them, and what was
// encoded once is kept.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/media_text.h"
#include "chat/messages.h"
#include "engine/encoding_cache.h"
#include "media/image_processor.h"
#include "media/sound.h"
#include "media/video.h"
#include "model/audio_tower.h"
#include "model/model.h"
#include "model/vision_tower.h"
#include "text/tokenizer.h"

namespace gemma4::answer {

// A medium as its tower reads it, and what the tower made of it.
struct MediaContent {
  model::MediaKind kind = model::MediaKind::kImage;
  std::vector<media::ProcessedImage> pictures = {};  // one, or the frames of a film
  std::vector<float> sound = {};                     // as audio_input() makes it
  // Soft tokens in the order of the prompt's placeholders; empty until they are asked for. They
  // stay as long as the medium: what the cache forgets is not computed again.
  std::vector<model::MediaItem> items = {};
};

struct PreparedMedia {
  chat::ContentPart part;   // what joins the message
  chat::MediaText text;     // what stands for it in the prompt
  std::string summary;      // for the user: "photo.jpg: 640x427 pixels, 260 soft tokens"
  std::string note;         // what the user should know; empty when nothing
  media::ImageSize size;    // of a picture, in its own pixels
  bool after_text = false;  // of its message: the sound of a film
  std::shared_ptr<MediaContent> content;  // shared by copies
};

// How a film is shown.
struct FilmOptions {
  media::VideoSampling sampling;
  int64_t frame_budget = 70;  // soft tokens of a frame, one of media::kImageBudgets
};

// What media may cost, and how much of them is taken.
struct MediaLimits {
  media::ImageLimits image;
  media::SoundLimits sound;
  media::VideoLimits video;
};

// What --image-tokens means: one of media::kImageBudgets, or 0 for the one that fits the picture.
Result<int64_t> image_budget(const std::string& option);

// `source` is a file or a data URL. Errors: those of media::read_image.
Result<media::Image> read_picture(const std::string& source, const media::ImageLimits& limits);

class MediaReader {
 public:
  // `device` is what the model runs on, and the towers too; on a CPU of their own where it is null
  // or its memory has no room for them, which a note on stderr says. Encoding must not run beside
  // other work on the device.
  MediaReader(std::shared_ptr<const model::Model> model,
              std::shared_ptr<const text::Tokenizer> tokenizer,
              std::shared_ptr<kernels::Device> device, const MediaLimits& limits)
      : model_(std::move(model)),
        tokenizer_(std::move(tokenizer)),
        device_(std::move(device)),
        limits_(limits) {}

  // `source` is a file or a data URL. Errors: kUnsupported for a model that does not see, and those
  // of media::read_image.
  Result<PreparedMedia> image(const std::string& source, int64_t budget);
  // The same of a sound; kUnsupported for a model that does not hear, errors of media::read_sound.
  // Models with an audio encoder hear 30 s at most, whatever the limit is.
  Result<PreparedMedia> sound(const std::string& source);
  // A film as frames and, where it has sound and the model hears, its sound track. A note says
  // which frames or what sound are left out, and why.
  Result<std::vector<PreparedMedia>> film(const std::string& source, const FilmOptions& options);

  // Soft tokens of all `media`, in order. Pictures and frames that no tower has seen yet go through
  // it together, as many in one pass as VisionTower::pass_patches() allows. Errors: those of
  // towers.
  Result<std::vector<model::MediaItem>> encode(std::span<const PreparedMedia> media);

  // Pictures, frames and sounds that went through a tower so far, what is found in the cache left
  // out; and the passes of pictures and frames.
  int64_t num_encoded() const { return num_encoded_; }
  int64_t num_passes() const { return num_passes_; }

 private:
  Status check_sees() const;
  Status check_hears() const;
  Result<const model::AudioTower*> audio_tower();
  Result<const model::VisionTower*> vision_tower();
  Result<std::shared_ptr<kernels::Device>> cpu();  // for pictures, and towers without a card
  template <class Tower>
  Result<const Tower*> load_tower(std::optional<Tower>& tower);
  using Tokens = std::shared_ptr<const model::SoftTokens>;
  using Pictures = std::vector<const media::ProcessedImage*>;
  Result<std::vector<Tokens>> encode_pictures(const Pictures& pictures);
  // One pass of the tower.
  Result<std::vector<Tokens>> encode_pass(const model::VisionTower& tower,
                                          const Pictures& pictures);
  Result<Tokens> encode_sound(std::span<const float> sound);
  void add_sound_track(const std::string& source, std::vector<PreparedMedia>& film);

  std::shared_ptr<const model::Model> model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<kernels::Device> device_;
  MediaLimits limits_;
  std::shared_ptr<kernels::Device> cpu_;
  std::optional<model::VisionTower> vision_tower_;
  std::optional<model::AudioTower> audio_tower_;
  engine::EncodingCache cache_;
  int64_t num_encoded_ = 0;
  int64_t num_passes_ = 0;
};

}  // namespace gemma4::answer

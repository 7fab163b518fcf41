// Media that a user gives, made ready for a prompt: read and checked at once, encoded by the towers
// when the prompt runs. Towers are loaded with the first medium that needs them, and what was
// encoded once is kept.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/media_text.h"
#include "chat/messages.h"
#include "engine/encoding_cache.h"
#include "media/image_processor.h"
#include "media/video.h"
#include "model/audio_tower.h"
#include "model/model.h"
#include "model/vision_tower.h"
#include "text/tokenizer.h"

namespace gemma4::answer {

struct PreparedMedia {
  chat::ContentPart part;   // what joins the message
  chat::MediaText text;     // what stands for it in the prompt
  std::string summary;      // for the user: "photo.jpg: 640x427 pixels, 260 soft tokens"
  std::string note;         // what the user should know; empty when nothing
  media::ImageSize size;    // of a picture, in its own pixels
  bool after_text = false;  // of its message: the sound of a film
  // Its soft tokens, in the order of the prompt's placeholders
  std::function<Result<std::vector<model::MediaItem>>()> encode;
};

// What --image-tokens means: one of media::kImageBudgets, or 0 for the one that fits the picture.
Result<int64_t> image_budget(const std::string& option);

class MediaReader {
 public:
  // `device` is what the model runs on; towers run there if it is a CPU, else on a CPU of their
  // own.
  MediaReader(std::shared_ptr<const model::Model> model,
              std::shared_ptr<const text::Tokenizer> tokenizer,
              std::shared_ptr<kernels::Device> device)
      : model_(std::move(model)), tokenizer_(std::move(tokenizer)), device_(std::move(device)) {}

  // `source` is a file or a data URL. Errors: kUnsupported for a model that does not see, and those
  // of media::read_image. The result must not outlive this object.
  Result<PreparedMedia> image(const std::string& source, int64_t budget);
  // The same of a sound; kUnsupported for a model that does not hear, errors of media::read_sound.
  Result<PreparedMedia> sound(const std::string& source);
  // A film as frames and, where it has sound and the model hears, its sound track.
  Result<std::vector<PreparedMedia>> film(const std::string& source,
                                          const media::VideoSampling& sampling);

 private:
  Status check_sees() const;
  Status check_hears() const;
  Result<const model::AudioTower*> audio_tower();
  Result<const model::VisionTower*> vision_tower();
  Result<std::shared_ptr<kernels::Device>> cpu();
  Result<std::vector<model::MediaItem>> encode(const media::ProcessedImage& image);

  std::shared_ptr<const model::Model> model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<kernels::Device> device_;
  std::shared_ptr<kernels::Device> cpu_;
  std::optional<model::VisionTower> vision_tower_;
  std::optional<model::AudioTower> audio_tower_;
  engine::EncodingCache cache_;
};

}  // namespace gemma4::answer

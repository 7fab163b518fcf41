#include "answer/media_reader.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/strings.h"
#include "kernels/registry.h"
#include "media/data_url.h"

namespace gemma4::answer {

Result<int64_t> image_budget(const std::string& option) {
  if (option == "auto") return int64_t{0};
  for (const int64_t budget : media::kImageBudgets)
    if (option == std::to_string(budget)) return budget;
  return Error{ErrorCode::kInvalidArgument,
               str_cat(quote(option), " must be 70, 140, 280, 560, 1120 or auto")};
}

Result<media::Image> read_picture(const std::string& source, const media::ImageLimits& limits) {
  return media::is_data_url(source) ? media::image_from_data_url(source, limits)
                                    : media::read_image(source, limits);
}

Status MediaReader::check_sees() const {
  const model::Config& config = model_->config();
  if (!config.vision)
    return Error{ErrorCode::kUnsupported,
                 "this model does not see: it has no vision tower; use a checkpoint that has one, "
                 "or name the projector of a GGUF model with --mmproj"};
  for (const char* marker : {"<|image>", "<|image|>", "<image|>"})
    if (!tokenizer_->added_token(marker))
      return Error{ErrorCode::kUnsupported,
                   str_cat("this model does not see: its vocabulary has no ", marker)};
  if (*tokenizer_->added_token("<|image|>") != config.media_token_ids.image)
    return Error{ErrorCode::kInvalidData,
                 str_cat("the placeholder of pictures is ", *tokenizer_->added_token("<|image|>"),
                         " in the vocabulary and ", config.media_token_ids.image,
                         " in the configuration; do they belong together?")};
  return {};
}

Result<std::shared_ptr<kernels::Device>> MediaReader::cpu() {
  if (cpu_ != nullptr) return cpu_;
  if (device_ != nullptr && device_->is_host()) return cpu_ = device_;
  G4_ASSIGN_OR_RETURN(cpu_, kernels::open_cpu_device({}));
  return cpu_;
}

template <class Tower>
Result<const Tower*> MediaReader::load_tower(std::optional<Tower>& tower) {
  if (tower) return &*tower;
  if (device_ != nullptr && !device_->is_host()) {
    auto loaded = Tower::create(model_->config(), model_->store(), device_);
    if (!loaded.ok() && loaded.error().code != ErrorCode::kResourceExhausted) return loaded.error();
    if (loaded.ok()) return &tower.emplace(std::move(loaded).value());
    std::fprintf(stderr, "gemma4: note: the tower runs on the CPU: %s\n",
                 loaded.error().message.c_str());
  }
  G4_ASSIGN_OR_RETURN(const auto device, cpu());
  G4_ASSIGN_OR_RETURN(Tower loaded, Tower::create(model_->config(), model_->store(), device));
  return &tower.emplace(std::move(loaded));
}

Result<const model::VisionTower*> MediaReader::vision_tower() { return load_tower(vision_tower_); }

Result<const model::AudioTower*> MediaReader::audio_tower() { return load_tower(audio_tower_); }

Result<std::vector<MediaReader::Tokens>> MediaReader::encode(
    std::span<const media::ProcessedImage> images) {
  const auto key_of = [](const media::ProcessedImage& image) {
    return engine::EncodingCache::Key{.kind = model::MediaKind::kImage,
                                      .hash = image.hash,
                                      .budget = image.budget,
                                      .width = image.image.width,
                                      .content = image.image.rgb};
  };
  std::vector<Tokens> tokens;
  std::vector<size_t> missing;
  for (size_t i = 0; i < images.size(); ++i) {
    tokens.push_back(cache_.find(key_of(images[i])));
    if (tokens.back() == nullptr) missing.push_back(i);
  }
  if (missing.empty()) return tokens;
  G4_ASSIGN_OR_RETURN(const model::VisionTower* const tower, vision_tower());
  const int64_t side = tower->patch_side();
  std::vector<std::vector<float>> pixels;
  std::vector<model::VisionInput> inputs;
  for (const size_t i : missing) {
    const media::Image& image = images[i].image;
    pixels.push_back(media::cut_patches(image, side));
    inputs.push_back({pixels.back(), {image.width / side, image.height / side}});
  }
  G4_ASSIGN_OR_RETURN(std::vector<model::SoftTokens> soft, tower->encode(inputs));
  num_encoded_ += static_cast<int64_t>(missing.size());
  for (size_t i = 0; i < missing.size(); ++i) {
    Tokens& made = tokens[missing[i]];
    made = std::make_shared<const model::SoftTokens>(std::move(soft[i]));
    cache_.insert(key_of(images[missing[i]]), made);
  }
  return tokens;
}

Result<PreparedMedia> MediaReader::image(const std::string& source, int64_t budget) {
  G4_RETURN_IF_ERROR(check_sees());
  G4_ASSIGN_OR_RETURN(const media::Image image, read_picture(source, limits_));
  const media::ImageSize size{image.width, image.height};
  G4_ASSIGN_OR_RETURN(const auto device, cpu());
  G4_ASSIGN_OR_RETURN(
      media::ProcessedImage processed,
      media::process_image(image, {.budget = budget > 0 ? budget : media::fitting_budget(size),
                                   .pool = device->queue().pool}));
  const int64_t soft_tokens = processed.size().soft_tokens();
  const std::string name = media::is_data_url(source) ? "picture" : source;
  const std::string seen = str_cat(processed.image.width, "x", processed.image.height);
  PreparedMedia prepared{.part = {.type = chat::ContentPart::Type::kImage, .source = source},
                         .text = {chat::ContentPart::Type::kImage, chat::image_text(soft_tokens)},
                         .summary = str_cat(name, ": ", size.width, "x", size.height, " pixels, ",
                                            soft_tokens, " soft tokens"),
                         .size = size};
  if (processed.reduced())
    prepared.note = str_cat(
        name, ": the model sees its ", size.width, "x", size.height, " pixels reduced to ", seen,
        processed.budget < media::kImageBudgets.back() ? "; --image-tokens up to 1120 shows more"
                                                       : "");
  prepared.encode = [this, kept = std::make_shared<const media::ProcessedImage>(
                               std::move(processed))]() -> Result<std::vector<model::MediaItem>> {
    G4_ASSIGN_OR_RETURN(std::vector<Tokens> tokens, encode({kept.get(), 1}));
    return std::vector<model::MediaItem>{{model::MediaKind::kImage, std::move(tokens[0])}};
  };
  return prepared;
}

}  // namespace gemma4::answer

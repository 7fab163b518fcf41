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
  std::fprintf(stderr, "gemma4: note: the towers run on the CPU, their soft tokens on the card\n");
  G4_ASSIGN_OR_RETURN(cpu_, kernels::open_cpu_device({}));
  return cpu_;
}

Result<const model::VisionTower*> MediaReader::vision_tower() {
  if (!vision_tower_) {
    G4_ASSIGN_OR_RETURN(const auto device, cpu());
    G4_ASSIGN_OR_RETURN(model::VisionTower tower,
                        model::VisionTower::create(model_->config(), model_->store(), device));
    vision_tower_ = std::move(tower);
  }
  return &*vision_tower_;
}

Result<std::vector<model::MediaItem>> MediaReader::encode(const media::ProcessedImage& image) {
  const engine::EncodingCache::Key key{.kind = model::MediaKind::kImage,
                                       .hash = image.hash,
                                       .budget = image.budget,
                                       .width = image.image.width,
                                       .content = image.image.rgb};
  std::shared_ptr<const model::SoftTokens> tokens = cache_.find(key);
  if (tokens == nullptr) {
    G4_ASSIGN_OR_RETURN(const model::VisionTower* const tower, vision_tower());
    const int64_t side = tower->patch_side();
    const std::vector<float> pixels = media::cut_patches(image.image, side);
    const model::VisionInput input{pixels, {image.image.width / side, image.image.height / side}};
    G4_ASSIGN_OR_RETURN(std::vector<model::SoftTokens> soft, tower->encode({&input, 1}));
    tokens = std::make_shared<const model::SoftTokens>(std::move(soft[0]));
    cache_.insert(key, tokens);
  }
  return std::vector<model::MediaItem>{{model::MediaKind::kImage, std::move(tokens)}};
}

Result<PreparedMedia> MediaReader::image(const std::string& source, int64_t budget) {
  G4_RETURN_IF_ERROR(check_sees());
  const bool is_url = media::is_data_url(source);
  G4_ASSIGN_OR_RETURN(const media::Image image,
                      is_url ? media::image_from_data_url(source) : media::read_image(source));
  const media::ImageSize size{image.width, image.height};
  G4_ASSIGN_OR_RETURN(const auto device, cpu());
  G4_ASSIGN_OR_RETURN(
      media::ProcessedImage processed,
      media::process_image(image, {.budget = budget > 0 ? budget : media::fitting_budget(size),
                                   .pool = device->queue().pool}));
  const int64_t soft_tokens = processed.size().soft_tokens();
  const std::string name = is_url ? "picture" : source;
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
                               std::move(processed))]() { return encode(*kept); };
  return prepared;
}

}  // namespace gemma4::answer

#include "answer/media_reader.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/strings.h"
#include "kernels/registry.h"
#include "media/data_url.h"

namespace gemma4::answer {
namespace {

engine::EncodingCache::Key key_of(const media::ProcessedImage& picture) {
  return {.kind = model::MediaKind::kImage,
          .hash = picture.hash,
          .budget = picture.budget,
          .width = picture.image.width,
          .content = picture.image.rgb};
}

bool equal(const media::ProcessedImage& a, const media::ProcessedImage& b) {
  return a.hash == b.hash && a.size() == b.size() && a.image.rgb == b.image.rgb;
}

model::PatchGrid grid_of(const media::ProcessedImage& picture, int64_t side) {
  return {picture.image.width / side, picture.image.height / side};
}

}  // namespace

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

Result<std::vector<MediaReader::Tokens>> MediaReader::encode_pass(const model::VisionTower& tower,
                                                                  const Pictures& pictures) {
  const int64_t side = tower.patch_side();
  std::vector<std::vector<float>> pixels;
  std::vector<model::VisionInput> inputs;
  for (const media::ProcessedImage* picture : pictures) {
    pixels.push_back(media::cut_patches(picture->image, side));
    inputs.push_back({pixels.back(), grid_of(*picture, side)});
  }
  G4_ASSIGN_OR_RETURN(std::vector<model::SoftTokens> soft, tower.encode(inputs));
  ++num_passes_;
  num_encoded_ += static_cast<int64_t>(soft.size());
  std::vector<Tokens> tokens;
  for (size_t i = 0; i < soft.size(); ++i) {
    tokens.push_back(std::make_shared<const model::SoftTokens>(std::move(soft[i])));
    cache_.insert(key_of(*pictures[i]), tokens.back());
  }
  return tokens;
}

Result<std::vector<MediaReader::Tokens>> MediaReader::encode_pictures(const Pictures& pictures) {
  std::vector<Tokens> tokens;
  std::vector<size_t> missing;
  std::vector<std::pair<size_t, size_t>> repeated;  // the place of one, and of its like before it
  for (size_t i = 0; i < pictures.size(); ++i) {
    tokens.push_back(cache_.find(key_of(*pictures[i])));
    if (tokens.back() != nullptr) continue;
    const auto like =
        std::ranges::find_if(missing, [&](size_t j) { return equal(*pictures[i], *pictures[j]); });
    if (like == missing.end())
      missing.push_back(i);
    else
      repeated.emplace_back(i, *like);
  }
  if (missing.empty()) return tokens;
  G4_ASSIGN_OR_RETURN(const model::VisionTower* const tower, vision_tower());
  for (size_t next = 0; next < missing.size();) {
    const size_t begin = next;
    Pictures pass;
    int64_t room = tower->pass_patches();
    for (; next < missing.size(); ++next) {
      const media::ProcessedImage* picture = pictures[missing[next]];
      room -= grid_of(*picture, tower->patch_side()).size();
      if (room < 0 && !pass.empty()) break;
      pass.push_back(picture);
    }
    G4_ASSIGN_OR_RETURN(std::vector<Tokens> made, encode_pass(*tower, pass));
    for (size_t i = 0; i < made.size(); ++i) tokens[missing[begin + i]] = std::move(made[i]);
  }
  for (const auto& [place, like] : repeated) tokens[place] = tokens[like];
  return tokens;
}

Result<std::vector<model::MediaItem>> MediaReader::encode(std::span<const PreparedMedia> media) {
  Pictures pictures;
  std::vector<MediaContent*> owners;  // of each picture
  for (const PreparedMedia& prepared : media) {
    if (!prepared.content->items.empty()) continue;
    for (const media::ProcessedImage& picture : prepared.content->pictures) {
      pictures.push_back(&picture);
      owners.push_back(prepared.content.get());
    }
  }
  G4_ASSIGN_OR_RETURN(std::vector<Tokens> tokens, encode_pictures(pictures));
  for (size_t i = 0; i < tokens.size(); ++i)
    owners[i]->items.push_back({owners[i]->kind, std::move(tokens[i])});
  std::vector<model::MediaItem> items;
  for (const PreparedMedia& prepared : media) {
    MediaContent& content = *prepared.content;
    if (content.items.empty()) {
      G4_ASSIGN_OR_RETURN(Tokens sound, encode_sound(content.sound));
      content.items.push_back({content.kind, std::move(sound)});
    }
    items.insert(items.end(), content.items.begin(), content.items.end());
  }
  return items;
}

Result<PreparedMedia> MediaReader::image(const std::string& source, int64_t budget) {
  G4_RETURN_IF_ERROR(check_sees());
  G4_ASSIGN_OR_RETURN(const media::Image image, read_picture(source, limits_.image));
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
  prepared.content = std::make_shared<MediaContent>();
  prepared.content->pictures.push_back(std::move(processed));
  return prepared;
}

}  // namespace gemma4::answer

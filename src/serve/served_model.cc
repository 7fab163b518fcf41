#include "serve/served_model.h"

#include <chrono>
#include <utility>

#include "base/strings.h"
#include "media/data_url.h"

namespace gemma4::serve {

// What one request may have decoded: small files can be large pictures.
constexpr size_t kMaxMedia = 128;

using chat::ContentPart;
using Type = chat::ContentPart::Type;

Result<std::unique_ptr<ServedModel>> ServedModel::create(ModelParts parts) {
  G4_ASSIGN_OR_RETURN(chat::Markers markers, answer::answer_markers(parts.loaded));
  return std::unique_ptr<ServedModel>(new ServedModel(std::move(parts), std::move(markers)));
}

ServedModel::ServedModel(ModelParts parts, chat::Markers markers)
    : parts_(std::move(parts)),
      markers_(std::move(markers)),
      forms_(parts_.loaded.tokenizer),
      media_(parts_.loaded.model, parts_.loaded.tokenizer, parts_.tower_device,
             parts_.media_limits),
      created_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()) {}

ModelFacts ServedModel::facts() const {
  return {.name = name(),
          .path = loaded().path,
          .config = loaded().model->config(),
          .media_limits = parts_.media_limits,
          .context_tokens = context_tokens(),
          .created = created_};
}

Status ServedModel::read_message(chat::Message& message, const std::string& path,
                                 std::vector<answer::PreparedMedia>& media) {
  auto* parts = std::get_if<std::vector<ContentPart>>(&message.content);
  if (parts == nullptr) return {};
  std::vector<answer::PreparedMedia> after;
  for (size_t i = 0; i < parts->size(); ++i) {
    ContentPart& part = (*parts)[i];
    if (part.type != Type::kImage && part.type != Type::kAudio && part.type != Type::kVideo)
      continue;
    const std::string place = str_cat(path, ".content[", i, "]");
    if (media.size() + after.size() >= kMaxMedia)
      return Error{ErrorCode::kInvalidArgument,
                   str_cat(place, ": more than ", kMaxMedia, " pictures, sounds and films")};
    // open_sources() has made it one. Anything else would be a file on this machine.
    if (!media::is_data_url(part.source))
      return Error{ErrorCode::kInvalidArgument,
                   str_cat(place, ": expected a data URL, got ", quote(part.source))};
    Result<std::vector<answer::PreparedMedia>> read = std::vector<answer::PreparedMedia>();
    if (part.type == Type::kVideo) {
      read = media_.film(part.source, parts_.film);
    } else {
      auto one = part.type == Type::kImage
                     ? media_.image(part.source, part.soft_tokens.value_or(parts_.image_budget))
                     : media_.sound(part.source);
      if (!one.ok()) return one.error().with_context(place);
      read.value().push_back(std::move(one).value());
    }
    if (!read.ok()) return read.error().with_context(place);
    part.source.clear();  // may be megabytes
    for (answer::PreparedMedia& prepared : read.value())
      (prepared.after_text ? after : media).push_back(std::move(prepared));
  }
  for (answer::PreparedMedia& track : after) {
    parts->push_back({.type = Type::kAudio});
    media.push_back(std::move(track));
  }
  return {};
}

Result<std::vector<answer::PreparedMedia>> ServedModel::read_media(
    std::vector<chat::Message>& messages) {
  std::vector<answer::PreparedMedia> media;
  const std::lock_guard lock(media_mutex_);
  for (size_t i = 0; i < messages.size(); ++i)
    G4_RETURN_IF_ERROR(read_message(messages[i], str_cat("messages[", i, "]"), media));
  return media;
}

Result<answer::Prompt> ServedModel::encode(std::vector<chat::PromptPart> parts,
                                           const std::vector<answer::PreparedMedia>& media) {
  std::unique_lock lock(media_mutex_, std::defer_lock);
  if (!media.empty()) lock.lock();
  return answer::encode_prompt(loaded(), std::move(parts), media, media_);
}

}  // namespace gemma4::serve

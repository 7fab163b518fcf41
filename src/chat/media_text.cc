#include "chat/media_text.h"

#include <array>
#include <string_view>

#include "base/strings.h"

namespace gemma4::chat {
namespace {

struct Placeholder {
  ContentPart::Type type;
  std::string_view text;
  const char* name;
};
constexpr std::array<Placeholder, 3> kPlaceholders = {{
    {ContentPart::Type::kImage, "<|image|>", "pictures"},
    {ContentPart::Type::kAudio, "<|audio|>", "sounds"},
    {ContentPart::Type::kVideo, "<|video|>", "films"},
}};

// Media of one type, taken in their order.
class Queue {
 public:
  Queue(std::span<const MediaText> media, ContentPart::Type type) : media_(media), type_(type) {
    skip_others();
  }
  // Null when there is none left.
  const MediaText* take() {
    if (media_.empty()) return nullptr;
    const MediaText* const next = &media_.front();
    media_ = media_.subspan(1);
    skip_others();
    return next;
  }

 private:
  void skip_others() {
    while (!media_.empty() && media_.front().type != type_) media_ = media_.subspan(1);
  }
  std::span<const MediaText> media_;
  ContentPart::Type type_;
};

// One pass over the text: what was put in has placeholders too.
Result<std::string> expand(std::string_view text, std::array<Queue, 3>& queues) {
  std::string out;
  while (!text.empty()) {
    size_t first = text.npos, which = 0;
    for (size_t i = 0; i < kPlaceholders.size(); ++i)
      if (const size_t at = text.find(kPlaceholders[i].text); at < first) {
        first = at;
        which = i;
      }
    out += text.substr(0, first);
    if (first == text.npos) break;
    const MediaText* const next = queues[which].take();
    if (next == nullptr)
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("the messages have more ", kPlaceholders[which].name, " than given")};
    out += next->text;
    text.remove_prefix(first + kPlaceholders[which].text.size());
  }
  return out;
}

}  // namespace

namespace {

std::string slots(std::string text, int64_t count, std::string_view placeholder,
                  std::string_view end) {
  for (int64_t i = 0; i < count; ++i) text += placeholder;
  text += end;
  return text;
}

}  // namespace

std::string image_text(int64_t count) { return slots("<|image>", count, "<|image|>", "<image|>"); }

std::string audio_text(int64_t count) { return slots("<|audio>", count, "<|audio|>", "<audio|>"); }

std::string frame_text(const std::string& time, int64_t count) {
  return slots(time + " <|image>", count, "<|video|>", "<image|>");
}

Result<std::vector<PromptPart>> expand_media(std::vector<PromptPart> prompt,
                                             std::span<const MediaText> media) {
  std::array<Queue, 3> queues = {Queue(media, kPlaceholders[0].type),
                                 Queue(media, kPlaceholders[1].type),
                                 Queue(media, kPlaceholders[2].type)};
  for (PromptPart& part : prompt) {
    if (!part.from_template) continue;
    G4_ASSIGN_OR_RETURN(part.text, expand(part.text, queues));
  }
  for (size_t i = 0; i < queues.size(); ++i)
    if (queues[i].take() != nullptr)
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("the messages have fewer ", kPlaceholders[i].name, " than given")};
  return prompt;
}

}  // namespace gemma4::chat

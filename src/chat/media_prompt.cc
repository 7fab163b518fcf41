#include "chat/media_prompt.h"

#include <array>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace gemma4::chat {
namespace {

struct Kind {
  ContentPart::Type type;
  const char* name;
  std::string_view placeholder;
  std::string_view begin;
  std::string_view end;
};

// Frames of films stand between the tokens of pictures.
constexpr std::array<Kind, 3> kKinds = {{
    {ContentPart::Type::kImage, "picture", "<|image|>", "<|image>", "<image|>"},
    {ContentPart::Type::kAudio, "sound", "<|audio|>", "<|audio>", "<audio|>"},
    {ContentPart::Type::kVideo, "film", "<|video|>", "<|image>", "<image|>"},
}};

void append_slots(const Kind& kind, int64_t count, std::string& out) {
  out += kind.begin;
  for (int64_t i = 0; i < count; ++i) out += kind.placeholder;
  out += kind.end;
}

// One medium as the text that the tokenizer reads
std::string slots_of(const Kind& kind, const MediaSize& medium) {
  std::string out;
  G4_CHECK(kind.type != ContentPart::Type::kVideo || medium.stamps.size() == medium.counts.size());
  for (size_t i = 0; i < medium.counts.size(); ++i) {
    if (i > 0) out += ' ';
    if (kind.type == ContentPart::Type::kVideo) out += medium.stamps[i] + ' ';
    append_slots(kind, medium.counts[i], out);
  }
  return out;
}

// Media of one kind, given out one after the other.
class Queue {
 public:
  Queue(const Kind& kind, std::span<const MediaSize> media) : kind_(kind) {
    for (const MediaSize& medium : media)
      if (medium.type == kind.type) media_.push_back(&medium);
  }
  const Kind& kind() const { return kind_; }
  // Empty when there is none left.
  std::string next() {
    ++asked_;
    return asked_ <= media_.size() ? slots_of(kind_, *media_[asked_ - 1]) : std::string();
  }
  Status check() const {
    if (asked_ == media_.size()) return {};
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("the prompt has ", asked_, " places for a ", kind_.name, ", and ",
                         media_.size(), " of them were given")};
  }

 private:
  const Kind& kind_;
  std::vector<const MediaSize*> media_;
  size_t asked_ = 0;
};

std::string expand(std::string_view text, std::array<Queue, 3>& queues) {
  std::string out;
  for (;;) {
    Queue* first = nullptr;
    size_t at = text.npos;
    for (Queue& queue : queues)
      if (const size_t found = text.find(queue.kind().placeholder); found < at) {
        at = found;
        first = &queue;
      }
    out += text.substr(0, at);
    if (first == nullptr) return out;
    out += first->next();
    text.remove_prefix(at + first->kind().placeholder.size());
  }
}

}  // namespace

Result<std::vector<PromptPart>> expand_media(const std::vector<PromptPart>& prompt,
                                             std::span<const MediaSize> media) {
  std::array<Queue, 3> queues = {Queue(kKinds[0], media), Queue(kKinds[1], media),
                                 Queue(kKinds[2], media)};
  std::vector<PromptPart> out;
  for (const PromptPart& part : prompt)
    out.push_back(part.from_template ? PromptPart{expand(part.text, queues), true} : part);
  for (const Queue& queue : queues) G4_RETURN_IF_ERROR(queue.check());
  return out;
}

}  // namespace gemma4::chat

// Media in a rendered prompt: the template writes one placeholder for each, which becomes as many
// as it has soft tokens, between its markers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/messages.h"
#include "chat/prompt_parts.h"

namespace gemma4::chat {

// What stands in the prompt for one medium: "<|image><|image|>…<image|>", or the frames of a film
// with their times.
struct MediaText {
  ContentPart::Type type = ContentPart::Type::kImage;
  std::string text = {};
};

// "<|image>" + count placeholders + "<image|>"
std::string image_text(int64_t count);
// "<|audio>" + count placeholders + "<audio|>"
std::string audio_text(int64_t count);
// One frame of a film: "00:07 <|image>" + count placeholders + "<image|>". Frames of one film are
// joined by single spaces.
std::string frame_text(const std::string& time, int64_t count);

// `prompt` with the k-th placeholder of each type replaced by the k-th text of that type. Only the
// template's parts have placeholders. kInvalidArgument where their numbers differ.
Result<std::vector<PromptPart>> expand_media(std::vector<PromptPart> prompt,
                                             std::span<const MediaText> media);

}  // namespace gemma4::chat

// What stands for media in a prompt: each placeholder that the template wrote becomes as many as
// the medium has soft tokens, between its begin and end tokens (multimodal-prompt.md, section 3;
// video.md, section 4).
//
//   G4_ASSIGN_OR_RETURN(prompt, expand_media(prompt, {{.type = kImage, .counts = {260}}}));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/messages.h"
#include "chat/prompt_parts.h"

namespace gemma4::chat {

// One medium of a conversation, encoded
struct MediaSize {
  ContentPart::Type type = ContentPart::Type::kImage;
  std::vector<int64_t> counts = {};      // soft tokens: of the picture, the sound, or each frame
  std::vector<std::string> stamps = {};  // of a film: when each frame is shown, "00:07"
};

// The k-th placeholder of a kind stands for the k-th of `media` of that kind. Placeholders in what
// the request wrote are text. kInvalidArgument where there are more of one than of the other.
Result<std::vector<PromptPart>> expand_media(const std::vector<PromptPart>& prompt,
                                             std::span<const MediaSize> media);

}  // namespace gemma4::chat

// Messages and media to what the engine reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "answer/loaded_model.h"
#include "answer/media_reader.h"
#include "base/result.h"
#include "chat/chat_format.h"
#include "chat/output_parser.h"
#include "model/soft_tokens.h"

namespace gemma4::answer {

struct Prompt {
  std::vector<int32_t> ids;
  std::vector<model::SoftSpan> media = {};
};

// How a prompt is rendered for this model: with the empty thought where it was trained so, and the
// last turn left open after results.
chat::RenderOptions render_options(const LoadedModel& model, bool thinking);

// The ids of `parts`, with the soft tokens of `media`, which are all media of the messages, in
// order, encoded by `reader`. Errors: those of encoding media; kInvalidArgument where their numbers
// differ.
Result<Prompt> encode_prompt(const LoadedModel& model, std::vector<chat::PromptPart> parts,
                             const std::vector<PreparedMedia>& media, MediaReader& reader);

// Raw text, without the chat format; begins with <bos> exactly once.
std::vector<int32_t> encode_text(const LoadedModel& model, const std::string& text);

// The markers of answers, with all ids that end one.
Result<chat::Markers> answer_markers(const LoadedModel& model);

}  // namespace gemma4::answer

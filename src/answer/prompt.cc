#include "answer/prompt.h"

#include <utility>

#include "chat/tokens.h"

namespace gemma4::answer {

chat::RenderOptions render_options(const LoadedModel& model, bool thinking) {
  return {.enable_thinking = thinking,
          .empty_thought = model.model->config().text.hidden_size_per_layer_input == 0,
          .continue_after_results = true};
}

Result<Prompt> encode_prompt(const LoadedModel& model, std::vector<chat::PromptPart> parts,
                             const std::vector<PreparedMedia>& media, MediaReader& reader) {
  std::vector<chat::MediaText> texts;
  for (const PreparedMedia& prepared : media) texts.push_back(prepared.text);
  G4_ASSIGN_OR_RETURN(const std::vector<model::MediaItem> items, reader.encode(media));
  G4_ASSIGN_OR_RETURN(parts, chat::expand_media(std::move(parts), texts));
  Prompt prompt{.ids = chat::encode(*model.tokenizer, parts)};
  if (!items.empty()) {
    G4_ASSIGN_OR_RETURN(
        prompt.media, model::place_media(model.model->config().media_token_ids, prompt.ids, items));
  }
  return prompt;
}

std::vector<int32_t> encode_text(const LoadedModel& model, const std::string& text) {
  std::vector<int32_t> ids = model.tokenizer->encode(text);
  const int32_t bos = model.model->config().text.bos_token_id;
  if (ids.empty() || ids.front() != bos) ids.insert(ids.begin(), bos);
  return ids;
}

Result<chat::Markers> answer_markers(const LoadedModel& model) {
  G4_ASSIGN_OR_RETURN(chat::Markers markers, chat::find_markers(*model.tokenizer));
  markers.stops.insert(markers.stops.end(), model.stop_token_ids.begin(),
                       model.stop_token_ids.end());
  return markers;
}

}  // namespace gemma4::answer

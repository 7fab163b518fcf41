#include "constrain/control_tokens.h"

#include "base/strings.h"

namespace gemma4::constrain {

Result<std::shared_ptr<const ControlTokens>> ControlTokens::find(const text::Tokenizer& tokenizer,
                                                                 const VocabularyIndex& index) {
  auto tokens = std::make_shared<ControlTokens>();
  const std::pair<std::string_view, text::TokenId*> wanted[] = {
      {kCallBegin, &tokens->call_begin},    {"<tool_call|>", &tokens->call_end},
      {"<|\"|>", &tokens->quote},           {"<|channel>", &tokens->channel_begin},
      {"<channel|>", &tokens->channel_end}, {"<eos>", &tokens->stops.emplace_back()},
  };
  for (const auto& [content, place] : wanted) {
    const auto id = tokenizer.added_token(content);
    if (!id)
      return Error{ErrorCode::kUnsupported, str_cat("the vocabulary has no control token ", content,
                                                    "; constrained answers need one of Gemma 4")};
    *place = *id;
  }
  for (const std::string_view content : {"<turn|>", "<|tool_response>"})
    if (const auto id = tokenizer.added_token(content)) tokens->stops.push_back(*id);
  const std::vector<text::TokenId> newline =
      tokenizer.encode("\n", text::Tokenizer::AddedTokens::kIgnore);
  if (newline.size() != 1)
    return Error{ErrorCode::kUnsupported, "the vocabulary has no token for a line break"};
  tokens->newline = newline[0];
  tokens->thought_label = tokenizer.encode(kThoughtLabel, text::Tokenizer::AddedTokens::kIgnore);
  tokens->ordinary.assign(index.num_words(), 0);
  for (text::TokenId id = 0; id < index.size(); ++id)
    if (!index.bytes(id).empty()) tokens->ordinary[static_cast<size_t>(id) / 32] |= 1U << (id % 32);
  return std::shared_ptr<const ControlTokens>(std::move(tokens));
}

}  // namespace gemma4::constrain

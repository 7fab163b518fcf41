// Where the chat format meets a vocabulary: prompt parts to ids, and the markers of the output.
//
//   G4_ASSIGN_OR_RETURN(std::vector<PromptPart> prompt, render(messages, options));
//   std::vector<text::TokenId> ids = encode(tokenizer, prompt);
//
//   G4_ASSIGN_OR_RETURN(Markers markers, find_markers(tokenizer));
//   OutputParser parser(markers);
//   text::Detokenizer detokenizer(tokenizer, text::SpecialTokens::kSkip);
#pragma once

#include <vector>

#include "base/result.h"
#include "chat/chat_format.h"
#include "chat/output_parser.h"
#include "text/tokenizer.h"

namespace gemma4::chat {

// Ids of the whole prompt. Control tokens are matched in template parts only; borders between parts
// are no borders of tokens. Nothing is added: "<bos>" comes from the template.
std::vector<text::TokenId> encode(const text::Tokenizer& tokenizer,
                                  const std::vector<PromptPart>& prompt);

// The markers among the added tokens of `tokenizer`. Errors as in output_parser.h.
Result<Markers> find_markers(const text::Tokenizer& tokenizer);

}  // namespace gemma4::chat

// The control tokens that constraints speak of, looked up in a vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/vocabulary_index.h"
#include "text/tokenizer.h"

namespace gemma4::constrain {

// What a thought begins with, behind <|channel>.
inline constexpr std::string_view kThoughtLabel = "thought\n";
// The control token that a call begins with.
inline constexpr std::string_view kCallBegin = "<|tool_call>";

// Immutable once found; shared by all requests.
struct ControlTokens {
  text::TokenId call_begin, call_end;        // <|tool_call> <tool_call|>
  text::TokenId quote;                       // <|"|>
  text::TokenId channel_begin, channel_end;  // <|channel> <channel|>
  text::TokenId newline;                     // "\n"
  std::vector<text::TokenId> thought_label;  // kThoughtLabel
  std::vector<text::TokenId> stops;          // <eos> <turn|> <|tool_response>
  // A bit mask: all tokens that write text, none of those above or any other control token.
  std::vector<uint32_t> ordinary;

  // Error kUnsupported: the vocabulary lacks one of them, named.
  static Result<std::shared_ptr<const ControlTokens>> find(const text::Tokenizer& tokenizer,
                                                           const VocabularyIndex& index);
};

}  // namespace gemma4::constrain

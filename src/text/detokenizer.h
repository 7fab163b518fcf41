// Token ids to text as they are generated: releases text as soon as it is complete UTF-8.
//
//   Detokenizer detokenizer(tokenizer);
//   for (TokenId id : generated) send(detokenizer.push(id));
//   send(detokenizer.finish());
//
// All pieces together are Tokenizer::decode's text, except where byte tokens are not UTF-8: here
// each maximal ill-formed subsequence gives one U+FFFD, as nothing that was sent can be taken back.
// A character made of several code points may arrive in several pieces.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace gemma4::text {

class Detokenizer {
 public:
  explicit Detokenizer(Tokenizer tokenizer, SpecialTokens special = SpecialTokens::kKeep)
      : tokenizer_(std::move(tokenizer)), special_(special) {}

  // The text that `id` completes; possibly empty. Well-formed UTF-8. Skipped tokens, and ids
  // outside the vocabulary, give nothing and do not interrupt a character made of byte tokens.
  std::string push(TokenId id);
  // Ends the text: U+FFFD when it stops inside a character. Ready for a new text afterwards.
  std::string finish();

 private:
  void release(std::string& out);

  Tokenizer tokenizer_;  // shares its tables
  SpecialTokens special_;
  std::string pending_;  // 0 to 3 bytes that begin a character
};

}  // namespace gemma4::text

// A text as the equal chunks of tokens in which it is scored.
//
// The rule is the field's, so that figures can be compared: the tokens of the text, <bos> in front,
// are cut into chunks of N; what is left at the end is dropped. Every chunk is a sequence of its
// own, in which <bos> takes the place of the first token. The first half of a chunk is context
// only: the tokens N/2 + 1 … N - 1 are scored, each given all before it in its chunk.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace gemma4::apps {

inline constexpr int64_t kLeastChunk = 4;

class TextChunks {
 public:
  struct Options {
    int64_t chunk_tokens = 512;  // N, at least kLeastChunk
    int64_t most_chunks = 0;     // 0: all
    text::Tokenizer::AddedTokens added = text::Tokenizer::AddedTokens::kIgnore;
  };
  // kInvalidArgument, with both numbers, for a text that does not fill one chunk.
  static Result<TextChunks> cut(std::string_view text, const text::Tokenizer& tokenizer,
                                const Options& options);

  int64_t text_tokens() const { return text_tokens_; }  // of all of the text
  int64_t chunk_tokens() const { return chunk_tokens_; }
  int64_t count() const { return static_cast<int64_t>(ids_.size()) / chunk_tokens_; }
  std::span<const int32_t> chunk(int64_t index) const {
    return std::span(ids_).subspan(static_cast<size_t>(index * chunk_tokens_),
                                   static_cast<size_t>(chunk_tokens_));
  }
  // The first position of a chunk whose prediction, of the token after it, is scored; all further
  // ones but the last are.
  int64_t first_scored() const { return chunk_tokens_ / 2; }
  int64_t scored_tokens() const { return count() * (chunk_tokens_ - 1 - first_scored()); }

 private:
  std::vector<int32_t> ids_;  // of the chunks, one after the other
  int64_t chunk_tokens_ = 0;
  int64_t text_tokens_ = 0;
};

// The text of a file, or of standard input for "-". Errors: those of reading it; kInvalidArgument
// for an empty text and for one that is not UTF-8 (says at which byte).
Result<std::string> read_text(const std::string& path);

}  // namespace gemma4::apps

// Vocabularies as metadata of a GGUF file: the other way round from Tokenizer::from_gguf.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "io/gguf_writer.h"

namespace gemma4::text {

// Adds what a tokenizer.json says. Ids behind its last one, up to `vocab_size`, are called unused:
// other engines want as many tokens as the embedding has rows. Errors: those of
// Tokenizer::from_json; kInvalidData when it has more tokens than that.
Status add_gguf_vocabulary(std::string_view tokenizer_json, int64_t vocab_size,
                           io::GgufHeader& header);

// Adds a made-up vocabulary, for models with made-up weights: Gemma's control tokens and bytes at
// their ids, and syllables of lower-case letters, one merge each. `placeholders` are the ids of
// <|image|>, <|audio|> and <|video|>, as many as there are; with them come the markers around
// media, at the last free ids. kUnsupported below 494 ids, which the bytes need.
Status add_synthetic_vocabulary(int64_t vocab_size, std::span<const int32_t> placeholders,
                                io::GgufHeader& header);

}  // namespace gemma4::text

// What both file formats tell about a tokenizer, and the way from there to a Tokenizer.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/huge_pages.h"
#include "base/result.h"
#include "text/merges.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace gemma4::text {

// Views into the file; valid while it is.
struct TokenizerSource {
  std::vector<std::string_view> pieces;  // by id
  std::vector<AddedToken> added;
  HugePageVector<MergeParts> merges;  // by rank
  RepeatedPieces repeated = RepeatedPieces::kRefuse;

  // Checks all of it and builds the tables, copying what they keep.
  Result<Tokenizer> build() const;
};

// Reads a tokenizer.json of `size` bytes at `json`, behind which `capacity - size` more bytes may
// be read. Without enough of them the text is copied first.
Result<Tokenizer> read_tokenizer_json(const char* json, size_t size, size_t capacity);

// The same for what the file says, before tables are built; its views live until `use` returns.
Status with_tokenizer_json(const char* json, size_t size, size_t capacity,
                           const std::function<Status(const TokenizerSource&)>& use);

}  // namespace gemma4::text

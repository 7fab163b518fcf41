#include "apps/text_chunks.h"

#include <algorithm>
#include <iostream>
#include <iterator>

#include "apps/prompt_input.h"
#include "base/check.h"
#include "base/strings.h"
#include "io/mapped_file.h"

namespace gemma4::apps {

Result<TextChunks> TextChunks::cut(std::string_view text, const text::Tokenizer& tokenizer,
                                   const Options& options) {
  G4_CHECK_LE(kLeastChunk, options.chunk_tokens);
  const auto bos = tokenizer.bos();
  if (!bos) return Error{ErrorCode::kUnsupported, "the tokenizer has no <bos>"};
  TextChunks chunks;
  chunks.chunk_tokens_ = options.chunk_tokens;
  chunks.ids_ = {*bos};
  const std::vector<int32_t> tokens = tokenizer.encode(text, options.added);
  chunks.text_tokens_ = static_cast<int64_t>(tokens.size());
  chunks.ids_.insert(chunks.ids_.end(), tokens.begin(), tokens.end());

  int64_t count = static_cast<int64_t>(chunks.ids_.size()) / options.chunk_tokens;
  if (count == 0)
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("the text has ", tokens.size(), " tokens, a chunk ", options.chunk_tokens,
                         "; give a longer text, or shorter chunks with --ctx")};
  if (options.most_chunks > 0) count = std::min(count, options.most_chunks);
  chunks.ids_.resize(static_cast<size_t>(count * options.chunk_tokens));
  for (int64_t i = 0; i < count; ++i)
    chunks.ids_[static_cast<size_t>(i * options.chunk_tokens)] = *bos;
  return chunks;
}

Result<std::string> read_text(const std::string& path) {
  std::string text;
  if (path == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    G4_ASSIGN_OR_RETURN(text, io::read_file(path));
  }
  const std::string where = path == "-" ? "standard input" : path;
  if (text.empty()) return Error{ErrorCode::kInvalidArgument, where + " is empty"};
  G4_RETURN_IF_ERROR(check_utf8(text, where));
  return text;
}

}  // namespace gemma4::apps

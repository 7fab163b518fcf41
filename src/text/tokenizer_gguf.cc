// Reads the vocabulary of a GGUF file whose `tokenizer.ggml.model` is `gemma4`.
//
// Not used: `scores` (a constant), `add_bos_token` (encoding never adds tokens), and the ids of
// special tokens (Gemma's are known by their strings; conversions disagree about some).
#include <optional>
#include <string>

#include "base/strings.h"
#include "io/gguf.h"
#include "text/tokenizer_source.h"

namespace gemma4::text {
namespace {

using io::GgufFile;
using io::GgufValue;
using io::GgufValueType;

constexpr std::string_view kModel = "tokenizer.ggml.model";
constexpr std::string_view kPre = "tokenizer.ggml.pre";
constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTokenTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::string_view kSpacePrefix = "tokenizer.ggml.add_space_prefix";

enum TokenType : int64_t { kUnknown = 2, kControl = 3, kUserDefined = 4 };

Error unsupported(std::string_view key, std::string_view expected, std::string_view found) {
  return {ErrorCode::kUnsupported,
          str_cat("metadata ", quote(key), ": expected ", expected, ", found ", found,
                  "; this program tokenises only the way Gemma 4 does")};
}

Status check_kind(const GgufFile& gguf) {
  G4_ASSIGN_OR_RETURN(const std::string_view model, gguf.get_string(kModel));
  if (model != "gemma4") return unsupported(kModel, "\"gemma4\"", quote(model));
  if (gguf.find(kPre) != nullptr) {
    G4_ASSIGN_OR_RETURN(const std::string_view pre, gguf.get_string(kPre));
    if (pre != "gemma4") return unsupported(kPre, "\"gemma4\"", quote(pre));
  }
  if (gguf.find(kSpacePrefix) != nullptr) {
    G4_ASSIGN_OR_RETURN(const bool prefix, gguf.get_bool(kSpacePrefix));
    if (prefix) return unsupported(kSpacePrefix, "false", "true");
  }
  return {};
}

// Tokens of every special type are matched in text: which of them is which varies among
// conversions.
Status read_token_types(const GgufFile& gguf, TokenizerSource& source) {
  G4_ASSIGN_OR_RETURN(const std::vector<int64_t> types, gguf.get_ints(kTokenTypes));
  if (types.size() != source.pieces.size())
    return Error{ErrorCode::kInvalidData,
                 str_cat("metadata ", quote(kTokenTypes), ": ", types.size(), " types for ",
                         source.pieces.size(), " tokens")};
  for (size_t id = 0; id < types.size(); ++id)
    if (types[id] == kUnknown || types[id] == kControl || types[id] == kUserDefined)
      source.added.push_back({static_cast<TokenId>(id), source.pieces[id], true});
  return {};
}

// "left right", split at the first space that is not the first byte.
Status read_merges(const GgufFile& gguf, TokenizerSource& source) {
  G4_ASSIGN_OR_RETURN(const io::GgufArray merges, gguf.get_array(kMerges, GgufValueType::kString));
  source.merges.reserve(merges.size());
  for (const GgufValue element : merges) {
    const std::string_view merge = *element.as_string();
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos)
      return Error{ErrorCode::kInvalidData,
                   str_cat("metadata ", quote(kMerges), ", element ", source.merges.size(),
                           ": expected two parts with a space between, found ", quote(merge))};
    source.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return {};
}

}  // namespace

Result<Tokenizer> Tokenizer::from_gguf(std::span<const std::byte> file) {
  G4_ASSIGN_OR_RETURN(const GgufFile gguf, GgufFile::parse(file));
  G4_RETURN_IF_ERROR(check_kind(gguf));
  TokenizerSource source;
  source.repeated = RepeatedPieces::kFirstIdWins;  // some conversions are said to repeat strings
  G4_ASSIGN_OR_RETURN(const io::GgufArray tokens, gguf.get_array(kTokens, GgufValueType::kString));
  source.pieces.reserve(tokens.size());
  for (const GgufValue token : tokens) source.pieces.push_back(*token.as_string());
  G4_RETURN_IF_ERROR(read_token_types(gguf, source));
  G4_RETURN_IF_ERROR(read_merges(gguf, source));
  return source.build();
}

}  // namespace gemma4::text

// Text to token ids and back, with the tokenizer that all Gemma 4 models share (Gemma 3's works
// too).
//
//   G4_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::load("gemma-4-e2b/tokenizer.json"));
//   std::vector<TokenId> ids = tokenizer.encode("Hello world");   // 9259 1902
//   std::string text = tokenizer.decode(ids);                     // "Hello world"
//
// Byte-pair encoding over code points, with bytes for what the vocabulary lacks. There is no word
// splitting, no Unicode normalisation and no leading space; a space is U+2581 in the vocabulary.
// Streaming output is text/detokenizer.h.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/vocabulary.h"

namespace gemma4::text {

// Whether decoding writes control tokens out or leaves them away.
enum class SpecialTokens { kKeep, kSkip };

// Immutable. Copies share their tables; all methods may be called from any thread at any time.
class Tokenizer {
 public:
  // Loads, told apart by content, a tokenizer.json, a GGUF file with a Gemma 4 vocabulary, or a
  // folder that holds a tokenizer.json. Errors: kNotFound and kIo; kInvalidData for a damaged file;
  // kUnsupported for a tokenizer of another kind, naming the field. All name the file.
  static Result<Tokenizer> load(const std::string& path);
  // The same from the contents of a tokenizer.json, and of a whole GGUF file. Nothing of the
  // argument is kept.
  static Result<Tokenizer> from_json(std::string_view json);
  static Result<Tokenizer> from_gguf(std::span<const std::byte> file);

  // Number of ids, 262,144 for Gemma 4; ids are 0 to vocab_size() - 1.
  int32_t vocab_size() const;

  // Whether added tokens (all control tokens: `<bos>`, `<|turn>` …) spelled in the text become
  // their ids, or are encoded like any other characters. Text that a user wrote must be kIgnore:
  // else it could forge turns.
  enum class AddedTokens { kMatch, kIgnore };
  struct Piece {
    std::string_view text;
    AddedTokens added;
  };

  // Ids of `text`; nothing is put in front, no `<bos>` either. Each maximal ill-formed UTF-8
  // subsequence counts as one U+FFFD. Time O(n log n), memory O(n).
  std::vector<TokenId> encode(std::string_view text, AddedTokens added = AddedTokens::kMatch) const;
  // Ids of the pieces' texts put together, where added tokens count only if they stand wholly
  // inside one or several adjoining kMatch pieces. Borders of pieces are no borders of tokens:
  // merging goes across, whatever the kinds. UTF-8 is repaired piece by piece.
  std::vector<TokenId> encode(std::span<const Piece> pieces) const;
  // The definition of the first `encode`, without any of its speed. Quadratic: for tests.
  std::vector<TokenId> encode_reference(std::string_view text,
                                        AddedTokens added = AddedTokens::kMatch) const;

  // The text of `ids`. A maximal run of byte tokens, skipped tokens not counted, that is not UTF-8
  // as a whole gives one U+FFFD per byte (the `tokenizers` library's rule; Detokenizer's is
  // kinder). Ids outside the vocabulary give nothing.
  std::string decode(std::span<const TokenId> ids,
                     SpecialTokens special = SpecialTokens::kKeep) const;
  // Appends the text of one token, which must not be a byte token; nothing for ids outside.
  void append_text(TokenId id, std::string& out) const;

  // The string of `id` in the vocabulary, spaces as U+2581; empty for ids outside it. Lives as long
  // as this tokenizer or any copy.
  std::string_view piece(TokenId id) const;
  // The id whose string is exactly `piece`, added tokens included.
  std::optional<TokenId> id_of(std::string_view piece) const;
  // The same for added tokens only: added_token("<|turn>") is 105 for Gemma 4 and nothing for
  // Gemma 3.
  std::optional<TokenId> added_token(std::string_view content) const;

  // What kind of token `id` is; all false for ids outside the vocabulary.
  bool is_added(TokenId id) const;    // becomes this id where text spells it
  bool is_special(TokenId id) const;  // added, and left away by SpecialTokens::kSkip
  bool is_byte(TokenId id) const;     // one of `<0x00>` … `<0xFF>`
  // The byte that a byte token stands for; `id` must be one.
  uint8_t byte_value(TokenId id) const;

  std::optional<TokenId> bos() const { return added_token("<bos>"); }
  std::optional<TokenId> eos() const { return added_token("<eos>"); }
  std::optional<TokenId> pad() const { return added_token("<pad>"); }

 private:
  friend struct TokenizerSource;
  struct Tables;
  explicit Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

  std::shared_ptr<const Tables> tables_;
};

}  // namespace gemma4::text

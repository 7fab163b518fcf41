// Any text, cut into any pieces: the ids are the definition's, and decoding gives the text back.
// Any ids: decoding and streaming give UTF-8.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "text/detokenizer.h"
#include "text/testing.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

using namespace gemma4::text;

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  std::string expected;
  append_repaired(text, expected);
  std::string as_decoded = expected;
  for (size_t at; (at = as_decoded.find(kSpaceSymbolUtf8)) != std::string::npos;)
    as_decoded.replace(at, kSpaceSymbolUtf8.size(), " ");
  for (const auto added : {Tokenizer::AddedTokens::kMatch, Tokenizer::AddedTokens::kIgnore}) {
    const std::vector<TokenId> ids = tokenizer.encode(text, added);
    G4_CHECK(ids == tokenizer.encode_reference(text, added));
    G4_CHECK(tokenizer.decode(ids) == as_decoded);
    // Borders of pieces that need no repair change nothing.
    const size_t middle = expected.size() / 2;
    const Tokenizer::Piece pieces[] = {{std::string_view(expected).substr(0, middle), added},
                                       {std::string_view(expected).substr(middle), added}};
    if (is_well_formed(pieces[0].text)) G4_CHECK(tokenizer.encode(pieces) == ids);
  }
}

void check_ids(const Tokenizer& tokenizer, std::string_view bytes) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const int value = static_cast<uint8_t>(bytes[i]) | static_cast<uint8_t>(bytes[i + 1]) << 8;
    ids.push_back(value % (tokenizer.vocab_size() + 2) - 1);  // one outside at either end
  }
  for (const auto special : {SpecialTokens::kKeep, SpecialTokens::kSkip}) {
    const std::string whole = tokenizer.decode(ids, special);
    Detokenizer detokenizer(tokenizer, special);
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string piece = detokenizer.push(id);
      G4_CHECK(is_well_formed(piece));
      streamed += piece;
    }
    streamed += detokenizer.finish();
    G4_CHECK(is_well_formed(whole));
    if (whole.find(kReplacement) == std::string::npos) G4_CHECK(streamed == whole);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizer = testing::small_tokenizer();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_text(tokenizer, bytes);
  check_ids(tokenizer, bytes);
  return 0;
}

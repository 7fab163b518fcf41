// Checks a tokenizer against a file of published encodings and decodings.
//
// The file is a JSON object. `encode` lists {text, ids, ids_gemma4}: the ids that Gemma 3's
// tokenizer gives, and Gemma 4's where they differ. `decode` lists Gemma 4 {ids, hf_decode,
// hf_decode_skip_special, stream_pieces, stream_text}: the text of the whole sequence with and
// without special tokens, and what streaming releases after each id (may be absent) and altogether.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace gemma4::text {

struct VerifyReport {
  int encode_passed = 0, encode_failed = 0;
  int decode_passed = 0, decode_failed = 0, decode_skipped = 0;  // skipped for other vocabularies
  std::vector<std::string> failures;  // the first ten: the case, what was expected and found

  bool ok() const { return encode_failed + decode_failed == 0; }
};

// Runs all cases. A vocabulary is Gemma 4's when `<|turn>` is one of its added tokens; any other is
// held to `ids`, without the decode cases. Errors: kInvalidData when the file is not as above.
Result<VerifyReport> verify_tokenizer_cases(const Tokenizer& tokenizer,
                                            std::string_view cases_json);

}  // namespace gemma4::text

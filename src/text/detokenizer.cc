#include "text/detokenizer.h"

#include "text/utf8.h"

namespace gemma4::text {

std::string Detokenizer::push(TokenId id) {
  std::string out;
  const bool skipped = special_ == SpecialTokens::kSkip && tokenizer_.is_special(id);
  if (skipped || id < 0 || id >= tokenizer_.vocab_size()) return out;
  if (tokenizer_.is_byte(id)) {
    pending_.push_back(static_cast<char>(tokenizer_.byte_value(id)));
    release(out);
  } else {
    out = finish();
    tokenizer_.append_text(id, out);
  }
  return out;
}

std::string Detokenizer::finish() {
  std::string out;
  if (!pending_.empty()) out = kReplacement;
  pending_.clear();
  return out;
}

// Moves what is complete, or can never be, from the pending bytes to `out`.
void Detokenizer::release(std::string& out) {
  while (!pending_.empty()) {
    const Utf8Sequence sequence = next_sequence(pending_);
    if (sequence.kind == Utf8Sequence::Kind::kIncomplete) return;
    out += sequence.kind == Utf8Sequence::Kind::kValid ? pending_.substr(0, sequence.length)
                                                       : std::string(kReplacement);
    pending_.erase(0, sequence.length);
  }
}

}  // namespace gemma4::text

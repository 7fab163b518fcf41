// Any bytes as a tokenizer.json: refused, or a tokenizer that keeps its promises.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using gemma4::text::Tokenizer;
  const auto tokenizer =
      Tokenizer::from_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!tokenizer.ok()) return 0;
  constexpr std::string_view kText =
      "<|turn>hello hello\n\n aaa > </ab \t日本語 🦙é\xFF<turn|>";
  const auto ids = tokenizer.value().encode(kText);
  G4_CHECK(ids == tokenizer.value().encode_reference(kText));
  for (const auto id : ids) G4_CHECK(id >= 0 && id < tokenizer.value().vocab_size());
  tokenizer.value().decode(ids);
  return 0;
}

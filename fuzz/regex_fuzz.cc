// Any text as a regular expression: refused, or a minimal automaton that is its own minimisation
// and accepts nothing that is not UTF-8.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "constrain/nfa.h"
#include "constrain/regex.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gemma4::constrain;  // NOLINT: a fuzz target
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const RegexMode mode : {RegexMode::kSearch, RegexMode::kWhole}) {
    size_t work = 200000;
    const auto dfa = compile_regex(text, mode, work);
    if (!dfa.ok()) continue;
    G4_CHECK_EQ(minimise(dfa.value()).states.size(), dfa.value().states.size());
    if (dfa.value().states.size() > 1000) continue;
    const auto other = combine(dfa.value(), any_text(), SetOperation::kMinus, kMaxDfaStates);
    G4_CHECK(other.ok() && other.value().empty());
  }
  return 0;
}

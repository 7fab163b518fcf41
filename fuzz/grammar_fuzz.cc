// Any text as an EBNF grammar: refused, or a grammar whose matcher neither crashes nor hangs.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "constrain/ebnf.h"
#include "constrain/explorer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gemma4::constrain;  // NOLINT: a fuzz target
  const auto grammar = grammar_of_ebnf(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!grammar.ok()) {
    G4_CHECK(!grammar.error().message.empty());
    return 0;
  }
  Explorer explorer(grammar.value());
  ConfigId config = explorer.start();
  for (size_t i = 0; i < size && i < 100 && config != kDeadConfig; ++i)
    config = explorer.step(config, data[i]);
  return 0;
}

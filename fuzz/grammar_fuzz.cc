// Any text as an EBNF grammar: refused, or a grammar whose matcher neither crashes nor hangs and
// never allows what leads nowhere, unless it says that it ran out of its budget.
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "constrain/ebnf.h"
#include "constrain/explorer.h"

namespace {

using namespace gemma4::constrain;  // NOLINT: a fuzz target

// Goes on by a control token or by the first byte from `byte` on that may follow; kDeadConfig if
// nothing may.
ConfigId follow(Explorer& explorer, ConfigId config, uint8_t byte) {
  std::vector<int32_t> symbols;
  explorer.append_symbols(config, symbols);
  if (!symbols.empty() && byte % 4 == 0)
    return explorer.step_symbol(config, symbols[byte % symbols.size()]);
  for (int i = 0; i < 256; ++i)
    if (const ConfigId next = explorer.step(config, static_cast<uint8_t>(byte + i));
        next != kDeadConfig)
      return next;
  return symbols.empty() ? kDeadConfig : explorer.step_symbol(config, symbols[0]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A third of the inputs go without automata.
  const size_t work = size % 3 == 0 ? 0 : 200000;
  const auto grammar =
      grammar_of_ebnf(std::string_view(reinterpret_cast<const char*>(data), size), work);
  if (!grammar.ok()) {
    G4_CHECK(!grammar.error().message.empty());
    return 0;
  }
  Explorer explorer(grammar.value());
  G4_CHECK(!explorer.over_budget());  // a grammar that cannot even begin is refused
  ConfigId config = explorer.start();
  for (size_t i = 0; i < size && i < 100; ++i) {
    const ConfigId next = follow(explorer, config, data[i]);
    if (explorer.over_budget()) {
      std::fprintf(stderr, "over budget after %zu steps of an input of %zu bytes\n", i, size);
      return 0;
    }
    if (next == kDeadConfig) {
      G4_CHECK(explorer.can_end(config));
      return 0;
    }
    config = next;
  }
  return 0;
}

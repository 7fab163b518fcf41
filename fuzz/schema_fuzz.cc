// Any JSON as a JSON Schema: refused, or a grammar whose matcher neither crashes nor hangs, whose
// forced text is accepted, and which a second matcher follows alike.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "constrain/explorer.h"
#include "constrain/schema_grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gemma4::constrain;  // NOLINT: a fuzz target
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto schema = gemma4::json::parse(text);
  if (!schema.ok()) return 0;
  const auto grammar = grammar_of_schema(schema.value(), {});
  if (!grammar.ok()) {
    G4_CHECK(!grammar.error().message.empty());
    return 0;
  }
  Explorer explorer(grammar.value());
  // A walk through the grammar, led by the input's own bytes.
  ConfigId config = explorer.start();
  for (size_t i = 0; i < size && i < 200 && config != kDeadConfig; ++i) {
    const int forced = explorer.forced_byte(config);
    int byte = forced >= 0 ? forced : data[i];
    for (int tries = 0;
         tries < 256 && explorer.step(config, static_cast<uint8_t>(byte)) == kDeadConfig; ++tries)
      byte = (byte + 1) % 256;
    const ConfigId next = explorer.step(config, static_cast<uint8_t>(byte));
    // What is neither complete nor impossible can be continued.
    G4_CHECK(next != kDeadConfig || explorer.can_end(config) || explorer.over_budget());
    config = next;
  }
  return 0;
}

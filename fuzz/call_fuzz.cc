// Any JSON as the parameters of a tool: refused, or a grammar of calls in which whatever may be
// begun can be finished.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "constrain/call_grammar.h"
#include "constrain/explorer.h"

namespace {

using gemma4::constrain::ConfigId;
using gemma4::constrain::Explorer;
using gemma4::constrain::kDeadConfig;

constexpr int32_t kQuote = 1, kBegin = 2, kEnd = 3;

// The configuration behind `choice`, a byte or else a control token, or the next one that there is.
ConfigId some_step(Explorer& explorer, ConfigId config, int choice) {
  for (int tries = 0; tries < 256 + kEnd; ++tries, choice = (choice + 1) % (256 + kEnd)) {
    const ConfigId next = choice < 256 ? explorer.step(config, static_cast<uint8_t>(choice))
                                       : explorer.step_symbol(config, choice - 256 + kQuote);
    if (next != kDeadConfig) return next;
  }
  return kDeadConfig;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gemma4::constrain;  // NOLINT: a fuzz target
  const auto schema = gemma4::json::parse({reinterpret_cast<const char*>(data), size});
  if (!schema.ok()) return 0;
  ControlTokens tokens{.call_begin = kBegin, .call_end = kEnd, .quote = kQuote};
  const Tool tools[] = {{"f", &schema.value()}};
  const auto grammar = grammar_of_calls(tools, tokens, CallCount::kOne);
  if (!grammar.ok()) {
    G4_CHECK(!grammar.error().message.empty());
    return 0;
  }
  Explorer explorer(grammar.value());
  ConfigId config = explorer.start();
  for (size_t i = 0; i < size && i < 200; ++i) {
    const ConfigId next = some_step(explorer, config, data[size - 1 - i]);
    if (next == kDeadConfig) {
      G4_CHECK(explorer.can_end(config) || explorer.over_budget());
      break;
    }
    config = next;
  }
  return 0;
}

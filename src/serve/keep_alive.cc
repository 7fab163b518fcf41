#include "serve/keep_alive.h"

#include "serve/fields.h"

namespace gemma4::serve {

std::optional<KeepAlive> read_keep_alive(Fields& fields) {
  const json::Value* const value = fields.any("keep_alive");
  if (value == nullptr) return std::nullopt;
  std::optional<KeepAlive> length;
  if (value->is_number()) length = duration_of_seconds(value->as_number().as_double());
  if (value->is_string()) length = parse_duration(value->as_string());
  if (!length) fields.fail("keep_alive", "expected seconds, or a length of time like \"5m\"");
  return length && *length < KeepAlive(0) ? kForever : length;
}

}  // namespace gemma4::serve

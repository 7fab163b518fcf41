// How long a model stays loaded after its last use: what --idle-unload says, or keep_alive of
// Ollama's requests.
#pragma once

#include <chrono>
#include <optional>

#include "base/duration.h"

namespace gemma4::serve {

class Fields;

using KeepAlive = std::chrono::milliseconds;
inline constexpr KeepAlive kForever = kLongestDuration;

// The field keep_alive: seconds, or a text as parse_duration takes it; less than nothing is for
// ever. Nothing where it is not there.
std::optional<KeepAlive> read_keep_alive(Fields& fields);

}  // namespace gemma4::serve

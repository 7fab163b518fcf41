// Lines about what the server does, each one JSON object on stderr. Never the text of a prompt or
// an answer.
#pragma once

#include "json/json.h"

namespace gemma4::serve {

// kDebug is left out unless log_everything() was called.
enum class LogLevel { kDebug, kInfo, kWarning, kError };

// {"time":…,"level":…, and the members}. Any thread.
void log_line(LogLevel level, const json::Value::Object& members);
void log_everything();
// Nothing is logged any more; for tests.
void silence_log();

}  // namespace gemma4::serve

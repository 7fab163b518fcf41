#include "serve/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace gemma4::serve {
namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> made = [] {
    auto logger = std::make_shared<spdlog::logger>(
        "gemma4", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})");
    return logger;
  }();
  return *made;
}

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

void log_line(LogLevel level, const json::Value::Object& members) {
  const std::string object = json::dump(members);
  const std::string inner = object.substr(1, object.size() - 2);
  logger().log(level_of(level), spdlog::string_view_t(inner));
}

void log_everything() { logger().set_level(spdlog::level::debug); }

void silence_log() { logger().set_level(spdlog::level::off); }

}  // namespace gemma4::serve

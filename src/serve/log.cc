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

}  // namespace

void log_line(LogLevel level, const json::Value::Object& members) {
  const std::string object = json::dump(members);
  const std::string inner = object.substr(1, object.size() - 2);
  logger().log(level == LogLevel::kInfo      ? spdlog::level::info
               : level == LogLevel::kWarning ? spdlog::level::warn
                                             : spdlog::level::err,
               spdlog::string_view_t(inner));
}

void silence_log() { logger().set_level(spdlog::level::off); }

}  // namespace gemma4::serve

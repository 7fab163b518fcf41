// How every command prints JSON: indented, on stdout. Names that are not UTF-8 (a folder may have
// any bytes) are repaired instead of failing the command.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace gemma4::apps {

inline std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

inline void write_json(const nlohmann::ordered_json& json) {
  std::fputs(json_text(json).c_str(), stdout);
}

}  // namespace gemma4::apps

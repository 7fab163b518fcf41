// Checks of option values: the message names the range, CLI11 puts the option in front, and the
// exit code is 2. Example: "--temp: must be from 0 to 100, got -1".
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace gemma4::apps {

CLI::Validator whole_number(int64_t low, int64_t high = std::numeric_limits<int64_t>::max());
CLI::Validator whole_unsigned();  // any 64-bit number, 0 or more
// `range` says in words what `low` and `high` allow, e.g. "above 0 and at most 1".
CLI::Validator number(const std::string& range, bool (*allowed)(double));
CLI::Validator one_of(std::vector<std::string> values);
CLI::Validator duration();  // more than nothing, as parse_duration takes it
CLI::Validator utf8_text();
CLI::Validator not_empty();

}  // namespace gemma4::apps

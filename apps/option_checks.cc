#include "apps/option_checks.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/duration.h"
#include "base/strings.h"
#include "text/utf8.h"

namespace gemma4::apps {
namespace {

// The whole text as a number, or nothing.
template <typename T>
std::optional<T> parse(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// An empty message accepts the value. The empty description keeps the help short.
template <typename Check>
CLI::Validator accept_if(Check check, const std::string& expectation) {
  return CLI::Validator(
      [=](const std::string& value) {
        return check(value) ? std::string()
                            : str_cat("must be ", expectation, ", got ", quote(value));
      },
      "");
}

}  // namespace

CLI::Validator whole_number(int64_t low, int64_t high) {
  const std::string range = high == std::numeric_limits<int64_t>::max()
                                ? str_cat(low, " or more")
                                : str_cat("from ", low, " to ", high);
  return accept_if(
      [=](const std::string& value) {
        const auto parsed = parse<int64_t>(value);
        return parsed && *parsed >= low && *parsed <= high;
      },
      "a whole number " + range);
}

CLI::Validator whole_unsigned() {
  return accept_if(
      [](const std::string& value) {
        return !value.starts_with('-') && parse<uint64_t>(value).has_value();
      },
      "a whole number 0 or more, below 2^64");
}

CLI::Validator number(const std::string& range, bool (*allowed)(double)) {
  return accept_if(
      [=](const std::string& value) {
        const auto parsed = parse<double>(value);
        return parsed && allowed(*parsed);
      },
      range);
}

CLI::Validator one_of(std::vector<std::string> values) {
  std::string list;
  for (size_t i = 0; i < values.size(); ++i)
    list += (i == 0 ? "" : i + 1 == values.size() ? " or " : ", ") + values[i];
  return accept_if(
      [values = std::move(values)](const std::string& value) {
        return std::ranges::find(values, value) != values.end();
      },
      list);
}

CLI::Validator duration() {
  return accept_if(
      [](const std::string& value) {
        const auto parsed = parse_duration(value);
        return parsed && parsed->count() > 0;
      },
      "a length of time like 90s, 10m or 1h30m");
}

CLI::Validator utf8_text() {
  return accept_if([](const std::string& value) { return text::is_well_formed(value); },
                   "UTF-8 text");
}

CLI::Validator not_empty() {
  return CLI::Validator(
      [](const std::string& value) {
        return std::string(value.empty() ? "must not be empty" : "");
      },
      "");
}

}  // namespace gemma4::apps

#include "serve/fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"

namespace gemma4::serve {

using json::Value;

namespace {

bool asks_for_nothing(const Value& value, std::string_view neutral) {
  if (value.is_null()) return true;
  if (value.is_bool()) return !value.as_bool();
  if (value.is_number()) return value.as_number().as_double() == 0;
  if (value.is_string()) return value.as_string().empty() || value.as_string() == neutral;
  return value.is_array() ? value.as_array().empty() : value.as_object().empty();
}

}  // namespace

Fields::Fields(const Value& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object())
    error_ =
        Error{ErrorCode::kInvalidArgument, path_.empty() ? "the body must be a JSON object"
                                                         : str_cat(path_, ": expected an object")};
}

std::string Fields::full(std::string_view name) const {
  return path_.empty() ? std::string(name) : str_cat(path_, ".", name);
}

void Fields::fail(std::string_view name, std::string_view problem) {
  fail({ErrorCode::kInvalidArgument, str_cat(full(name), ": ", problem)});
}

void Fields::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

const Value* Fields::any(std::string_view name) {
  known_.emplace(name);
  if (error_) return nullptr;
  const Value* value = object_.find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const Value* Fields::object(std::string_view name) {
  const Value* value = any(name);
  if (value == nullptr || value->is_object()) return value;
  fail(name, "expected an object");
  return nullptr;
}

const Value* Fields::list(std::string_view name) {
  const Value* value = any(name);
  if (value == nullptr || value->is_array()) return value;
  fail(name, "expected a list");
  return nullptr;
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const Value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->as_bool();
  fail(name, "expected true or false");
  return std::nullopt;
}

std::optional<std::string> Fields::text(std::string_view name) {
  const Value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->as_string();
  fail(name, "expected a string");
  return std::nullopt;
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t low, int64_t high) {
  const Value* value = any(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number =
      value->is_number() ? value->as_number().as_int64() : std::nullopt;
  if (number && *number >= low && *number <= high) return number;
  std::string range;
  if (high != std::numeric_limits<int64_t>::max()) {
    range = str_cat(" from ", low, " to ", high);
  } else if (low != std::numeric_limits<int64_t>::min()) {
    range = str_cat(" of at least ", low);
  }
  fail(name, str_cat("expected a whole number", range, ", got ", quote(json::dump(*value))));
  return std::nullopt;
}

std::optional<float> Fields::number(std::string_view name, const engine::Range& range) {
  const Value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    fail(name, "expected a number");
    return std::nullopt;
  }
  const double number = value->as_number().as_double();
  if (range.holds(number)) return static_cast<float>(number);
  fail(name, str_cat("must be ", range.text, ", got ", value->as_number().text));
  return std::nullopt;
}

std::optional<std::string> Fields::word(std::string_view name,
                                        std::initializer_list<std::string_view> words) {
  std::optional<std::string> value = text(name);
  if (!value || std::find(words.begin(), words.end(), *value) != words.end()) return value;
  std::string known;
  for (const std::string_view word : words) known += str_cat(known.empty() ? "" : ", ", word);
  fail(name, str_cat("must be one of ", known, "; got ", quote(*value)));
  return std::nullopt;
}

std::vector<std::string> Fields::texts(std::string_view name) {
  std::vector<std::string> all;
  const Value* value = any(name);
  if (value == nullptr) return all;
  if (value->is_string()) return {value->as_string()};
  if (!value->is_array()) {
    fail(name, "expected a string or a list of strings");
    return all;
  }
  for (const Value& entry : value->as_array()) {
    if (!entry.is_string()) {
      fail(name, "expected a string or a list of strings");
      return {};
    }
    all.push_back(entry.as_string());
  }
  return all;
}

void Fields::ignore(std::initializer_list<std::string_view> names) {
  known_.insert(names.begin(), names.end());
}

void Fields::refuse(std::initializer_list<std::string_view> names, std::string_view neutral) {
  for (const std::string_view name : names) {
    const Value* value = any(name);
    if (value != nullptr && !asks_for_nothing(*value, neutral))
      fail(name, "this server cannot do that; leave the field out");
  }
}

Status Fields::finish() {
  if (!error_)
    for (const auto& [name, value] : object_.as_object())
      if (!known_.contains(name)) {
        fail(quote(name), "there is no such field");
        break;
      }
  if (error_) return *error_;
  return {};
}

std::string field_of(std::string_view message) {
  const size_t colon = message.find(": ");
  if (colon == message.npos || colon == 0) return "";
  std::string_view field = message.substr(0, colon);
  if (field.size() > 1 && field.front() == '"' && field.back() == '"')
    field = field.substr(1, field.size() - 2);
  const bool is_name = std::all_of(field.begin(), field.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '[' || c == ']' || c == '-';
  });
  return is_name ? std::string(field) : "";
}

}  // namespace gemma4::serve

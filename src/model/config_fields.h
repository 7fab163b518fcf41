// One object of a JSON file, read field by field with limits.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strings.h"
#include "model/config_checks.h"

namespace gemma4::model {

// Reads keys of one object; remembers the first error so that a parser can be a plain list of
// fields.
class Fields {
 public:
  Fields(simdjson::dom::object object, std::string where)
      : object_(object), where_(std::move(where)) {}

  bool has(const char* key) const {
    simdjson::dom::element value;
    return object_[key].get(value) == simdjson::SUCCESS && !value.is_null();
  }

  // An integer in [low, high]. Without `fallback` the key is required.
  int64_t integer(const char* key, int64_t low, int64_t high,
                  std::optional<int64_t> fallback = std::nullopt) {
    if (!has(key)) return fallback ? *fallback : missing<int64_t>(key);
    int64_t value = 0;
    if (object_[key].get(value) != simdjson::SUCCESS)
      return fail<int64_t>(key, "expected an integer");
    if (value < low || value > high)
      return fail<int64_t>(key, str_cat("is ", value, ", expected ", low, " to ", high));
    return value;
  }

  double number(const char* key, double low, double high, double fallback) {
    if (!has(key)) return fallback;
    double value = 0;
    if (object_[key].get(value) != simdjson::SUCCESS) return fail<double>(key, "expected a number");
    if (!(value >= low && value <= high))
      return fail<double>(key, str_cat("is ", value, ", out of range"));
    return value;
  }

  bool boolean(const char* key, bool fallback) {
    if (!has(key)) return fallback;
    bool value = false;
    if (object_[key].get(value) != simdjson::SUCCESS)
      return fail<bool>(key, "expected true or false");
    return value;
  }

  std::string string(const char* key, std::string fallback) {
    if (!has(key)) return fallback;
    std::string_view value;
    if (object_[key].get(value) != simdjson::SUCCESS)
      return fail<std::string>(key, "expected a string");
    return std::string(value);
  }

  // A token id or a list of them; nothing when absent.
  std::vector<int32_t> token_ids(const char* key) {
    std::vector<int32_t> ids;
    if (!has(key)) return ids;
    const auto push = [&](const simdjson::dom::element& element) {
      int64_t id = 0;
      if (element.get(id) != simdjson::SUCCESS || id < 0 || id >= kMaxVocabulary)
        fail<bool>(key, "expected a token id or a list of them");
      else
        ids.push_back(static_cast<int32_t>(id));
    };
    simdjson::dom::array array;
    if (object_[key].get(array) == simdjson::SUCCESS)
      for (const simdjson::dom::element element : array) push(element);
    else
      push(object_[key].value_unsafe());
    return ids;
  }

  // Nothing when absent or null; something else than an object or an array is an error.
  std::optional<Fields> object(const char* key) {
    simdjson::dom::object child;
    if (!has(key)) return std::nullopt;
    if (object_[key].get(child) != simdjson::SUCCESS) {
      fail<bool>(key, "expected an object");
      return std::nullopt;
    }
    return Fields(child, path(key));
  }

  std::optional<simdjson::dom::array> array(const char* key) {
    simdjson::dom::array child;
    if (!has(key)) return std::nullopt;
    if (object_[key].get(child) != simdjson::SUCCESS) {
      fail<bool>(key, "expected an array");
      return std::nullopt;
    }
    return child;
  }

  const simdjson::dom::object& raw() const { return object_; }
  std::string path(const std::string& key) const {
    return where_.empty() ? key : where_ + "." + key;
  }

  // Keeps the first problem only: later ones are usually its consequences.
  template <typename T>
  T fail(const std::string& key, const std::string& problem) {
    if (!error_)
      error_ = Error{ErrorCode::kInvalidData, str_cat(quote(path(key), 120), ": ", problem)};
    return T{};
  }
  void take_error_of(const Fields& child) {
    if (!error_) error_ = child.error_;
  }
  void set_error(Error error) {
    if (!error_) error_ = std::move(error);
  }
  Status status() const { return error_ ? Status(*error_) : Status(); }
  bool failed() const { return error_.has_value(); }

 private:
  template <typename T>
  T missing(const char* key) {
    return fail<T>(key, "is missing");
  }
  simdjson::dom::object object_;
  std::string where_;
  std::optional<Error> error_;
};

}  // namespace gemma4::model

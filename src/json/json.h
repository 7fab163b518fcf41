// A JSON value that keeps what its text said: members in their order, numbers digit for digit.
//
//   G4_ASSIGN_OR_RETURN(const json::Value schema, json::parse(text));
//   if (const json::Value* type = schema.find("type")) use(type->as_string());
//   std::string compact = json::dump(schema);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace gemma4::json {

// A number as written; always valid JSON. Integers of any size and 1.0 stay what they are.
struct Number {
  std::string text;

  bool is_integer() const { return text.find_first_of(".eE") == text.npos; }
  // The nearest double; infinite beyond its range.
  double as_double() const;
  // The value, if it is written as an integer and fits.
  std::optional<int64_t> as_int64() const;

  bool operator==(const Number&) const = default;  // the same text, not the same value
};

class Value {
 public:
  using Array = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Object = std::vector<Member>;  // in the order of the text, names unique

  // NOLINTBEGIN(google-explicit-constructor): a value is what it holds, as in {1, "a", true}
  Value() = default;  // null
  Value(std::nullptr_t) {}
  Value(bool value) : data_(value) {}
  Value(int value) : Value(static_cast<int64_t>(value)) {}
  Value(int64_t value) : data_(Number{std::to_string(value)}) {}
  Value(Number value) : data_(std::move(value)) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(std::string_view value) : data_(std::string(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(Array value) : data_(std::move(value)) {}
  Value(Object value) : data_(std::move(value)) {}
  // NOLINTEND(google-explicit-constructor)

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_number() const { return std::holds_alternative<Number>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  // The value must be of that kind.
  bool as_bool() const { return std::get<bool>(data_); }
  const Number& as_number() const { return std::get<Number>(data_); }
  const std::string& as_string() const { return std::get<std::string>(data_); }
  const Array& as_array() const { return std::get<Array>(data_); }
  const Object& as_object() const { return std::get<Object>(data_); }
  Array& as_array() { return std::get<Array>(data_); }
  Object& as_object() { return std::get<Object>(data_); }

  // The member of that name; null pointer if there is none or this is not an object.
  const Value* find(std::string_view name) const;
  // Sets a member; a new one goes to the end. This must be an object.
  void set(std::string_view name, Value value);

  bool operator==(const Value&) const = default;  // members in the same order, numbers alike

 private:
  std::variant<std::monostate, bool, Number, std::string, Array, Object> data_;
};

struct ParseOptions {
  int max_depth = 512;  // of arrays and objects in one another
};

// `text` as one JSON value. Of members with the same name the last value counts, at the place of
// the first. Errors: kInvalidData with the byte where it went wrong, also for text that is not
// UTF-8, numbers beyond a double's range, and nesting beyond max_depth.
Result<Value> parse(std::string_view text, const ParseOptions& options = {});

// Compact JSON: no spaces, non-ASCII characters as they are.
std::string dump(const Value& value);
// `text` as a JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD.
std::string quote(std::string_view text);

}  // namespace gemma4::json

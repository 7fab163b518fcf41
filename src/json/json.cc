#include "json/json.h"

#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/strings.h"

namespace gemma4::json {
namespace {

// Builds values from the library's events, so that numbers keep their text and nesting is bounded.
class Builder {
 public:
  explicit Builder(int max_depth) : max_depth_(max_depth) {}

  bool null() { return add(Value()); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(Number{std::to_string(value)}); }
  bool number_unsigned(uint64_t value) { return add(Number{std::to_string(value)}); }
  bool number_float(double, const std::string& text) { return add(Number{text}); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<uint8_t>&) { return false; }  // not in text
  bool start_object(size_t) { return open(Value::Object()); }
  bool start_array(size_t) { return open(Value::Array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    open_.back().name = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    const std::string_view what = e.what();
    const size_t colon = what.find(": ");
    error_ = str_cat("is not JSON: byte ", position, ": ",
                     colon == what.npos ? what : what.substr(colon + 2));
    return false;
  }

  Result<Value> take() {
    if (!error_.empty()) return Error{ErrorCode::kInvalidData, error_};
    return std::move(root_);
  }

 private:
  bool open(Value container) {
    if (static_cast<int>(open_.size()) >= max_depth_) {
      error_ = str_cat("has arrays and objects nested more than ", max_depth_, " deep");
      return false;
    }
    open_.push_back({.value = std::move(container)});
    return true;
  }

  bool close() {
    Value done = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(done));
  }

  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Container& container = open_.back();
    if (container.value.is_array()) {
      container.value.as_array().push_back(std::move(value));
      return true;
    }
    Value::Object& members = container.value.as_object();
    const auto [it, is_new] = container.places.emplace(container.name, members.size());
    if (is_new) {
      members.emplace_back(std::move(container.name), std::move(value));
    } else {
      members[it->second].second = std::move(value);
    }
    return true;
  }

  // An array or object that has begun.
  struct Container {
    Value value;
    std::string name;                                // of the member being read
    std::unordered_map<std::string, size_t> places;  // of the members, by name
  };

  int max_depth_;
  std::vector<Container> open_;
  Value root_;
  std::string error_;
};

void append(const Value& value, std::string& out) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_number()) {
    out += value.as_number().text;
  } else if (value.is_string()) {
    out += quote(value.as_string());
  } else if (value.is_array()) {
    out += '[';
    bool first = true;
    for (const Value& element : value.as_array()) {
      if (!std::exchange(first, false)) out += ',';
      append(element, out);
    }
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [name, member] : value.as_object()) {
      if (!std::exchange(first, false)) out += ',';
      out += quote(name) + ':';
      append(member, out);
    }
    out += '}';
  }
}

}  // namespace

double Number::as_double() const {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of range leaves the value alone; strtod knows whether that is 0 or infinity.
  return error == std::errc() ? value : std::strtod(text.c_str(), nullptr);
}

std::optional<int64_t> Number::as_int64() const {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

const Value* Value::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  for (const auto& [key, value] : as_object())
    if (key == name) return &value;
  return nullptr;
}

void Value::set(std::string_view name, Value value) {
  for (auto& [key, old] : as_object())
    if (key == name) {
      old = std::move(value);
      return;
    }
  as_object().emplace_back(std::string(name), std::move(value));
}

Result<Value> parse(std::string_view text, const ParseOptions& options) {
  // The library takes it for the end of the text, whatever follows; JSON has none anywhere.
  if (const size_t nul = text.find('\0'); nul != text.npos)
    return Error{ErrorCode::kInvalidData, str_cat("is not JSON: byte ", nul + 1, ": a NUL byte")};
  Builder builder(options.max_depth);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string dump(const Value& value) {
  std::string out;
  append(value, out);
  return out;
}

std::string quote(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace gemma4::json

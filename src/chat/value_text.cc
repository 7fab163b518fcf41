#include "chat/value_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "text/letter_case.h"

namespace gemma4::chat {
namespace {

// The repr() of a string: single quotes, unless that would need a backslash and double ones not.
std::string python_quoted(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos;
  const char quote = has_single && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {  // Python escapes rare others too, such as U+00AD
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + quote;
}

std::string python_repr(const json::Value& value) {
  if (value.is_null()) return "None";
  if (value.is_bool()) return value.as_bool() ? "True" : "False";
  if (value.is_number()) return number_text(value.as_number());
  if (value.is_string()) return python_quoted(value.as_string());
  std::string out;
  if (value.is_array()) {
    for (const json::Value& element : value.as_array())
      out += (out.empty() ? "" : ", ") + python_repr(element);
    return "[" + out + "]";
  }
  for (const auto& [name, member] : value.as_object())
    out += (out.empty() ? "" : ", ") + python_quoted(name) + ": " + python_repr(member);
  return "{" + out + "}";
}

}  // namespace

void add_value(PromptBuilder& out, const json::Value& value, Keys keys) {
  if (value.is_null()) {
    out.add_template("null");
  } else if (value.is_bool()) {
    out.add_template(value.as_bool() ? "true" : "false");
  } else if (value.is_number()) {
    out.add_template(number_text(value.as_number()));
  } else if (value.is_string()) {
    out.add_quoted(value.as_string());
  } else if (value.is_object()) {
    out.add_template("{");
    add_members(out, value, keys);
    out.add_template("}");
  } else {
    out.add_template("[");
    bool first = true;
    for (const json::Value& element : value.as_array()) {
      if (!std::exchange(first, false)) out.add_template(",");
      add_value(out, element, keys);
    }
    out.add_template("]");
  }
}

void add_members(PromptBuilder& out, const json::Value& object, Keys keys) {
  bool first = true;
  for (const json::Value::Member* member : sorted_members(object)) {
    if (!std::exchange(first, false)) out.add_template(",");
    if (keys == Keys::kQuoted) {
      out.add_quoted(member->first);
    } else {
      out.add_request(member->first);
    }
    out.add_template(":");
    add_value(out, member->second, keys);
  }
}

std::vector<const json::Value::Member*> sorted_members(const json::Value& object) {
  std::vector<std::pair<std::string, const json::Value::Member*>> keyed;
  for (const json::Value::Member& member : object.as_object())
    keyed.emplace_back(text::to_lower(member.first), &member);
  // Bytes of UTF-8 order like code points.
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const json::Value::Member*> sorted;
  sorted.reserve(keyed.size());
  for (const auto& [key, member] : keyed) sorted.push_back(member);
  return sorted;
}

std::string number_text(const json::Number& number) {
  if (number.is_integer()) return number.text == "-0" ? "0" : number.text;
  const double value = number.as_double();
  if (!std::isfinite(value)) return value < 0 ? "-inf" : "inf";
  char buffer[400];
  const double size = std::fabs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr);
  if (plain && text.find('.') == text.npos) text += ".0";
  return text;
}

std::string python_text(const json::Value* value) {
  if (value == nullptr) return "";
  return value->is_string() ? value->as_string() : python_repr(*value);
}

bool is_truthy(const json::Value* value) {
  if (value == nullptr || value->is_null()) return false;
  if (value->is_bool()) return value->as_bool();
  if (value->is_number()) return value->as_number().as_double() != 0;
  if (value->is_string()) return !value->as_string().empty();
  if (value->is_array()) return !value->as_array().empty();
  return !value->as_object().empty();
}

}  // namespace gemma4::chat

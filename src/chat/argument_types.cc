#include "chat/argument_types.h"

#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "text/letter_case.h"

namespace gemma4::chat {
namespace {

using json::Value;

TypeSet::Bits type_of_name(std::string_view name) {
  constexpr std::pair<std::string_view, TypeSet::Bits> kNames[] = {
      {"null", TypeSet::kNull},     {"boolean", TypeSet::kBoolean}, {"integer", TypeSet::kInteger},
      {"number", TypeSet::kNumber}, {"string", TypeSet::kString},   {"array", TypeSet::kArray},
      {"object", TypeSet::kObject}};
  const std::string lower = text::to_lower(name);
  for (const auto& [known, bit] : kNames)
    if (lower == known) return bit;
  return TypeSet::kOtherType;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t skip_digits(std::string_view text, size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

// JSON's grammar of numbers: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
bool is_number_text(std::string_view text) {
  size_t at = text.starts_with('-') ? 1 : 0;
  if (at >= text.size() || !is_digit(text[at])) return false;
  at = text[at] == '0' ? at + 1 : skip_digits(text, at);
  if (at < text.size() && text[at] == '.') {
    const size_t fraction = at + 1;
    at = skip_digits(text, fraction);
    if (at == fraction) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const size_t exponent = at;
    at = skip_digits(text, exponent);
    if (at == exponent) return false;
  }
  return at == text.size();
}

// A number beyond a double's range is none: no reader of JSON would take it back.
std::optional<json::Number> number_of(std::string_view text) {
  if (!is_number_text(text)) return std::nullopt;
  json::Number number{std::string(text)};
  if (!std::isfinite(number.as_double())) return std::nullopt;
  return number;
}

std::optional<bool> boolean_of(std::string_view text) {
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  return std::nullopt;
}

}  // namespace

TypeSet ArgumentTypes::types(const Value* schema) {
  if (schema == nullptr || !schema->is_object()) return {};
  if (const auto known = types_.find(schema); known != types_.end()) return known->second;
  TypeSet all;
  const auto add = [&](int bits) { all.bits = static_cast<uint8_t>(all.bits | bits); };
  if (const Value* type = schema->find("type")) {
    if (type->is_string()) add(type_of_name(type->as_string()));
    if (type->is_array())
      for (const Value& one : type->as_array())
        if (one.is_string()) add(type_of_name(one.as_string()));
  }
  for (const char* alternatives : {"anyOf", "oneOf", "allOf"}) {
    const Value* list = schema->find(alternatives);
    if (list == nullptr || !list->is_array()) continue;
    for (const Value& one : list->as_array()) add(types(&one).bits);
  }
  types_[schema] = all;
  return all;
}

const Value* ArgumentTypes::property(const Value* schema, std::string_view name) {
  if (schema == nullptr) return nullptr;
  const auto [it, is_new] = properties_.try_emplace(schema);
  if (is_new) {
    const Value* properties = schema->find("properties");
    if (properties != nullptr && properties->is_object())
      for (const auto& [key, value] : properties->as_object()) it->second.emplace(key, &value);
  }
  const auto found = it->second.find(name);
  return found == it->second.end() ? nullptr : found->second;
}

const Value* ArgumentTypes::items(const Value* schema) {
  return schema == nullptr ? nullptr : schema->find("items");
}

Value type_bare(std::string_view text, TypeSet types) {
  if (types.is_only(TypeSet::kString)) return text;
  if (const auto boolean = boolean_of(text)) return *boolean;
  if (text.size() <= 4) {  // long texts need no lower case
    const std::string lower = text::to_lower(text);
    if (lower == "null" || lower == "none" || lower == "nil") return nullptr;
  }
  if (auto number = number_of(text)) return std::move(*number);
  return text;
}

Value type_string(std::string text, TypeSet types, int max_depth) {
  if (types.empty() || types.has(TypeSet::kString)) return text;
  if (types.has(TypeSet::kNull) && text.size() == 4 && text::to_lower(text) == "null")
    return nullptr;
  if (types.has(TypeSet::kInteger) || types.has(TypeSet::kNumber)) {
    auto number = number_of(text);
    if (number && (types.has(TypeSet::kNumber) || number->is_integer())) return std::move(*number);
  }
  if (types.has(TypeSet::kBoolean)) {
    if (const auto boolean = boolean_of(text)) return *boolean;
  }
  if (types.has(TypeSet::kArray) || types.has(TypeSet::kObject)) {
    auto parsed = json::parse(text, {.max_depth = max_depth});
    if (parsed.ok() && ((types.has(TypeSet::kArray) && parsed.value().is_array()) ||
                        (types.has(TypeSet::kObject) && parsed.value().is_object())))
      return std::move(parsed).value();
  }
  return text;
}

}  // namespace gemma4::chat

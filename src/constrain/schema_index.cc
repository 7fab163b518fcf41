#include "constrain/schema_index.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/strings.h"
#include "constrain/uri.h"

namespace gemma4::constrain {
namespace {

// Keywords whose value is a schema, a list of them, or a map to them.
constexpr std::array<std::string_view, 14> kSchema{"items",
                                                   "additionalItems",
                                                   "contains",
                                                   "additionalProperties",
                                                   "propertyNames",
                                                   "not",
                                                   "if",
                                                   "then",
                                                   "else",
                                                   "unevaluatedItems",
                                                   "unevaluatedProperties",
                                                   "contentSchema",
                                                   "unevaluated",
                                                   "extends"};
constexpr std::array<std::string_view, 5> kList{"allOf", "anyOf", "oneOf", "prefixItems", "items"};
constexpr std::array<std::string_view, 6> kMap{
    "$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"};

template <size_t n>
bool contains(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string unescaped_step(std::string_view step) {
  std::string result;
  for (size_t i = 0; i < step.size(); ++i) {
    const bool escaped = step[i] == '~' && i + 1 < step.size();
    result += escaped ? (step[i + 1] == '1' ? '/' : '~') : step[i];
    i += escaped;
  }
  return result;
}

std::string without_fragment(const std::string& uri) { return uri.substr(0, uri.find('#')); }

}  // namespace

std::string base_inside(const json::Value& schema, const std::string& base) {
  const json::Value* id = schema.find("$id");
  if (id == nullptr || !id->is_string()) return base;
  return without_fragment(resolve_uri(base, id->as_string()));
}

void SchemaIndex::add(const json::Value& document, const std::string& uri) {
  places_[uri] = {&document, {}, base_inside(document, uri)};
  scan(document, {}, uri, 0);
}

void SchemaIndex::scan(const json::Value& schema, const SchemaPath& path, std::string base,
                       int depth) {
  if (!schema.is_object() || depth > 1000) return;
  const json::Value* id = schema.find("$id");
  if (id != nullptr && id->is_string()) {
    base = base_inside(schema, base);
    if (!id->as_string().starts_with('#')) places_[base] = {&schema, path, base};
  }
  for (const char* keyword : {"$anchor", "$dynamicAnchor"}) {
    const json::Value* anchor = schema.find(keyword);
    if (anchor == nullptr || !anchor->is_string()) continue;
    places_.emplace(str_cat(base, "#", anchor->as_string()), SchemaPlace{&schema, path, base});
    if (keyword[1] == 'd') ++dynamic_[anchor->as_string()];
  }
  scan_members(schema, path, base, depth);
}

void SchemaIndex::scan_members(const json::Value& schema, const SchemaPath& path,
                               const std::string& base, int depth) {
  for (const auto& [name, value] : schema.as_object()) {
    const SchemaPath inside = path / name;
    if (contains(kSchema, name) && value.is_object()) scan(value, inside, base, depth + 1);
    if (contains(kList, name) && value.is_array())
      for (size_t i = 0; i < value.as_array().size(); ++i)
        scan(value.as_array()[i], inside / std::to_string(i), base, depth + 1);
    if (contains(kMap, name) && value.is_object())
      for (const auto& [key, member] : value.as_object())
        scan(member, inside / key, base, depth + 1);
  }
}

// The element or member of `value` that `step` names. Members are looked up in a table: references
// may be as many as they are.
const json::Value* SchemaIndex::child(const json::Value& value, const std::string& step) {
  if (value.is_object()) {
    const auto [it, is_new] = members_.try_emplace(&value);
    if (is_new)
      for (const auto& [name, member] : value.as_object()) it->second.emplace(name, &member);
    const auto member = it->second.find(step);
    return member == it->second.end() ? nullptr : member->second;
  }
  if (!value.is_array()) return nullptr;
  size_t index = 0;
  const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
  if (error != std::errc() || end != step.data() + step.size()) return nullptr;
  return index < value.as_array().size() ? &value.as_array()[index] : nullptr;
}

SchemaPlace SchemaIndex::find(const std::string& base, const std::string& reference) {
  const std::string uri = resolve_uri(base, reference);
  const size_t hash = std::min(uri.find('#'), uri.size());
  const std::string fragment = hash < uri.size() ? percent_decoded(uri.substr(hash + 1)) : "";
  const bool pointer = fragment.empty() || fragment.starts_with('/');
  const auto it =
      places_.find(pointer ? uri.substr(0, hash) : uri.substr(0, hash) + "#" + fragment);
  if (it == places_.end()) return {};
  SchemaPlace place = it->second;
  for (size_t begin = 1; begin <= fragment.size() && pointer;) {
    const size_t end = std::min(fragment.find('/', begin), fragment.size());
    const std::string step = unescaped_step(fragment.substr(begin, end - begin));
    place.value = child(*place.value, step);
    if (place.value == nullptr) return {};
    place.base = base_inside(*place.value, place.base);
    place.path = place.path / step;
    begin = end + 1;
  }
  return place;
}

int SchemaIndex::count_dynamic(const std::string& name) const {
  const auto it = dynamic_.find(name);
  return it == dynamic_.end() ? 0 : it->second;
}

}  // namespace gemma4::constrain

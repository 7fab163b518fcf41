// The keywords about strings, numbers, arrays and objects.
#include <algorithm>

#include "constrain/expression.h"
#include "constrain/regex.h"
#include "constrain/schema_loader.h"

namespace gemma4::constrain {

using json::Value;

Result<bool> SchemaLoader::read_text(Schema& schema, const std::string& name, const Value& value,
                                     const SchemaPlace& place) {
  StringSet set;
  if (name == "minLength") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, set.min_length));
  } else if (name == "maxLength") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, set.max_length));
  } else if (name == "pattern") {
    if (!value.is_string()) return wrong_schema(place.path, name, "must be a string");
    auto texts = texts_of_pattern(value.as_string());
    if (!texts.ok()) return texts.error().with_context(place.path.schema() + ": pattern");
    set = std::move(texts).value();
  } else if (name == "format") {
    if (!value.is_string()) return wrong_schema(place.path, name, "must be a string");
    if (!options_.enforce_formats) return true;
    const Dfa* dfa = dfa_of_format(value.as_string());
    if (dfa == nullptr && is_standard_format(value.as_string()))
      return refused_schema(place.path, name,
                            str_cat("'", value.as_string(), "' is beyond regular languages"));
    if (dfa == nullptr) return true;
    set = StringSet::of(*dfa);
    constexpr uint64_t kLongestHostname = 253;  // RFC 1035, as written; the automaton cannot count
    if (value.as_string() == "hostname") set.max_length = kLongestHostname;
  } else {
    return false;
  }
  schema.strings.push_back(std::move(set));
  return true;
}

// Counts of one set are lengths, which need no states.
Result<StringSet> SchemaLoader::texts_of_pattern(const std::string& pattern) {
  G4_ASSIGN_OR_RETURN(const auto repeated, repeated_set(pattern));
  if (!repeated) {
    G4_ASSIGN_OR_RETURN(Dfa dfa, compile_regex(pattern, RegexMode::kSearch, work_));
    return StringSet::of(std::move(dfa));
  }
  const StringSet lengths{
      static_cast<uint64_t>(repeated->min),
      repeated->max == kUnbounded ? kNoLimit : static_cast<uint64_t>(repeated->max), nullptr};
  if (complement(repeated->set).empty()) return lengths;
  Nfa nfa;
  const int start = nfa.add_state();
  const int final = nfa.add_state();
  nfa.code_point(start, repeated->set, start);
  nfa.jump(start, final);
  G4_ASSIGN_OR_RETURN(Dfa dfa, nfa.determinise(start, final, false, work_));
  return intersection(StringSet::of(std::move(dfa)), lengths, work_);
}

// `exclusiveMinimum: true` beside `minimum`, as in draft 4.
static Comparison comparison_of(const Value& schema, Comparison comparison,
                                const std::string& keyword) {
  const Value* exclusive =
      schema.find(keyword == "minimum" ? "exclusiveMinimum" : "exclusiveMaximum");
  if (exclusive == nullptr || !exclusive->is_bool() || !exclusive->as_bool()) return comparison;
  return keyword == "minimum" ? Comparison::kAbove : Comparison::kBelow;
}

Result<bool> SchemaLoader::read_number(Schema& schema, const std::string& name, const Value& value,
                                       const SchemaPlace& place) {
  static constexpr std::pair<std::string_view, Comparison> kBounds[] = {
      {"minimum", Comparison::kAtLeast},
      {"exclusiveMinimum", Comparison::kAbove},
      {"maximum", Comparison::kAtMost},
      {"exclusiveMaximum", Comparison::kBelow}};
  const auto* const bound = std::find_if(std::begin(kBounds), std::end(kBounds),
                                         [&](const auto& entry) { return entry.first == name; });
  if (bound == std::end(kBounds) && name != "multipleOf") return false;
  if (value.is_bool() && name.starts_with("exclusive")) return true;
  if (!value.is_number()) return wrong_schema(place.path, name, "must be a number");
  const auto decimal = to_decimal(value.as_number());
  if (!decimal.ok()) return refused_schema(place.path, name, decimal.error().message);
  if (bound == std::end(kBounds) &&
      (decimal.value().negative ||
       (decimal.value().whole == "0" && decimal.value().fraction.empty())))
    return wrong_schema(place.path, name, "must be above 0");
  const bool compares = bound != std::end(kBounds);
  const Comparison comparison =
      compares ? comparison_of(*place.value, bound->second, name) : Comparison::kAtLeast;
  NumberSet& known =
      numbers_[str_cat(compares ? static_cast<int>(comparison) : -1, " ", value.as_number().text)];
  if (known.is_all()) {
    auto dfa = compares ? numbers_compared(comparison, decimal.value(), work_)
                        : multiples_of(decimal.value(), work_);
    if (!dfa.ok()) return refused_schema(place.path, name, dfa.error().message);
    known = NumberSet::of(std::move(dfa).value());
  }
  schema.numbers.push_back(known);
  return true;
}

Result<bool> SchemaLoader::read_array(Schema& schema, const std::string& name, const Value& value,
                                      const SchemaPlace& place) {
  const SchemaPath path = place.path / name;
  if (name == "items" && value.is_array()) {  // draft 7
    if (!value.as_array().empty())
      G4_RETURN_IF_ERROR(children(value, place, name, schema.prefix_items));
  } else if (name == "items") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.items));
  } else if (name == "additionalItems") {  // draft 7, beside a list
    const Value* items = place.value->find("items");
    if (items != nullptr && items->is_array())
      G4_RETURN_IF_ERROR(child(value, place, path, schema.items));
  } else if (name == "prefixItems") {
    G4_RETURN_IF_ERROR(children(value, place, name, schema.prefix_items));
  } else if (name == "contains") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.contains));
  } else if (name == "unevaluatedItems") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.unevaluated_items));
  } else if (name == "minItems") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, schema.min_items));
  } else if (name == "maxItems") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, schema.max_items));
  } else if (name == "minContains") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, schema.min_contains));
  } else if (name == "maxContains") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, schema.max_contains));
  } else if (name == "uniqueItems") {
    if (!value.is_bool()) return wrong_schema(place.path, name, "must be true or false");
    schema.unique_items = value.as_bool();
  } else {
    return false;
  }
  return true;
}

Result<bool> SchemaLoader::read_object(Schema& schema, const std::string& name, const Value& value,
                                       const SchemaPlace& place) {
  const SchemaPath path = place.path / name;
  if (name == "properties") {
    G4_RETURN_IF_ERROR(members(value, place, name, [&](const std::string& key, SchemaId id) {
      schema.properties.emplace_back(key, id);
      return Status();
    }));
  } else if (name == "patternProperties") {
    G4_RETURN_IF_ERROR(members(value, place, name, [&](const std::string& key, SchemaId id) {
      auto dfa = compile_regex(key, RegexMode::kSearch, work_);
      if (!dfa.ok()) return Status(dfa.error().with_context(path.schema()));
      schema.pattern_properties.emplace_back(std::make_shared<const Dfa>(std::move(dfa).value()),
                                             id);
      return Status();
    }));
  } else if (name == "additionalProperties") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.additional_properties));
  } else if (name == "propertyNames") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.property_names));
  } else if (name == "unevaluatedProperties") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.unevaluated_properties));
  } else if (name == "required") {
    G4_RETURN_IF_ERROR(read_required(schema.required, value, name, place.path));
  } else if (name == "minProperties") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, schema.min_properties));
  } else if (name == "maxProperties") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, schema.max_properties));
  } else if (name == "dependentRequired" || name == "dependentSchemas" || name == "dependencies") {
    G4_RETURN_IF_ERROR(read_dependents(schema, value, name, place));
  } else {
    return false;
  }
  return true;
}

Status SchemaLoader::read_required(std::vector<std::string>& names, const Value& value,
                                   const std::string& keyword, const SchemaPath& path) {
  if (!value.is_array()) return wrong_schema(path, keyword, "must be a list of names");
  for (const Value& name : value.as_array()) {
    if (!name.is_string()) return wrong_schema(path, keyword, "must be a list of names");
    names.push_back(name.as_string());
  }
  return {};
}

// A list of names becomes a schema that requires them.
Status SchemaLoader::read_dependents(Schema& schema, const Value& value, const std::string& keyword,
                                     const SchemaPlace& place) {
  if (!value.is_object()) return wrong_schema(place.path, keyword, "must be an object");
  const SchemaPath path = place.path / keyword;
  for (const auto& [name, member] : value.as_object()) {
    SchemaId id = -1;
    if (member.is_array()) {
      Schema requires_them{.path = path / name};
      G4_RETURN_IF_ERROR(read_required(requires_them.required, member, keyword, place.path));
      id = schemas_.add(std::move(requires_them));
    } else {
      G4_RETURN_IF_ERROR(child(member, place, path / name, id));
    }
    schema.dependents.emplace_back(name, id);
  }
  return {};
}

}  // namespace gemma4::constrain

// What applies schemas in place, and the way from document to SchemaSet.
#include "constrain/schema_loader.h"

#include <algorithm>
#include <array>

#include "text/letter_case.h"

namespace gemma4::constrain {

using json::Value;

Error wrong_schema(const SchemaPath& path, std::string_view keyword, std::string_view what) {
  return {ErrorCode::kInvalidArgument, str_cat(path.schema(), ": ", keyword, " ", what)};
}

Error refused_schema(const SchemaPath& path, std::string_view keyword, std::string_view why) {
  return {ErrorCode::kUnsupported,
          str_cat(path.schema(), ": ", keyword, " cannot be enforced: ", why)};
}

Status SchemaLoader::read(Schema& schema, const SchemaPlace& place) {
  for (const auto& [name, value] : place.value->as_object()) {
    // Libraries write out what they leave open; only const has a use for null.
    if (options_.tool_forms && value.is_null() && name != "const") continue;
    G4_RETURN_IF_ERROR(read_keyword(schema, name, value, place));
  }
  // then and else say nothing without if; min- and maxContains nothing without contains.
  if (!schema.condition) schema.then_schema = schema.else_schema = std::nullopt;
  return {};
}

bool SchemaLoader::is_nullable(const Value& schema) {
  const Value* nullable = schema.find("nullable");
  return nullable != nullptr && nullable->is_bool() && nullable->as_bool();
}

Schema SchemaLoader::or_null(Schema schema) {
  Schema either{.path = schema.path, .has_any_of = true};
  either.any_of = {schemas_.add({.path = schema.path, .types = kNullBit}),
                   schemas_.add(std::move(schema))};
  return either;
}

Status SchemaLoader::read_keyword(Schema& schema, const std::string& name, const Value& value,
                                  const SchemaPlace& place) {
  for (const auto read :
       {&SchemaLoader::read_applicator, &SchemaLoader::read_text, &SchemaLoader::read_number,
        &SchemaLoader::read_array, &SchemaLoader::read_object}) {
    G4_ASSIGN_OR_RETURN(const bool known, (this->*read)(schema, name, value, place));
    if (known) return {};
  }
  constexpr std::array<std::string_view, 4> kStrings{"$schema", "$id", "$anchor", "$dynamicAnchor"};
  if (std::find(kStrings.begin(), kStrings.end(), name) != kStrings.end() && !value.is_string())
    return wrong_schema(place.path, name, "must be a string");
  if (name == "$schema") return read_dialect(value.as_string(), place);
  if (name == "nullable" && options_.tool_forms && !value.is_bool())
    return wrong_schema(place.path, name, "must be true or false");
  if (name == "$recursiveRef")
    return refused_schema(place.path, name, "it belongs to draft 2019-09; write $dynamicRef");
  return {};  // everything else is an annotation, as the standard has it
}

Status SchemaLoader::read_dialect(std::string uri, const SchemaPlace& place) {
  constexpr std::array<std::string_view, 7> kKnown{
      "https://json-schema.org/draft/2020-12/schema",
      "https://json-schema.org/draft/2019-09/schema",
      "http://json-schema.org/draft-07/schema",
      "http://json-schema.org/draft-06/schema",
      "http://json-schema.org/draft-04/schema",
      "http://json-schema.org/schema",
      "https://spec.openapis.org/oas/3.1/dialect/base"};
  if (uri.ends_with('#')) uri.pop_back();
  if (std::find(kKnown.begin(), kKnown.end(), uri) != kKnown.end()) return {};
  return refused_schema(place.path, "$schema",
                        str_cat("'", uri, "' is not a dialect that is known"));
}

Result<bool> SchemaLoader::read_applicator(Schema& schema, const std::string& name,
                                           const Value& value, const SchemaPlace& place) {
  const SchemaPath path = place.path / name;
  if (name == "allOf") {
    G4_RETURN_IF_ERROR(children(value, place, name, schema.all_of));
  } else if (name == "anyOf") {
    schema.has_any_of = true;
    G4_RETURN_IF_ERROR(children(value, place, name, schema.any_of));
  } else if (name == "oneOf") {
    G4_RETURN_IF_ERROR(children(value, place, name, schema.one_of.emplace_back()));
  } else if (name == "not") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.negated));
  } else if (name == "if") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.condition));
  } else if (name == "then") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.then_schema));
  } else if (name == "else") {
    G4_RETURN_IF_ERROR(child(value, place, path, schema.else_schema));
  } else if (name == "$ref" || name == "$dynamicRef") {
    G4_RETURN_IF_ERROR(read_reference(schema, name, value, place));
  } else if (name == "type") {
    G4_RETURN_IF_ERROR(read_types(schema, value, place.path));
  } else if (name == "const") {
    schema.values.push_back({&value});
  } else if (name == "enum") {
    if (!value.is_array()) return wrong_schema(place.path, name, "must be a list");
    auto& values = schema.values.emplace_back();
    for (const Value& one : value.as_array()) values.push_back(&one);
  } else {
    return false;
  }
  return true;
}

Status SchemaLoader::read_types(Schema& schema, const Value& value, const SchemaPath& path) {
  static constexpr std::pair<std::string_view, uint8_t> kTypes[] = {
      {"null", kNullBit},      {"boolean", kBooleanBit}, {"number", kNumberBit},
      {"string", kStringBit},  {"array", kArrayBit},     {"object", kObjectBit},
      {"integer", kIntegerBit}};
  const Value::Array one{value};
  uint8_t types = 0;
  for (const Value& type : value.is_array() ? value.as_array() : one) {
    std::string known = type.is_string() ? type.as_string() : "";
    if (options_.tool_forms) known = text::to_lower(known);
    const auto* const it = std::find_if(std::begin(kTypes), std::end(kTypes),
                                        [&](const auto& entry) { return known == entry.first; });
    if (it == std::end(kTypes))
      return wrong_schema(path, "type", str_cat("has an unknown name: ", json::dump(type)));
    types |= it->second;
  }
  if ((types & kIntegerBit) != 0) {
    if ((types & kNumberBit) == 0) schema.numbers.push_back(NumberSet::of(integers()));
    types = static_cast<uint8_t>((types & ~kIntegerBit) | kNumberBit);
  }
  schema.types = types;
  return {};
}

Status SchemaLoader::read_reference(Schema& schema, const std::string& name, const Value& value,
                                    const SchemaPlace& place) {
  if (!value.is_string()) return wrong_schema(place.path, name, "must be a string");
  const std::string& reference = value.as_string();
  const SchemaPlace target = index_.find(place.base, reference);
  if (target.value == nullptr)
    return wrong_schema(place.path, name,
                        str_cat("names '", reference, "', which is not in this document"));
  if (name == "$dynamicRef") {
    const std::string anchor = reference.substr(reference.find('#') + 1);
    const Value* dynamic = target.value->find("$dynamicAnchor");
    const bool moves = dynamic != nullptr && dynamic->is_string() && dynamic->as_string() == anchor;
    if (moves && index_.count_dynamic(anchor) > 1)
      return refused_schema(place.path, name, str_cat("'", anchor, "' has several meanings here"));
  }
  const Loaded loaded = load_at(target);
  schema.all_of.push_back(loaded.id);
  return loaded.status();
}

// Whether `document` is what some servers take around a schema: a name and the schema, or
// {"type": "json_schema", "json_schema": {...}}. As a schema it would allow everything.
static bool is_envelope(const Value& document) {
  constexpr std::array<std::string_view, 6> kMembers{"name",   "description", "strict",
                                                     "schema", "json_schema", "type"};
  if (!document.is_object()) return false;
  bool has_schema = false;
  for (const auto& [name, value] : document.as_object()) {
    if (std::find(kMembers.begin(), kMembers.end(), name) == kMembers.end()) return false;
    if (name == "type" && !(value.is_string() && value.as_string() == "json_schema")) return false;
    has_schema = has_schema || (name.ends_with("schema") && value.is_object());
  }
  return has_schema;
}

Result<SchemaSet> load_schema(const Value& document, const SchemaOptions& options) {
  if (is_envelope(document))
    return Error{ErrorCode::kInvalidArgument,
                 "this is no schema but has one inside; give the schema itself"};
  return SchemaLoader(options).load(document);
}

}  // namespace gemma4::constrain

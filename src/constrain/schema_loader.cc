// Reads the keywords of JSON Schema into Schema.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/strings.h"
#include "constrain/nfa.h"
#include "constrain/regex.h"
#include "constrain/schema.h"
#include "constrain/schema_index.h"

namespace gemma4::constrain {
namespace {

using json::Value;

constexpr size_t kMaxSchemas = 200000;
constexpr int kMaxDepth = 500;
constexpr std::string_view kDocument = "document:/";  // base of a schema without $id

Error wrong(const std::string& path, std::string_view keyword, std::string_view what) {
  return {ErrorCode::kInvalidArgument, str_cat("schema at '", path, "': ", keyword, " ", what)};
}

Error refused(const std::string& path, std::string_view keyword, std::string_view why) {
  return {ErrorCode::kUnsupported,
          str_cat("schema at '", path, "': ", keyword, " cannot be enforced: ", why)};
}

class Loader {
 public:
  explicit Loader(const SchemaOptions& options) : options_(options) {}

  Result<SchemaSet> load(const Value& document) {
    for (const auto& [uri, other] : options_.documents) index_.add(*other, uri);
    index_.add(document, std::string(kDocument));
    G4_RETURN_IF_ERROR(
        load_at({&document, "", base_inside(document, std::string(kDocument))}).status());
    return std::move(schemas_);
  }

 private:
  // Result<SchemaId> with a way to drop the value.
  struct Loaded {
    SchemaId id = -1;
    std::optional<Error> error;
    Status status() const { return error ? Status(*error) : Status(); }
  };
  using Reader = Status (Loader::*)(Schema&, const Value&, const SchemaPlace&);

  Loaded load_at(const SchemaPlace& place) {
    const auto known = ids_.find(place.value);
    if (known != ids_.end()) return {known->second, {}};
    if (++depth_ > kMaxDepth)
      return {-1, Error{ErrorCode::kResourceExhausted,
                        str_cat("schema at '", place.path, "' is nested too deep")}};
    if (ids_.size() > kMaxSchemas)
      return {-1, Error{ErrorCode::kResourceExhausted, "more than 200,000 schemas"}};
    Schema schema;
    schema.path = place.path;
    const SchemaId id = schemas_.add({});
    ids_[place.value] = id;  // first: it may refer to itself
    Status status;
    if (place.value->is_bool()) {
      schema.never = !place.value->as_bool();
    } else if (place.value->is_object()) {
      status = read(schema, place);
    } else {
      status = wrong(place.path, "schema", "is neither an object nor a boolean");
    }
    --depth_;
    schemas_.at(id) = std::move(schema);
    return status.ok() ? Loaded{id, {}} : Loaded{id, status.error()};
  }

  Status child(const Value& value, const SchemaPlace& parent, const std::string& path,
               SchemaId& id) {
    const Loaded loaded = load_at({&value, path, base_inside(value, parent.base)});
    id = loaded.id;
    return loaded.status();
  }
  Status child(const Value& value, const SchemaPlace& parent, const std::string& path,
               std::optional<SchemaId>& id) {
    return child(value, parent, path, id.emplace());
  }
  Status children(const Value& list, const SchemaPlace& parent, std::string_view keyword,
                  std::vector<SchemaId>& ids) {
    if (!list.is_array() || list.as_array().empty())
      return wrong(parent.path, keyword, "must be a list of schemas that is not empty");
    const std::string path = pointer_to(parent.path, keyword);
    for (size_t i = 0; i < list.as_array().size(); ++i)
      G4_RETURN_IF_ERROR(child(list.as_array()[i], parent, pointer_to(path, std::to_string(i)),
                               ids.emplace_back()));
    return {};
  }
  template <typename Add>
  Status members(const Value& map, const SchemaPlace& parent, std::string_view keyword, Add add) {
    if (!map.is_object()) return wrong(parent.path, keyword, "must be an object of schemas");
    const std::string path = pointer_to(parent.path, keyword);
    for (const auto& [name, value] : map.as_object()) {
      SchemaId id = -1;
      G4_RETURN_IF_ERROR(child(value, parent, pointer_to(path, name), id));
      G4_RETURN_IF_ERROR(add(name, id));
    }
    return {};
  }
  static Status limit(const Value& value, const std::string& path, std::string_view keyword,
                      uint64_t& result) {
    if (!value.is_number()) return wrong(path, keyword, "must be a whole number");
    const auto decimal = to_decimal(value.as_number());
    if (!decimal.ok() || decimal.value().negative || !decimal.value().fraction.empty())
      return wrong(path, keyword, "must be a whole number that is not negative");
    const std::string& digits = decimal.value().whole;
    result = digits.size() > 18 ? kNoLimit : std::stoull(digits);
    return {};
  }

  Status read(Schema& schema, const SchemaPlace& place);
  Status read_keyword(Schema& schema, const std::string& name, const Value& value,
                      const SchemaPlace& place);
  Result<bool> read_applicator(Schema& schema, const std::string& name, const Value& value,
                               const SchemaPlace& place);
  Result<bool> read_text(Schema& schema, const std::string& name, const Value& value,
                         const SchemaPlace& place);
  Result<bool> read_number(Schema& schema, const std::string& name, const Value& value,
                           const SchemaPlace& place);
  Result<bool> read_array(Schema& schema, const std::string& name, const Value& value,
                          const SchemaPlace& place);
  Result<bool> read_object(Schema& schema, const std::string& name, const Value& value,
                           const SchemaPlace& place);
  Status read_types(Schema& schema, const Value& value, const std::string& path);
  Status read_reference(Schema& schema, const std::string& name, const Value& value,
                        const SchemaPlace& place);
  Status read_required(std::vector<std::string>& names, const Value& value,
                       const std::string& keyword, const std::string& path);
  Status read_dependents(Schema& schema, const Value& value, const std::string& keyword,
                         const SchemaPlace& place);

  const SchemaOptions& options_;
  SchemaIndex index_;
  SchemaSet schemas_;
  std::unordered_map<const Value*, SchemaId> ids_;
  int depth_ = 0;
  size_t work_ = Nfa::kMaxWork;  // for all patterns together
};

Status Loader::read(Schema& schema, const SchemaPlace& place) {
  for (const auto& [name, value] : place.value->as_object())
    G4_RETURN_IF_ERROR(read_keyword(schema, name, value, place));
  // then and else say nothing without if; min- and maxContains nothing without contains.
  if (!schema.condition) schema.then_schema = schema.else_schema = std::nullopt;
  return {};
}

Status Loader::read_keyword(Schema& schema, const std::string& name, const Value& value,
                            const SchemaPlace& place) {
  for (const auto read : {&Loader::read_applicator, &Loader::read_text, &Loader::read_number,
                          &Loader::read_array, &Loader::read_object}) {
    G4_ASSIGN_OR_RETURN(const bool known, (this->*read)(schema, name, value, place));
    if (known) return {};
  }
  if (name == "$schema" && value.is_string()) {
    constexpr std::array<std::string_view, 5> kKnown{
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema", "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema", "http://json-schema.org/schema"};
    std::string uri = value.as_string();
    if (uri.ends_with('#')) uri.pop_back();
    if (std::find(kKnown.begin(), kKnown.end(), uri) == kKnown.end())
      return refused(place.path, name, str_cat("'", uri, "' is not a dialect that is known"));
  }
  if (name == "$recursiveRef")
    return refused(place.path, name, "it belongs to draft 2019-09; write $dynamicRef");
  return {};  // everything else is an annotation, as the standard has it
}

Result<bool> Loader::read_applicator(Schema& schema, const std::string& name, const Value& value,
                                     const SchemaPlace& place) {
  const std::string path = pointer_to(place.path, name);
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
    if (!value.is_array()) return wrong(place.path, name, "must be a list");
    auto& values = schema.values.emplace_back();
    for (const Value& one : value.as_array()) values.push_back(&one);
  } else {
    return false;
  }
  return true;
}

Status Loader::read_types(Schema& schema, const Value& value, const std::string& path) {
  static constexpr std::pair<std::string_view, uint8_t> kTypes[] = {
      {"null", kNullBit},      {"boolean", kBooleanBit}, {"number", kNumberBit},
      {"string", kStringBit},  {"array", kArrayBit},     {"object", kObjectBit},
      {"integer", kIntegerBit}};
  const Value::Array one{value};
  uint8_t types = 0;
  for (const Value& type : value.is_array() ? value.as_array() : one) {
    const auto* const it = std::find_if(
        std::begin(kTypes), std::end(kTypes),
        [&](const auto& entry) { return type.is_string() && type.as_string() == entry.first; });
    if (it == std::end(kTypes))
      return wrong(path, "type", str_cat("has an unknown name: ", json::dump(type)));
    types |= it->second;
  }
  if ((types & kIntegerBit) != 0) {
    if ((types & kNumberBit) == 0) schema.numbers.push_back(NumberSet::of(integers()));
    types = static_cast<uint8_t>((types & ~kIntegerBit) | kNumberBit);
  }
  schema.types = types;
  return {};
}

Status Loader::read_reference(Schema& schema, const std::string& name, const Value& value,
                              const SchemaPlace& place) {
  if (!value.is_string()) return wrong(place.path, name, "must be a string");
  const std::string& reference = value.as_string();
  const SchemaPlace target = index_.find(place.base, reference);
  if (target.value == nullptr)
    return wrong(place.path, name,
                 str_cat("names '", reference, "', which is not in this document"));
  if (name == "$dynamicRef") {
    const std::string anchor = reference.substr(reference.find('#') + 1);
    const Value* dynamic = target.value->find("$dynamicAnchor");
    const bool moves = dynamic != nullptr && dynamic->is_string() && dynamic->as_string() == anchor;
    if (moves && index_.count_dynamic(anchor) > 1)
      return refused(place.path, name, str_cat("'", anchor, "' has several meanings here"));
  }
  const Loaded loaded = load_at(target);
  schema.all_of.push_back(loaded.id);
  return loaded.status();
}

Result<bool> Loader::read_text(Schema& schema, const std::string& name, const Value& value,
                               const SchemaPlace& place) {
  StringSet set;
  if (name == "minLength") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, set.min_length));
  } else if (name == "maxLength") {
    G4_RETURN_IF_ERROR(limit(value, place.path, name, set.max_length));
  } else if (name == "pattern") {
    if (!value.is_string()) return wrong(place.path, name, "must be a string");
    auto dfa = compile_regex(value.as_string(), RegexMode::kSearch, work_);
    if (!dfa.ok())
      return dfa.error().with_context(str_cat("schema at '", place.path, "': pattern"));
    set = StringSet::of(std::move(dfa).value());
  } else if (name == "format") {
    if (!value.is_string()) return wrong(place.path, name, "must be a string");
    const Dfa* dfa = options_.enforce_formats ? dfa_of_format(value.as_string()) : nullptr;
    if (dfa == nullptr) return true;
    set = StringSet::of(*dfa);
  } else {
    return false;
  }
  schema.strings.push_back(std::move(set));
  return true;
}

Result<bool> Loader::read_number(Schema& schema, const std::string& name, const Value& value,
                                 const SchemaPlace& place) {
  static constexpr std::pair<std::string_view, Comparison> kBounds[] = {
      {"minimum", Comparison::kAtLeast},
      {"exclusiveMinimum", Comparison::kAbove},
      {"maximum", Comparison::kAtMost},
      {"exclusiveMaximum", Comparison::kBelow}};
  const auto* const bound = std::find_if(std::begin(kBounds), std::end(kBounds),
                                         [&](const auto& entry) { return entry.first == name; });
  if (bound == std::end(kBounds) && name != "multipleOf") return false;
  if (!value.is_number()) return wrong(place.path, name, "must be a number");
  const auto decimal = to_decimal(value.as_number());
  if (!decimal.ok()) return refused(place.path, name, decimal.error().message);
  if (bound != std::end(kBounds)) {
    schema.numbers.push_back(NumberSet::of(numbers_compared(bound->second, decimal.value())));
    return true;
  }
  if (decimal.value().negative || (decimal.value().whole == "0" && decimal.value().fraction == ""))
    return wrong(place.path, name, "must be above 0");
  auto dfa = multiples_of(decimal.value());
  if (!dfa.ok()) return refused(place.path, name, dfa.error().message);
  schema.numbers.push_back(NumberSet::of(std::move(dfa).value()));
  return true;
}

Result<bool> Loader::read_array(Schema& schema, const std::string& name, const Value& value,
                                const SchemaPlace& place) {
  const std::string path = pointer_to(place.path, name);
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
    schema.unique_items = value.is_bool() && value.as_bool();
  } else {
    return false;
  }
  return true;
}

Result<bool> Loader::read_object(Schema& schema, const std::string& name, const Value& value,
                                 const SchemaPlace& place) {
  const std::string path = pointer_to(place.path, name);
  if (name == "properties") {
    G4_RETURN_IF_ERROR(members(value, place, name, [&](const std::string& key, SchemaId id) {
      schema.properties.emplace_back(key, id);
      return Status();
    }));
  } else if (name == "patternProperties") {
    G4_RETURN_IF_ERROR(members(value, place, name, [&](const std::string& key, SchemaId id) {
      auto dfa = compile_regex(key, RegexMode::kSearch, work_);
      if (!dfa.ok()) return Status(dfa.error().with_context(str_cat("schema at '", path, "'")));
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

Status Loader::read_required(std::vector<std::string>& names, const Value& value,
                             const std::string& keyword, const std::string& path) {
  if (!value.is_array()) return wrong(path, keyword, "must be a list of names");
  for (const Value& name : value.as_array()) {
    if (!name.is_string()) return wrong(path, keyword, "must be a list of names");
    names.push_back(name.as_string());
  }
  return {};
}

// A list of names becomes a schema that requires them.
Status Loader::read_dependents(Schema& schema, const Value& value, const std::string& keyword,
                               const SchemaPlace& place) {
  if (!value.is_object()) return wrong(place.path, keyword, "must be an object");
  const std::string path = pointer_to(place.path, keyword);
  for (const auto& [name, member] : value.as_object()) {
    SchemaId id = -1;
    if (member.is_array()) {
      Schema requires_them{.path = pointer_to(path, name)};
      G4_RETURN_IF_ERROR(read_required(requires_them.required, member, keyword, place.path));
      id = schemas_.add(std::move(requires_them));
    } else {
      G4_RETURN_IF_ERROR(child(member, place, pointer_to(path, name), id));
    }
    schema.dependents.emplace_back(name, id);
  }
  return {};
}

}  // namespace

Result<SchemaSet> load_schema(const Value& document, const SchemaOptions& options) {
  return Loader(options).load(document);
}

}  // namespace gemma4::constrain

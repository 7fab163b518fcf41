// Reads JSON Schema into Schema, keyword by keyword (load_schema in schema.h).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/strings.h"
#include "constrain/nfa.h"
#include "constrain/schema.h"
#include "constrain/schema_index.h"

namespace gemma4::constrain {

// Errors that name the place and the keyword.
Error wrong_schema(const SchemaPath& path, std::string_view keyword, std::string_view what);
Error refused_schema(const SchemaPath& path, std::string_view keyword, std::string_view why);

class SchemaLoader {
 public:
  explicit SchemaLoader(const SchemaOptions& options) : options_(options) {}

  Result<SchemaSet> load(const json::Value& document) {
    for (const auto& [uri, other] : options_.documents) index_.add(*other, uri);
    index_.add(document, std::string(kDocument));
    G4_RETURN_IF_ERROR(
        load_at({&document, {}, base_inside(document, std::string(kDocument))}).status());
    return std::move(schemas_);
  }

 private:
  static constexpr size_t kMaxSchemas = 200000;
  static constexpr int kMaxDepth = 500;
  static constexpr std::string_view kDocument = "document:/";  // base of a schema without $id

  // Result<SchemaId> with a way to drop the value.
  struct Loaded {
    SchemaId id = -1;
    std::optional<Error> error;
    Status status() const { return error ? Status(*error) : Status(); }
  };

  Loaded load_at(const SchemaPlace& place) {
    const auto known = ids_.find(place.value);
    if (known != ids_.end()) return {known->second, {}};
    if (++depth_ > kMaxDepth)
      return {-1,
              Error{ErrorCode::kResourceExhausted, place.path.schema() + " is nested too deep"}};
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
      status = wrong_schema(place.path, "schema", "is neither an object nor a boolean");
    }
    --depth_;
    if (options_.tool_forms && is_nullable(*place.value)) schema = or_null(std::move(schema));
    schemas_.at(id) = std::move(schema);
    return status.ok() ? Loaded{id, {}} : Loaded{id, status.error()};
  }

  Status child(const json::Value& value, const SchemaPlace& parent, const SchemaPath& path,
               SchemaId& id) {
    const Loaded loaded = load_at({&value, path, base_inside(value, parent.base)});
    id = loaded.id;
    return loaded.status();
  }
  Status child(const json::Value& value, const SchemaPlace& parent, const SchemaPath& path,
               std::optional<SchemaId>& id) {
    return child(value, parent, path, id.emplace());
  }
  Status children(const json::Value& list, const SchemaPlace& parent, std::string_view keyword,
                  std::vector<SchemaId>& ids) {
    if (!list.is_array() || list.as_array().empty())
      return wrong_schema(parent.path, keyword, "must be a list of schemas that is not empty");
    const SchemaPath path = parent.path / keyword;
    for (size_t i = 0; i < list.as_array().size(); ++i)
      G4_RETURN_IF_ERROR(
          child(list.as_array()[i], parent, path / std::to_string(i), ids.emplace_back()));
    return {};
  }
  template <typename Add>
  Status members(const json::Value& map, const SchemaPlace& parent, std::string_view keyword,
                 Add add) {
    if (!map.is_object()) return wrong_schema(parent.path, keyword, "must be an object of schemas");
    const SchemaPath path = parent.path / keyword;
    for (const auto& [name, value] : map.as_object()) {
      SchemaId id = -1;
      G4_RETURN_IF_ERROR(child(value, parent, path / name, id));
      G4_RETURN_IF_ERROR(add(name, id));
    }
    return {};
  }
  static Status limit(const json::Value& value, const SchemaPath& path, std::string_view keyword,
                      uint64_t& result) {
    if (!value.is_number()) return wrong_schema(path, keyword, "must be a whole number");
    const auto decimal = to_decimal(value.as_number());
    if (!decimal.ok() || decimal.value().negative || !decimal.value().fraction.empty())
      return wrong_schema(path, keyword, "must be a whole number that is not negative");
    const std::string& digits = decimal.value().whole;
    constexpr uint64_t kMostCounted = UINT32_MAX - 2;  // as registers can
    result = digits.size() > 18 ? kNoLimit : std::stoull(digits);
    if (result <= kMostCounted) return {};
    if (keyword.starts_with("min"))
      return refused_schema(path, keyword, str_cat("it is above ", kMostCounted));
    result = kNoLimit;  // nothing is so long
    return {};
  }

  static bool is_nullable(const json::Value& schema);
  Schema or_null(Schema schema);
  Status read(Schema& schema, const SchemaPlace& place);
  Status read_keyword(Schema& schema, const std::string& name, const json::Value& value,
                      const SchemaPlace& place);
  Status read_dialect(std::string uri, const SchemaPlace& place);
  Result<bool> read_applicator(Schema& schema, const std::string& name, const json::Value& value,
                               const SchemaPlace& place);
  Result<bool> read_text(Schema& schema, const std::string& name, const json::Value& value,
                         const SchemaPlace& place);
  Result<StringSet> texts_of_pattern(const std::string& pattern);
  Result<bool> read_number(Schema& schema, const std::string& name, const json::Value& value,
                           const SchemaPlace& place);
  Result<bool> read_array(Schema& schema, const std::string& name, const json::Value& value,
                          const SchemaPlace& place);
  Result<bool> read_object(Schema& schema, const std::string& name, const json::Value& value,
                           const SchemaPlace& place);
  Status read_types(Schema& schema, const json::Value& value, const SchemaPath& path);
  Status read_reference(Schema& schema, const std::string& name, const json::Value& value,
                        const SchemaPlace& place);
  Status read_required(std::vector<std::string>& names, const json::Value& value,
                       const std::string& keyword, const SchemaPath& path);
  Status read_dependents(Schema& schema, const json::Value& value, const std::string& keyword,
                         const SchemaPlace& place);

  const SchemaOptions& options_;
  SchemaIndex index_;
  SchemaSet schemas_;
  std::unordered_map<const json::Value*, SchemaId> ids_;
  int depth_ = 0;
  std::map<std::string, NumberSet> numbers_;  // by comparison, or -1 for multiples, and the number
  size_t work_ = Nfa::kMaxWork;               // for all patterns and numbers together
};

}  // namespace gemma4::constrain

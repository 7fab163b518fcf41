// JSON Schema (draft 2020-12) as a tree of what its keywords say, references resolved.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "constrain/numbers.h"
#include "constrain/schema_path.h"
#include "constrain/value_sets.h"
#include "json/json.h"

namespace gemma4::constrain {

using SchemaId = int32_t;

// Types of JSON values as bits. Integers are numbers that `integers` keeps.
enum TypeBit : uint8_t {
  kNullBit = 1,
  kBooleanBit = 2,
  kNumberBit = 4,
  kStringBit = 8,
  kArrayBit = 16,
  kObjectBit = 32,
  kIntegerBit = 64,
};
inline constexpr uint8_t kAnyType = 63;

// One schema. Optional parts that are not there say nothing.
struct Schema {
  SchemaPath path;     // for messages
  bool never = false;  // the schema `false`
  uint8_t types = kAnyType;
  std::vector<std::vector<const json::Value*>> values;  // of enum and const: one of each list

  std::vector<StringSet> strings;  // minLength, maxLength, pattern, format
  std::vector<NumberSet> numbers;  // minimum … multipleOf

  std::vector<SchemaId> prefix_items;
  std::optional<SchemaId> items, contains, unevaluated_items;
  uint64_t min_items = 0, max_items = kNoLimit;
  uint64_t min_contains = 1, max_contains = kNoLimit;
  bool unique_items = false;

  std::vector<std::pair<std::string, SchemaId>> properties;
  std::vector<std::pair<std::shared_ptr<const Dfa>, SchemaId>> pattern_properties;
  std::optional<SchemaId> additional_properties, property_names, unevaluated_properties;
  std::vector<std::string> required;
  uint64_t min_properties = 0, max_properties = kNoLimit;
  std::vector<std::pair<std::string, SchemaId>> dependents;  // of dependentSchemas and …Required

  std::vector<SchemaId> all_of, any_of;  // $ref is one more of all_of
  bool has_any_of = false;
  std::vector<std::vector<SchemaId>> one_of;
  std::optional<SchemaId> negated, condition, then_schema, else_schema;
};

struct SchemaOptions {
  // Whether `format` is enforced for the formats known, or says nothing (the standard's default).
  bool enforce_formats = true;
  // Whether objects may have properties that their schema does not name where it does not say so.
  // The standard: yes.
  bool open_objects = true;
  // Whether type names may be upper-case, `nullable` adds null, and keywords that are null are not
  // there, as in declarations of tools.
  bool tool_forms = false;
  // Other documents that references may name: URI and contents.
  std::vector<std::pair<std::string, const json::Value*>> documents;
};

// Schemas by id; 0 is the one that was loaded. The JSON must outlive it.
class SchemaSet {
 public:
  const Schema& operator[](SchemaId id) const { return *schemas_[id]; }
  SchemaId add(Schema schema) {
    schemas_.push_back(std::make_unique<Schema>(std::move(schema)));
    return static_cast<SchemaId>(schemas_.size() - 1);
  }
  Schema& at(SchemaId id) { return *schemas_[id]; }

 private:
  std::vector<std::unique_ptr<Schema>> schemas_;
};

// Errors, with the keyword's name and its JSON pointer: kInvalidArgument for what is no schema or a
// reference to nothing; kUnsupported for keywords that cannot be enforced; kResourceExhausted for
// more than 200,000 schemas or an automaton that grows too large.
Result<SchemaSet> load_schema(const json::Value& document, const SchemaOptions& options);

// The texts of `format`, or nothing for formats that are not enforced.
const Dfa* dfa_of_format(std::string_view format);
// Whether the standard defines `format`; all others are annotations of whoever uses them.
bool is_standard_format(std::string_view format);

}  // namespace gemma4::constrain

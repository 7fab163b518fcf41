// Which JSON types the schema of a tool allows where: the model writes <|"|>3<|"|> for a number and
// 02139 for a string, and the declaration says which was meant.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "json/json.h"

namespace gemma4::chat {

// A set of the types of JSON schema.
struct TypeSet {
  enum Bits : uint8_t {
    kNull = 1,
    kBoolean = 2,
    kInteger = 4,
    kNumber = 8,
    kString = 16,
    kArray = 32,
    kObject = 64,
    kOtherType = 128,  // a name that JSON schema does not have
  };
  uint8_t bits = 0;

  bool has(Bits bit) const { return (bits & bit) != 0; }
  bool empty() const { return bits == 0; }  // anything goes
  bool is_only(Bits bit) const { return bits == bit; }
};

// Questions to one schema, which must outlive this. Answers are kept: each costs once.
class ArgumentTypes {
 public:
  // The types of `type` and of all members of anyOf, oneOf and allOf. A null pointer has none.
  TypeSet types(const json::Value* schema);
  // The schema of a member of an object; null pointer if nothing is known.
  const json::Value* property(const json::Value* schema, std::string_view name);
  // The schema of the elements of a list; null pointer if nothing is known.
  static const json::Value* items(const json::Value* schema);

 private:
  using Members = std::unordered_map<std::string_view, const json::Value*>;
  std::unordered_map<const json::Value*, TypeSet> types_;
  std::unordered_map<const json::Value*, Members> properties_;
};

// A value that stood without delimiters, such as 42, true or fast: keywords and JSON numbers are
// what they look like, anything else and everything where only strings may stand is a string.
json::Value type_bare(std::string_view text, TypeSet types);

// A delimited string, which stays one unless the schema wants something else that it can be read
// as. `max_depth` bounds lists and objects in its text.
json::Value type_string(std::string text, TypeSet types, int max_depth);

}  // namespace gemma4::chat

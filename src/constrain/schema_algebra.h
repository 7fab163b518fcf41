// What a conjunction of schemas and negated schemas allows: for atoms, strings and numbers as sets,
// for arrays and objects as a list of alternatives, each of which says one thing per item or
// property.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "constrain/schema.h"

namespace gemma4::constrain {

// A schema that must hold, or must not.
struct Literal {
  SchemaId schema = 0;
  bool negated = false;
  auto operator<=>(const Literal&) const = default;  // NOLINT(modernize-use-nullptr)
};
// All of these; sorted, without repetitions. Empty: anything.
using Conjunction = std::vector<Literal>;

enum class Atom : uint8_t { kNull, kTrue, kFalse };

// One alternative for arrays. Groups come from one schema each: all of them apply.
struct ArraySpec {
  static constexpr uint8_t kType = kArrayBit;
  struct Group {
    std::vector<Literal> prefix;
    std::optional<Literal> rest;
    bool annotates = true;  // unevaluatedItems leaves alone what this group has looked at
  };
  struct Contains {
    Literal item;
    uint64_t min = 1, max = kNoLimit;  // how many of them
    uint64_t from = 0;                 // only items from this index on count
    bool annotates = false;
  };
  std::vector<std::shared_ptr<const Group>> groups;
  std::vector<Contains> contains;
  uint64_t min = 0, max = kNoLimit;
  bool unique = false;
};

// One alternative for objects.
struct ObjectSpec {
  static constexpr uint8_t kType = kObjectBit;
  struct Group {
    std::map<std::string, std::vector<Literal>> named;
    std::vector<std::string> order;  // of the names, as the schema has it
    std::vector<std::pair<std::shared_ptr<const Dfa>, std::optional<Literal>>> patterns;
    std::optional<Literal> additional;  // for what is neither named nor matched
    bool annotates = true;
  };
  struct Exists {  // at least one property of these names has such a value
    std::shared_ptr<const Dfa> keys;
    Conjunction value;
  };
  std::vector<std::shared_ptr<const Group>> groups;
  std::set<std::string> required;
  std::vector<Literal> names;  // of propertyNames
  std::vector<Exists> exists;
  uint64_t min = 0, max = kNoLimit;
};

class SchemaAlgebra {
 public:
  // Without `open_objects`, an alternative for objects that names properties has no others unless
  // it speaks of them.
  explicit SchemaAlgebra(SchemaSet schemas, bool open_objects = true)
      : schemas_(std::move(schemas)), open_objects_(open_objects) {}

  // Errors of all of these: kUnsupported for what cannot be enforced, kResourceExhausted for what
  // would take too much; with the JSON pointer of the schema.
  Result<bool> accepts(const Conjunction& all, Atom atom);
  Result<StringSet> strings(const Conjunction& all);
  Result<NumberSet> numbers(const Conjunction& all);
  // Alternatives that are plainly impossible are left out.
  Result<std::vector<ArraySpec>> arrays(const Conjunction& all);
  Result<std::vector<ObjectSpec>> objects(const Conjunction& all);
  // True if certainly no value satisfies `all`.
  Result<bool> empty(const Conjunction& all);

  // What the item at `index` and the property `key` of an alternative must satisfy.
  Conjunction item(const ArraySpec& spec, uint64_t index) const;
  Conjunction property(const ObjectSpec& spec, const std::string& key) const;
  // The strings that satisfy propertyNames.
  Result<StringSet> names(const ObjectSpec& spec);

  // Values of which each that satisfies `all` is one, if it lists them by enum, const or being
  // boolean or null; no two are equal.
  Result<std::optional<std::vector<SchemaId>>> finite_values(const Conjunction& all);

  bool open_objects() const { return open_objects_; }
  const Schema& schema(SchemaId id) const { return schemas_[id]; }
  SchemaId add(Schema schema) { return schemas_.add(std::move(schema)); }
  // The schema `true`.
  SchemaId anything();
  // Adds a literal unless it says nothing.
  void add_to(Conjunction& all, Literal literal) const;
  // Takes from what may be spent on one schema; the error says that `place` went beyond it.
  Status charge(size_t amount, SchemaId place);
  // What is left for automata.
  size_t& work() { return work_; }
  // The schema that stands for a conjunction in messages.
  static SchemaId first_of(const Conjunction& all) { return all.empty() ? 0 : all[0].schema; }
  // "schema at '/path'", of the first literal.
  std::string place_of(const Conjunction& all) const;
  Error refuse(SchemaId id, std::string_view keyword, std::string_view why) const;
  // `error` with the place and the keywords that it is about, unless it has a place already.
  Error placed(const Error& error, SchemaId id, std::string_view keywords) const;

 private:
  template <typename Sets>
  friend class SetEvaluator;
  template <typename Spec>
  friend class SpecBuilder;

  // How annotations count: not at all, or by trying every set of the branches of anyOf.
  enum class Annotations : uint8_t { kIgnored, kKept, kAllSubsets };

  Result<bool> has_no_value(const Conjunction& all);
  template <typename Spec>
  Result<std::vector<Spec>> specs(const Conjunction& all);
  Result<bool> impossible(const ArraySpec& spec);
  Result<bool> impossible(const ObjectSpec& spec);
  // A schema that says with arrays' or objects' keywords what being this value means.
  SchemaId structure_of(const json::Value& value);
  SchemaId constant(const json::Value& value);
  // One more schema inside of another, as long as this lives.
  class Inside {
   public:
    explicit Inside(int& depth) : depth_(depth) { ++depth_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { --depth_; }

   private:
    int& depth_;
  };
  // Error kResourceExhausted where schemas apply schemas in place too deep for the stack.
  Status check_nesting(SchemaId id) const;

  SchemaSet schemas_;
  bool open_objects_;
  std::map<const json::Value*, SchemaId> structures_, constants_;
  std::map<Conjunction, bool> empty_;
  std::map<SchemaId, bool> atoms_[3];
  std::map<SchemaId, StringSet> strings_;
  std::map<SchemaId, NumberSet> numbers_;
  std::set<std::pair<SchemaId, int>> open_;  // being looked at; to notice endless references
  SchemaId anything_ = -1;
  size_t spent_ = 0;
  size_t work_ = kMaxDfaWork;
  int depth_ = 0;    // of empty() in itself
  int nesting_ = 0;  // of schemas that are being evaluated
};

}  // namespace gemma4::constrain

#include "constrain/schema_algebra.h"

#include <algorithm>

#include "base/strings.h"
#include "constrain/set_evaluator.h"

namespace gemma4::constrain {
namespace {

constexpr size_t kMostWork = 200000;

struct AtomSets {
  using Set = bool;
  static constexpr int kKind = 0;
  static constexpr std::string_view kKeywords = "type";
  Atom atom;

  static size_t weight(bool) { return 0; }
  static bool all() { return true; }
  static bool none() { return false; }
  static Result<bool> both(bool a, bool b) { return a && b; }
  static Result<bool> either(bool a, bool b) { return a || b; }
  static Result<bool> opposite(bool a) { return !a; }
  bool equals(const json::Value& value) const {
    return atom == Atom::kNull ? value.is_null()
                               : value.is_bool() && value.as_bool() == (atom == Atom::kTrue);
  }
  Result<bool> own(const Schema& schema) const {
    if ((schema.types & (atom == Atom::kNull ? kNullBit : kBooleanBit)) == 0) return false;
    return std::all_of(schema.values.begin(), schema.values.end(), [&](const auto& list) {
      return std::any_of(list.begin(), list.end(), [&](const auto* v) { return equals(*v); });
    });
  }
};

struct StringSets {
  using Set = StringSet;
  static constexpr int kKind = 1;
  static constexpr std::string_view kKeywords = "minLength, maxLength, pattern, format, enum";
  size_t& work;

  static size_t weight(const Set& set) { return set.dfa ? set.dfa->states.size() : 0; }
  static StringSet all() { return StringSet::all(); }
  static StringSet none() { return StringSet::none(); }
  auto both(const Set& a, const Set& b) const { return intersection(a, b, work); }
  auto either(const Set& a, const Set& b) const { return unite(a, b, work); }
  auto opposite(const Set& a) const { return complement(a, work); }
  Result<Set> own(const Schema& schema) const {
    if ((schema.types & kStringBit) == 0) return none();
    Set result = all();
    for (const Set& set : schema.strings) {
      G4_ASSIGN_OR_RETURN(result, both(result, set));
    }
    for (const auto& list : schema.values) {
      std::vector<std::string> strings;
      for (const json::Value* value : list)
        if (value->is_string()) strings.push_back(value->as_string());
      G4_ASSIGN_OR_RETURN(result, both(result, StringSet::of(dfa_of_strings(std::move(strings)))));
    }
    return result;
  }
};

struct NumberSets {
  using Set = NumberSet;
  static constexpr int kKind = 2;
  static constexpr std::string_view kKeywords = "minimum, maximum, multipleOf, enum";
  size_t& work;

  static size_t weight(const Set& set) { return set.dfa ? set.dfa->states.size() : 0; }
  static NumberSet all() { return NumberSet::all(); }
  static NumberSet none() { return NumberSet::none(); }
  auto both(const Set& a, const Set& b) const { return intersection(a, b, work); }
  auto either(const Set& a, const Set& b) const { return unite(a, b, work); }
  auto opposite(const Set& a) const { return complement(a, work); }
  Result<Set> own(const Schema& schema) const {
    if ((schema.types & kNumberBit) == 0) return none();
    Set result = all();
    for (const Set& set : schema.numbers) {
      G4_ASSIGN_OR_RETURN(result, both(result, set));
    }
    for (const auto& list : schema.values) {
      std::vector<Decimal> numbers;
      for (const json::Value* value : list) {
        if (!value->is_number()) continue;
        G4_ASSIGN_OR_RETURN(numbers.emplace_back(), to_decimal(value->as_number()));
      }
      G4_ASSIGN_OR_RETURN(Dfa any, numbers_equal_to(numbers, work));
      G4_ASSIGN_OR_RETURN(result, both(result, NumberSet::of(std::move(any))));
    }
    return result;
  }
};

// A text that values have in common if and only if JSON Schema calls them equal.
std::string canonical_text(const json::Value& value) {
  std::string text;
  if (value.is_number()) {
    const auto number = to_decimal(value.as_number());
    if (!number.ok()) return value.as_number().text;
    return str_cat(number.value().negative ? "-" : "", number.value().whole, ".",
                   number.value().fraction);
  }
  if (value.is_array()) {
    for (const json::Value& element : value.as_array()) text += canonical_text(element) + ",";
    return "[" + text + "]";
  }
  if (value.is_object()) {
    std::map<std::string, std::string> members;
    for (const auto& [name, member] : value.as_object())
      members[json::quote(name)] = canonical_text(member);
    for (const auto& [name, member] : members) text += str_cat(name, ":", member, ",");
    return "{" + text + "}";
  }
  return json::dump(value);
}

bool says_nothing(const Schema& s) {
  return !s.never && s.types == kAnyType && s.values.empty() && s.strings.empty() &&
         s.numbers.empty() && s.prefix_items.empty() && !s.items && !s.contains &&
         !s.unevaluated_items && s.min_items == 0 && s.max_items == kNoLimit && !s.unique_items &&
         s.properties.empty() && s.pattern_properties.empty() && !s.additional_properties &&
         !s.property_names && !s.unevaluated_properties && s.required.empty() &&
         s.min_properties == 0 && s.max_properties == kNoLimit && s.dependents.empty() &&
         s.all_of.empty() && !s.has_any_of && s.one_of.empty() && !s.negated && !s.condition;
}

}  // namespace

Result<bool> SchemaAlgebra::accepts(const Conjunction& all, Atom atom) {
  return SetEvaluator<AtomSets>(*this, AtomSets{atom}, atoms_[static_cast<size_t>(atom)])
      .conjunction(all);
}

Result<StringSet> SchemaAlgebra::strings(const Conjunction& all) {
  return SetEvaluator<StringSets>(*this, {work_}, strings_).conjunction(all);
}

Result<NumberSet> SchemaAlgebra::numbers(const Conjunction& all) {
  return SetEvaluator<NumberSets>(*this, {work_}, numbers_).conjunction(all);
}

void SchemaAlgebra::add_to(Conjunction& all, Literal literal) const {
  if (!literal.negated && says_nothing(schemas_[literal.schema])) return;
  const auto it = std::lower_bound(all.begin(), all.end(), literal);
  if (it == all.end() || *it != literal) all.insert(it, literal);
}

std::string SchemaAlgebra::place_of(const Conjunction& all) const {
  return schemas_[first_of(all)].path.schema();
}

Error SchemaAlgebra::refuse(SchemaId id, std::string_view keyword, std::string_view why) const {
  return {ErrorCode::kUnsupported,
          str_cat(schemas_[id].path.schema(), ": ", keyword, " cannot be enforced: ", why)};
}

Error SchemaAlgebra::placed(const Error& error, SchemaId id, std::string_view keywords) const {
  if (error.message.starts_with("schema at")) return error;
  return error.with_context(str_cat(schemas_[id].path.schema(), ": ", keywords));
}

Status SchemaAlgebra::charge(size_t amount, SchemaId place) {
  spent_ += amount;
  if (spent_ <= kMostWork) return {};
  return Error{ErrorCode::kResourceExhausted,
               str_cat(schemas_[place].path.schema(),
                       ": there are too many schemas, or combinations by allOf, anyOf, oneOf, "
                       "not and if")};
}

Status SchemaAlgebra::check_nesting(SchemaId id) const {
  constexpr int kMaxNesting = 600;  // above what the loader takes without references
  if (nesting_ <= kMaxNesting) return {};
  return Error{ErrorCode::kResourceExhausted, schemas_[id].path.schema() + " is nested too deep"};
}

Result<bool> SchemaAlgebra::empty(const Conjunction& all) {
  constexpr int kMaxDepth = 100;
  const auto known = empty_.find(all);
  if (known != empty_.end()) return known->second;
  if (depth_ >= kMaxDepth) return false;
  G4_RETURN_IF_ERROR(charge(1, first_of(all)));
  empty_[all] = false;  // while it is being looked at: not certainly empty
  // A value inside of another: what is being looked at outside may be looked at here again.
  std::set<std::pair<SchemaId, int>> outside;
  open_.swap(outside);
  ++depth_;
  Result<bool> result = has_no_value(all);
  --depth_;
  open_.swap(outside);
  if (result.ok()) empty_[all] = result.value();
  return result;
}

Result<bool> SchemaAlgebra::has_no_value(const Conjunction& all) {
  for (const Atom atom : {Atom::kNull, Atom::kTrue, Atom::kFalse}) {
    G4_ASSIGN_OR_RETURN(const bool accepted, accepts(all, atom));
    if (accepted) return false;
  }
  G4_ASSIGN_OR_RETURN(const StringSet texts, strings(all));
  if (!texts.is_none()) return false;
  G4_ASSIGN_OR_RETURN(const NumberSet values, numbers(all));
  if (!values.is_none()) return false;
  G4_ASSIGN_OR_RETURN(const std::vector<ObjectSpec> object_specs, objects(all));
  if (!object_specs.empty()) return false;
  G4_ASSIGN_OR_RETURN(const std::vector<ArraySpec> array_specs, arrays(all));
  return array_specs.empty();
}

SchemaId SchemaAlgebra::anything() {
  if (anything_ < 0) anything_ = schemas_.add({});
  return anything_;
}

SchemaId SchemaAlgebra::constant(const json::Value& value) {
  const auto [it, is_new] = constants_.emplace(&value, -1);
  if (is_new) it->second = schemas_.add({.values = {{&value}}});
  return it->second;
}

SchemaId SchemaAlgebra::structure_of(const json::Value& value) {
  const auto [it, is_new] = structures_.emplace(&value, -1);
  if (!is_new) return it->second;
  Schema schema;
  if (value.is_array()) {
    schema.types = kArrayBit;
    for (const json::Value& element : value.as_array())
      schema.prefix_items.push_back(constant(element));
    schema.min_items = schema.max_items = value.as_array().size();
  } else if (value.is_object()) {
    schema.types = kObjectBit;
    for (const auto& [name, member] : value.as_object()) {
      schema.properties.emplace_back(name, constant(member));
      schema.required.push_back(name);
    }
    schema.additional_properties = schemas_.add({.never = true});
  } else {
    schema.never = true;
  }
  return structures_[&value] = schemas_.add(std::move(schema));
}

Result<std::optional<std::vector<SchemaId>>> SchemaAlgebra::finite_values(const Conjunction& all) {
  static const json::Value* const kNull = new json::Value(nullptr);
  static const json::Value* const kBooleans[] = {new json::Value(true), new json::Value(false)};
  std::optional<std::vector<const json::Value*>> listed;
  std::vector<SchemaId> work;
  for (const Literal& literal : all)
    if (!literal.negated) work.push_back(literal.schema);
  for (size_t i = 0; i < work.size() && i < 1000 && !listed; ++i) {
    const Schema& schema = schemas_[work[i]];
    if (!schema.values.empty()) listed = schema.values[0];
    if ((schema.types & ~(kNullBit | kBooleanBit)) == 0) {
      listed.emplace();
      if ((schema.types & kNullBit) != 0) listed->push_back(kNull);
      if ((schema.types & kBooleanBit) != 0)
        listed->insert(listed->end(), std::begin(kBooleans), std::end(kBooleans));
    }
    work.insert(work.end(), schema.all_of.begin(), schema.all_of.end());
  }
  if (!listed) return std::optional<std::vector<SchemaId>>();
  std::vector<SchemaId> result;
  std::set<std::string> seen;
  for (const json::Value* value : *listed)
    if (seen.insert(canonical_text(*value)).second) result.push_back(constant(*value));
  return std::optional(std::move(result));
}

}  // namespace gemma4::constrain

#include "constrain/culprit.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/strings.h"

namespace gemma4::constrain {
namespace {

// A part that a value must have.
struct Part {
  std::string name;
  Conjunction all;  // what it has to satisfy, as far as that is easily seen
};

// The schemas that apply wherever `all` does, without what alternatives and patterns add.
std::vector<const Schema*> applied_schemas(const SchemaAlgebra& algebra, const Conjunction& all) {
  constexpr size_t kMost = 1000;
  std::vector<const Schema*> result;
  for (const Literal& literal : all)
    if (!literal.negated) result.push_back(&algebra.schema(literal.schema));
  for (size_t i = 0; i < result.size(); ++i)
    for (const SchemaId id : result[i]->all_of)
      if (result.size() < kMost) result.push_back(&algebra.schema(id));
  return result;
}

Conjunction property(const SchemaAlgebra& algebra, const std::vector<const Schema*>& schemas,
                     const std::string& key) {
  Conjunction result;
  for (const Schema* schema : schemas) {
    const auto named = std::find_if(schema->properties.begin(), schema->properties.end(),
                                    [&](const auto& p) { return p.first == key; });
    if (named != schema->properties.end()) {
      algebra.add_to(result, {named->second, false});
    } else if (schema->additional_properties && schema->pattern_properties.empty()) {
      algebra.add_to(result, {*schema->additional_properties, false});
    }
  }
  return result;
}

Conjunction item(const SchemaAlgebra& algebra, const std::vector<const Schema*>& schemas,
                 size_t index) {
  Conjunction result;
  for (const Schema* schema : schemas) {
    if (index < schema->prefix_items.size()) {
      algebra.add_to(result, {schema->prefix_items[index], false});
    } else if (schema->items) {
      algebra.add_to(result, {*schema->items, false});
    }
  }
  return result;
}

std::vector<Part> needed_parts(const SchemaAlgebra& algebra, const Conjunction& all) {
  constexpr uint64_t kMostItems = 100;
  const std::vector<const Schema*> schemas = applied_schemas(algebra, all);
  uint8_t types = kAnyType;
  for (const Schema* schema : schemas) types &= schema->types;
  std::vector<Part> result;
  for (const Schema* schema : schemas) {
    if (types == kObjectBit)
      for (const std::string& key : schema->required)
        result.push_back({str_cat("property '", key, "'"), property(algebra, schemas, key)});
    if (types == kArrayBit)
      for (size_t i = 0; i < std::min(schema->min_items, kMostItems); ++i)
        result.push_back({str_cat("item ", i), item(algebra, schemas, i)});
  }
  return result;
}

}  // namespace

Result<std::string> describe_culprit(SchemaAlgebra& algebra, Inhabitants& inhabitants,
                                     const Conjunction& all) {
  Conjunction place = all;
  std::string demanded_by;
  std::set<Conjunction> seen;
  while (seen.insert(place).second) {
    for (Part& part : needed_parts(algebra, place)) {
      G4_ASSIGN_OR_RETURN(const bool possible, inhabitants.exist(part.all));
      if (possible) continue;
      demanded_by =
          str_cat(", which ", part.name, " of the ", algebra.place_of(place), " must fit");
      place = std::move(part.all);
      break;
    }
  }
  return str_cat("no value fits the ", algebra.place_of(place), demanded_by);
}

}  // namespace gemma4::constrain

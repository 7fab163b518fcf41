// What the keywords of arrays say, and their opposites.
#include "constrain/spec_builder.h"

namespace gemma4::constrain {

template <>
ArraySpec SpecBuilder<ArraySpec>::merge(const ArraySpec& a, const ArraySpec& b) {
  ArraySpec result = a;
  result.groups.insert(result.groups.end(), b.groups.begin(), b.groups.end());
  result.contains.insert(result.contains.end(), b.contains.begin(), b.contains.end());
  result.min = std::max(a.min, b.min);
  result.max = std::min(a.max, b.max);
  result.unique = a.unique || b.unique;
  return result;
}

template <>
Result<ArraySpec> SpecBuilder<ArraySpec>::own(SchemaId id, Annotations annotations) {
  const Schema& schema = algebra_.schema(id);
  ArraySpec spec{.min = schema.min_items, .max = schema.max_items};
  spec.unique = schema.unique_items;
  if (!schema.prefix_items.empty() || schema.items) {
    ArraySpec::Group group{.annotates = annotations != Annotations::kIgnored};
    for (const SchemaId item : schema.prefix_items) group.prefix.push_back({item, false});
    if (schema.items) group.rest = Literal{*schema.items, false};
    spec.groups.push_back(std::make_shared<const ArraySpec::Group>(std::move(group)));
  }
  if (schema.contains)
    spec.contains.push_back({.item = {*schema.contains, false},
                             .min = schema.min_contains,
                             .max = schema.max_contains,
                             .annotates = annotations != Annotations::kIgnored});
  return spec;
}

template <>
Result<std::vector<ArraySpec>> SpecBuilder<ArraySpec>::own_opposite(SchemaId id) {
  const Schema& schema = algebra_.schema(id);
  if (schema.unique_items) return algebra_.refuse(id, "uniqueItems", "it is under a negation");
  Specs result;
  for (size_t i = 0; i < schema.prefix_items.size(); ++i) {
    ArraySpec::Group group{.annotates = false};
    group.prefix.resize(i, {algebra_.anything(), false});
    group.prefix.push_back({schema.prefix_items[i], true});
    ArraySpec spec{.min = i + 1};
    spec.groups.push_back(std::make_shared<const ArraySpec::Group>(std::move(group)));
    result.push_back(std::move(spec));
  }
  if (schema.items) {
    ArraySpec spec;
    spec.contains.push_back({.item = {*schema.items, true}, .from = schema.prefix_items.size()});
    result.push_back(std::move(spec));
  }
  if (schema.min_items > 0) result.push_back({.max = schema.min_items - 1});
  if (schema.max_items != kNoLimit) result.push_back({.min = schema.max_items + 1});
  if (!schema.contains) return result;
  const Literal item{*schema.contains, false};
  if (schema.min_contains > 0) {
    ArraySpec spec;
    spec.contains.push_back({.item = item, .min = 0, .max = schema.min_contains - 1});
    result.push_back(std::move(spec));
  }
  if (schema.max_contains != kNoLimit) {
    ArraySpec spec;
    spec.contains.push_back({.item = item, .min = schema.max_contains + 1});
    result.push_back(std::move(spec));
  }
  return result;
}

template <>
bool SpecBuilder<ArraySpec>::has_unevaluated(const Schema& schema) {
  return schema.unevaluated_items.has_value();
}

// Items behind every prefix must satisfy the keyword, unless a `contains` looked at them.
template <>
Status SpecBuilder<ArraySpec>::add_unevaluated(SchemaId id, Specs& specs) {
  const Schema& schema = algebra_.schema(id);
  if (!schema.unevaluated_items) return {};
  for (ArraySpec& spec : specs) {
    size_t looked_at = 0;
    bool all = false;
    for (const auto& group : spec.groups) {
      if (!group->annotates) continue;
      looked_at = std::max(looked_at, group->prefix.size());
      all = all || group->rest.has_value();
    }
    if (all) continue;
    Schema either{.path = schema.path, .any_of = {*schema.unevaluated_items}, .has_any_of = true};
    for (const auto& contains : spec.contains)
      if (contains.annotates) either.any_of.push_back(contains.item.schema);
    ArraySpec::Group group;
    group.prefix.resize(looked_at, {algebra_.anything(), false});
    group.rest = Literal{
        either.any_of.size() == 1 ? *schema.unevaluated_items : algebra_.add(std::move(either)),
        false};
    spec.groups.push_back(std::make_shared<const ArraySpec::Group>(std::move(group)));
  }
  return {};
}

template <>
Result<std::vector<ArraySpec>> SpecBuilder<ArraySpec>::dependents(const Schema&, Annotations,
                                                                  bool negated) {
  return negated ? Specs() : Specs{ArraySpec()};
}

Result<std::vector<ArraySpec>> SchemaAlgebra::arrays(const Conjunction& all) {
  return specs<ArraySpec>(all);
}

Conjunction SchemaAlgebra::item(const ArraySpec& spec, uint64_t index) const {
  Conjunction result;
  for (const auto& group : spec.groups) {
    if (index < group->prefix.size()) {
      add_to(result, group->prefix[index]);
    } else if (group->rest) {
      add_to(result, *group->rest);
    }
  }
  return result;
}

Result<bool> SchemaAlgebra::impossible(const ArraySpec& spec) {
  if (spec.min > spec.max) return true;
  for (const auto& contains : spec.contains) {
    if (contains.min > contains.max || contains.min > spec.max) return true;
    if (contains.min == 0) continue;
    Conjunction item;
    add_to(item, contains.item);
    G4_ASSIGN_OR_RETURN(const bool none, empty(item));
    if (none) return true;
  }
  uint64_t different = 0;  // behind so many items they are all alike
  for (const auto& group : spec.groups) different = std::max(different, group->prefix.size() + 1);
  for (uint64_t i = 0; i < std::min(spec.min, different); ++i) {
    G4_ASSIGN_OR_RETURN(const bool none, empty(item(spec, i)));
    if (none) return true;
  }
  return false;
}

}  // namespace gemma4::constrain

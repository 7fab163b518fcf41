// What the keywords of objects say, and their opposites.
#include "constrain/nfa.h"
#include "constrain/spec_builder.h"

namespace gemma4::constrain {
namespace {

std::shared_ptr<const ObjectSpec::Group> share(ObjectSpec::Group group) {
  return std::make_shared<const ObjectSpec::Group>(std::move(group));
}

// `key` must satisfy `literal`, if it is there.
ObjectSpec with_property(const std::string& key, Literal literal) {
  ObjectSpec::Group group{.annotates = false};
  group.named[key].push_back(literal);
  ObjectSpec spec;
  spec.groups.push_back(share(std::move(group)));
  return spec;
}

}  // namespace

template <>
ObjectSpec SpecBuilder<ObjectSpec>::merge(const ObjectSpec& a, const ObjectSpec& b) {
  ObjectSpec result = a;
  result.groups.insert(result.groups.end(), b.groups.begin(), b.groups.end());
  result.required.insert(b.required.begin(), b.required.end());
  result.names.insert(result.names.end(), b.names.begin(), b.names.end());
  result.exists.insert(result.exists.end(), b.exists.begin(), b.exists.end());
  result.min = std::max(a.min, b.min);
  result.max = std::min(a.max, b.max);
  return result;
}

template <>
Result<ObjectSpec> SpecBuilder<ObjectSpec>::own(SchemaId id, Annotations annotations) {
  const Schema& schema = algebra_.schema(id);
  ObjectSpec spec{.min = schema.min_properties, .max = schema.max_properties};
  spec.required.insert(schema.required.begin(), schema.required.end());
  if (schema.property_names) spec.names.push_back({*schema.property_names, false});
  if (schema.properties.empty() && schema.pattern_properties.empty() &&
      !schema.additional_properties)
    return spec;
  ObjectSpec::Group group{.annotates = annotations != Annotations::kIgnored};
  for (const auto& [name, value] : schema.properties) {
    group.named[name].push_back({value, false});
    group.order.push_back(name);
  }
  for (const auto& [dfa, value] : schema.pattern_properties)
    group.patterns.emplace_back(dfa, Literal{value, false});
  if (schema.additional_properties)
    group.additional = Literal{*schema.additional_properties, false};
  spec.groups.push_back(share(std::move(group)));
  return spec;
}

// The keys that neither `properties` nor `patternProperties` of `schema` speaks about.
static Result<std::shared_ptr<const Dfa>> other_keys(const Schema& schema, size_t& work) {
  std::vector<std::string> names;
  for (const auto& [name, value] : schema.properties) names.push_back(name);
  G4_ASSIGN_OR_RETURN(Dfa keys, combine(any_text(), dfa_of_strings(std::move(names)),
                                        SetOperation::kMinus, kMaxDfaStates, work));
  for (const auto& [dfa, value] : schema.pattern_properties) {
    G4_ASSIGN_OR_RETURN(keys, combine(keys, *dfa, SetOperation::kMinus, kMaxDfaStates, work));
  }
  return std::make_shared<const Dfa>(std::move(keys));
}

template <>
Result<std::vector<ObjectSpec>> SpecBuilder<ObjectSpec>::own_opposite(SchemaId id) {
  const Schema& schema = algebra_.schema(id);
  Specs result;
  for (const auto& [name, value] : schema.properties) {
    ObjectSpec spec = with_property(name, {value, true});
    spec.required.insert(name);
    result.push_back(std::move(spec));
  }
  for (const auto& [dfa, value] : schema.pattern_properties) {
    ObjectSpec spec;
    spec.exists.push_back({dfa, {{value, true}}});
    result.push_back(std::move(spec));
  }
  if (schema.additional_properties) {
    G4_ASSIGN_OR_RETURN(auto keys, other_keys(schema, algebra_.work()));
    ObjectSpec spec;
    spec.exists.push_back({std::move(keys), {{*schema.additional_properties, true}}});
    result.push_back(std::move(spec));
  }
  for (const std::string& name : schema.required)
    result.push_back(with_property(name, {algebra_.anything(), true}));
  if (schema.min_properties > 0) result.push_back({.max = schema.min_properties - 1});
  if (schema.max_properties != kNoLimit) result.push_back({.min = schema.max_properties + 1});
  if (schema.property_names) {
    G4_ASSIGN_OR_RETURN(const StringSet wrong, algebra_.strings({{*schema.property_names, true}}));
    G4_ASSIGN_OR_RETURN(auto keys, to_dfa(wrong, algebra_.work()));
    ObjectSpec spec;
    spec.exists.push_back({std::move(keys), {}});
    result.push_back(std::move(spec));
  }
  return result;
}

template <>
bool SpecBuilder<ObjectSpec>::has_unevaluated(const Schema& schema) {
  return schema.unevaluated_properties.has_value();
}

// The keyword is additionalProperties of a group that names all that the others name.
template <>
Status SpecBuilder<ObjectSpec>::add_unevaluated(SchemaId id, Specs& specs) {
  const Schema& schema = algebra_.schema(id);
  if (!schema.unevaluated_properties) return {};
  for (ObjectSpec& spec : specs) {
    ObjectSpec::Group all;
    bool everything = false;
    for (const auto& group : spec.groups) {
      if (!group->annotates) continue;
      for (const auto& [name, literals] : group->named) all.named[name];
      for (const auto& [dfa, literal] : group->patterns)
        all.patterns.emplace_back(dfa, std::nullopt);
      everything = everything || group->additional.has_value();
    }
    if (everything) continue;
    all.additional = Literal{*schema.unevaluated_properties, false};
    spec.groups.push_back(share(std::move(all)));
  }
  return {};
}

// Without the property, or with it and what depends on it.
template <>
Result<std::vector<ObjectSpec>> SpecBuilder<ObjectSpec>::dependents(const Schema& schema,
                                                                    Annotations annotations,
                                                                    bool negated) {
  Specs result;
  if (!negated) result.emplace_back();
  for (const auto& [name, id] : schema.dependents) {
    ObjectSpec present;
    present.required.insert(name);
    G4_ASSIGN_OR_RETURN(const Specs inside, negated ? negative(id) : positive(id, annotations));
    G4_ASSIGN_OR_RETURN(Specs with, both({present}, inside));
    if (negated) {
      append(result, std::move(with));
      continue;
    }
    with.push_back(with_property(name, {algebra_.anything(), true}));
    G4_ASSIGN_OR_RETURN(result, both(result, with));
  }
  return result;
}

Result<std::vector<ObjectSpec>> SchemaAlgebra::objects(const Conjunction& all) {
  return specs<ObjectSpec>(all);
}

Conjunction SchemaAlgebra::property(const ObjectSpec& spec, const std::string& key) const {
  Conjunction result;
  for (const auto& group : spec.groups) {
    bool known = false;
    if (const auto it = group->named.find(key); it != group->named.end()) {
      for (const Literal& literal : it->second) add_to(result, literal);
      known = true;
    }
    for (const auto& [dfa, literal] : group->patterns) {
      if (!dfa->accepts(key)) continue;
      if (literal) add_to(result, *literal);
      known = true;
    }
    if (!known && group->additional) add_to(result, *group->additional);
  }
  return result;
}

Result<StringSet> SchemaAlgebra::names(const ObjectSpec& spec) {
  Conjunction all;
  for (const Literal& literal : spec.names) add_to(all, literal);
  return strings(all);
}

Result<bool> SchemaAlgebra::impossible(const ObjectSpec& spec) {
  if (spec.min > spec.max || spec.required.size() > spec.max) return true;
  if (!spec.required.empty() && !spec.names.empty()) {
    G4_ASSIGN_OR_RETURN(const StringSet allowed, names(spec));
    G4_ASSIGN_OR_RETURN(const auto dfa, to_dfa(allowed, work_));
    for (const std::string& key : spec.required)
      if (!dfa->accepts(key)) return true;
  }
  for (const std::string& key : spec.required) {
    G4_ASSIGN_OR_RETURN(const bool none, empty(property(spec, key)));
    if (none) return true;
  }
  for (const auto& exists : spec.exists) {
    if (exists.keys->empty()) return true;
    G4_ASSIGN_OR_RETURN(const bool none, empty(exists.value));
    if (none) return true;
  }
  return false;
}

}  // namespace gemma4::constrain

#include "constrain/schema_grammar.h"

#include "constrain/array_rule.h"
#include "constrain/culprit.h"
#include "constrain/object_rule.h"

namespace gemma4::constrain {

Result<RuleId> ValueRules::root(const std::vector<SchemaId>& schemas) {
  Conjunction all;
  for (const SchemaId id : schemas) algebra_.add_to(all, {id, false});
  G4_ASSIGN_OR_RETURN(const bool possible, inhabitants_.exist(all));
  if (possible) return value(all);
  G4_ASSIGN_OR_RETURN(const std::string why, describe_culprit(algebra_, inhabitants_, all));
  return Error{ErrorCode::kInvalidArgument, "nothing satisfies this: " + why};
}

Result<RuleId> ValueRules::value(const Conjunction& all) {
  constexpr int kMaxDepth = 1000;
  const auto known = rules_.find(all);
  if (known != rules_.end()) return known->second;
  if (grammar_.over_budget() || depth_ > kMaxDepth)
    return Error{ErrorCode::kResourceExhausted,
                 algebra_.place_of(all) + ": the schema needs too large a grammar"};
  const RuleId rule = grammar_.add_rule("value");
  rules_[all] = rule;  // first: it may be used inside of itself
  ++depth_;
  Status status = add_alternatives(rule, all);
  --depth_;
  if (!status.ok()) return status.error();
  return rule;
}

Status ValueRules::add_alternatives(RuleId rule, const Conjunction& all) {
  const StateId start = grammar_.start(rule);
  const StateId end = grammar_.add_state();
  grammar_.accept(end);
  constexpr std::pair<Atom, std::string_view> kAtoms[] = {
      {Atom::kNull, "null"}, {Atom::kTrue, "true"}, {Atom::kFalse, "false"}};
  for (const auto& [atom, text] : kAtoms) {
    G4_ASSIGN_OR_RETURN(const bool accepted, algebra_.accepts(all, atom));
    if (accepted) grammar_.accept(grammar_.bytes(start, text));
  }
  G4_ASSIGN_OR_RETURN(const StringSet strings, algebra_.strings(all));
  if (!strings.is_none()) {
    G4_ASSIGN_OR_RETURN(const RuleId string, dialect_.string(strings));
    grammar_.call(start, string, end);
  }
  G4_ASSIGN_OR_RETURN(const NumberSet numbers, algebra_.numbers(all));
  if (!numbers.is_none()) grammar_.call(start, dialect_.number(numbers), end);
  G4_ASSIGN_OR_RETURN(std::vector<ArrayPlan> arrays, inhabitants_.take_arrays(all));
  for (ArrayPlan& plan : arrays) {
    G4_ASSIGN_OR_RETURN(const RuleId array, ArrayRule(*this, std::move(plan)).build());
    grammar_.call(start, array, end);
  }
  G4_ASSIGN_OR_RETURN(std::vector<ObjectPlan> objects, inhabitants_.take_objects(all));
  for (ObjectPlan& plan : objects) {
    G4_ASSIGN_OR_RETURN(const RuleId object, ObjectRule(*this, std::move(plan), all).build());
    grammar_.call(start, object, end);
  }
  return {};
}

Result<std::shared_ptr<const Grammar>> grammar_of_schema(const json::Value& schema,
                                                         const SchemaOptions& options) {
  G4_ASSIGN_OR_RETURN(SchemaSet schemas, load_schema(schema, options));
  GrammarBuilder grammar;
  const std::unique_ptr<Dialect> dialect = json_dialect(grammar);
  ValueRules rules(SchemaAlgebra(std::move(schemas), options.open_objects), grammar, *dialect);
  G4_ASSIGN_OR_RETURN(const RuleId root, rules.root({0}));
  return grammar.build(root);
}

}  // namespace gemma4::constrain

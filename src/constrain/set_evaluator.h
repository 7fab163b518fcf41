// Schemas as sets, wherever there are and, or, not: the applicators are the same for all types.
#pragma once

#include "base/strings.h"
#include "constrain/schema_algebra.h"

namespace gemma4::constrain {

// `Sets` has a type Set, and all(), none(), both(a, b), either(a, b), opposite(a), own(schema): the
// set that the schema's own keywords allow.
template <typename Sets>
class SetEvaluator {
 public:
  using Set = typename Sets::Set;
  SetEvaluator(SchemaAlgebra& algebra, Sets sets, std::map<SchemaId, Set>& known)
      : algebra_(algebra), sets_(std::move(sets)), known_(known) {}

  Result<Set> conjunction(const Conjunction& all) {
    Set result = sets_.all();
    for (const Literal& literal : all) {
      G4_ASSIGN_OR_RETURN(Set one, of(literal.schema));
      if (literal.negated) {
        G4_ASSIGN_OR_RETURN(one, sets_.opposite(one));
      }
      G4_ASSIGN_OR_RETURN(result, sets_.both(result, one));
    }
    return result;
  }

 private:
  Result<Set> of(SchemaId id) {
    if (const auto it = known_.find(id); it != known_.end()) return it->second;
    const SchemaAlgebra::Inside inside(algebra_.nesting_);
    G4_RETURN_IF_ERROR(algebra_.check_nesting(id));
    const auto mark = std::make_pair(id, Sets::kKind);
    if (!algebra_.open_.insert(mark).second)
      return algebra_.refuse(id, "$ref", "the schema refers to itself without end");
    Result<Set> result = evaluate(algebra_.schema(id));
    algebra_.open_.erase(mark);
    if (!result.ok()) return algebra_.placed(result.error(), id, Sets::kKeywords);
    G4_RETURN_IF_ERROR(algebra_.charge(Sets::weight(result.value()) / 16, id));
    known_[id] = result.value();
    return result;
  }

  Result<Set> evaluate(const Schema& schema) {
    if (schema.never) return sets_.none();
    G4_ASSIGN_OR_RETURN(Set result, sets_.own(schema));
    for (const SchemaId id : schema.all_of) {
      G4_ASSIGN_OR_RETURN(const Set one, of(id));
      G4_ASSIGN_OR_RETURN(result, sets_.both(result, one));
    }
    if (schema.has_any_of) {
      Set any = sets_.none();
      for (const SchemaId id : schema.any_of) {
        G4_ASSIGN_OR_RETURN(const Set one, of(id));
        G4_ASSIGN_OR_RETURN(any, sets_.either(any, one));
      }
      G4_ASSIGN_OR_RETURN(result, sets_.both(result, any));
    }
    for (const std::vector<SchemaId>& branches : schema.one_of) {
      G4_ASSIGN_OR_RETURN(const Set one, exactly_one(branches));
      G4_ASSIGN_OR_RETURN(result, sets_.both(result, one));
    }
    if (schema.negated) {
      G4_ASSIGN_OR_RETURN(const Set inside, of(*schema.negated));
      G4_ASSIGN_OR_RETURN(const Set outside, sets_.opposite(inside));
      G4_ASSIGN_OR_RETURN(result, sets_.both(result, outside));
    }
    if (!schema.condition || (!schema.then_schema && !schema.else_schema)) return result;
    G4_ASSIGN_OR_RETURN(const Set chosen, conditional(schema));
    return sets_.both(result, chosen);
  }

  Result<Set> exactly_one(const std::vector<SchemaId>& branches) {
    Set none_yet = sets_.all();
    Set one_yet = sets_.none();
    for (const SchemaId id : branches) {
      G4_ASSIGN_OR_RETURN(const Set inside, of(id));
      G4_ASSIGN_OR_RETURN(const Set outside, sets_.opposite(inside));
      G4_ASSIGN_OR_RETURN(const Set still, sets_.both(one_yet, outside));
      G4_ASSIGN_OR_RETURN(const Set now, sets_.both(none_yet, inside));
      G4_ASSIGN_OR_RETURN(one_yet, sets_.either(still, now));
      G4_ASSIGN_OR_RETURN(none_yet, sets_.both(none_yet, outside));
    }
    return one_yet;
  }

  Result<Set> conditional(const Schema& schema) {
    G4_ASSIGN_OR_RETURN(Set yes, of(*schema.condition));
    G4_ASSIGN_OR_RETURN(Set no, sets_.opposite(yes));
    if (schema.then_schema) {
      G4_ASSIGN_OR_RETURN(const Set then, of(*schema.then_schema));
      G4_ASSIGN_OR_RETURN(yes, sets_.both(yes, then));
    }
    if (schema.else_schema) {
      G4_ASSIGN_OR_RETURN(const Set otherwise, of(*schema.else_schema));
      G4_ASSIGN_OR_RETURN(no, sets_.both(no, otherwise));
    }
    return sets_.either(yes, no);
  }

  SchemaAlgebra& algebra_;
  Sets sets_;
  std::map<SchemaId, Set>& known_;
};

}  // namespace gemma4::constrain
